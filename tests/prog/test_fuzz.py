# SPDX-License-Identifier: GPL-2.0-only
"""
Noise: mutated packets by the hundred thousand through both hooks. Whatever comes, a program ends
with a known verdict, leaves what it passes untouched, counts every packet once, and the engine's
own state stays sound. A failure prints the seed, and the first frame that broke a rule.
"""

import os

import pytest
from harness import (
    FAMILIES,
    MAC_C0,
    MAC_S0,
    SERVICE_OPTIONS,
    chunk,
    l4,
    mac_client,
    mac_real,
    sctp,
)
from scapy.all import (
    ICMP,
    IP,
    Dot1Q,
    Ether,
    ICMPv6DestUnreach,
    ICMPv6PacketTooBig,
    IPOption_NOP,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)

pytestmark = pytest.mark.usefixtures("no_bugs")

SEED = int(os.environ.get("BPVS_FUZZ_SEED", "1"))
COUNT = int(os.environ.get("BPVS_FUZZ_COUNT", "200000"))

METHODS = {80: ("-m", 1, 8080), 81: ("-g", 2, 81), 82: ("-i", 3, 82)}


@pytest.fixture(scope="module", autouse=True)
def services(ns, prog):
    for fam in FAMILIES:
        for option in SERVICE_OPTIONS.values():
            for vport, (flag, number, rport) in METHODS.items():
                svc = f"{option} {fam.endpoint(fam.vip, vport)}"
                ns.ipvsadm(f"-A {svc} -s wlc")
                ns.ipvsadm(f"-a {svc} -r {fam.endpoint(fam.real(number), rport)} {flag}")
    for pkt in templates():
        prog.cmd(f"template {bytes(pkt).hex()}")


def templates():
    """Packets of every kind that the programs treat in a way of its own."""
    c0 = lambda: Ether(src=mac_client(), dst=MAC_C0)
    s0 = lambda: Ether(src=mac_real(), dst=MAC_S0)
    for fam in FAMILIES:
        there = lambda ttl=64: fam.ip(fam.client, fam.vip, ttl)
        for vport in METHODS:
            for flags in ("S", "A", "FA", "R"):
                yield c0() / there() / l4("tcp", 1234, vport, flags, b"payload")
            yield c0() / there() / l4("udp", 1234, vport, "", b"payload")
            for flags in ("S", "A", "FA", "R"):
                yield c0() / there() / l4("sctp", 1234, vport, flags, b"payload")
            yield c0() / there() / sctp(1234, vport, chunk(10, b"cookie"), chunk(6))
            yield c0() / there(1) / l4("udp", 1234, vport)
            quoted = fam.ip(fam.vip, fam.client) / l4("tcp", vport, 1234, "A", b"12345678")
            if fam.version == 4:
                yield c0() / there() / ICMP(type=3, code=4, nexthopmtu=1300) / quoted
            else:
                yield c0() / there() / ICMPv6PacketTooBig(mtu=1300) / quoted
        yield c0() / Dot1Q(vlan=7) / there() / l4("tcp", 1234, 80)
        for proto in ("tcp", "udp", "sctp"):
            yield s0() / fam.ip(fam.real(), fam.client) / l4(proto, 8080, 1234, "SA", b"answer")
        quoted = fam.ip(fam.client, fam.real()) / l4("tcp", 1234, 8080, "A", b"12345678")
        if fam.version == 4:
            yield s0() / fam.ip(fam.real(), fam.client) / ICMP(type=3, code=3) / quoted
            yield c0() / IP(src=fam.client, dst=fam.vip, flags="MF", id=5) / l4("udp", 1, 80)
            yield c0() / fam.ip(
                fam.client, fam.vip, options=[IPOption_NOP()] * 8
            ) / l4("tcp", 1234, 80)
        else:
            yield s0() / fam.ip(fam.real(), fam.client) / ICMPv6DestUnreach(code=4) / quoted
            long = IPv6(src=fam.client, dst=fam.vip)
            yield c0() / long / IPv6ExtHdrFragment(m=1, id=5) / l4("udp", 1, 80, "", b"x" * 16)
            yield c0() / long / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / l4("tcp", 1, 80)


@pytest.mark.parametrize("hook", ["xdp", "tc"])
@pytest.mark.parametrize("dev", ["c0", "s0"])
def test_noise(prog, hook, dev):
    with prog.counting() as grown:
        tally = prog.fuzz(SEED, COUNT // 2, hook, dev)
    what = f"seed {SEED}: {tally}"
    assert tally["ran"] + tally["refused"] == COUNT // 2, what
    # test runs make no skb of less than its IP header
    assert tally["refused"] < (COUNT // 10 if hook == "tc" else 1), what
    assert (tally["aborted"], tally["unknown"], tally["touched"]) == (0, 0, 0), what
    assert sum(grown.values()) == tally["ran"], (what, grown)
    # most of it has to get past the first checks to be worth anything
    assert tally["sent"] > COUNT // 100, what


def test_bookkeeping(prog):
    """Each destination counts the connections that there are."""
    counts, conns = {}, {}
    for service in prog.services():
        for dest in service["dests"]:
            counts[dest["id"]] = dest["active"] + dest["inactive"]
    for conn in prog.conns():
        conns[conn["dest"]] = conns.get(conn["dest"], 0) + 1
    for number, total in counts.items():
        # expired ones stay counted until the sweep comes by
        assert total >= conns.get(number, 0)
