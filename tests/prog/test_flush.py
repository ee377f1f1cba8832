# SPDX-License-Identifier: GPL-2.0-only
"""Connections ended before their time: all, those of a real server, those of a removed one."""

import time

import pytest
from harness import FAMILIES, V4, V6, l4, mac_client, MAC_C0
from scapy.all import Ether

pytestmark = pytest.mark.usefixtures("no_bugs")

FLOWS = 40


def bpvs(ns, *argv, check=True):
    return ns.exec(ns.build / "bpvs/bpvs", *argv, check=check)


def syn(fam, sport, proto="tcp", flags="S"):
    return (Ether(src=mac_client(), dst=MAC_C0) / fam.ip(fam.client, fam.vip)
            / l4(proto, sport, 80, flags))


@pytest.fixture
def flows(ns, prog):
    """Two services of two real servers each, and connections over all four; unflushed before."""
    ns.ipvsadm("-C")
    bpvs(ns, "flush")
    for fam in FAMILIES:
        for opt in ("-t", "-u"):
            service = fam.endpoint(fam.vip, 80)
            ns.ipvsadm(f"-A {opt} {service} -s rr")
            for n in (1, 2):
                ns.ipvsadm(f"-a {opt} {service} -r {fam.endpoint(fam.real(n), 80)} -m")
            for sport in range(2000, 2000 + FLOWS):
                prog.deliver("tc", syn(fam, sport, "tcp" if opt == "-t" else "udp"))
    assert len(prog.conns()) == 4 * FLOWS
    yield
    bpvs(ns, "sysctl", "expire_nodest_conn=0")
    ns.ipvsadm("-C")
    bpvs(ns, "flush")


def counts(prog):
    """By real server: active and inactive, which have to be those of the connections left."""
    found = {}
    for conn in prog.conns():
        found[conn["real"][0]] = found.get(conn["real"][0], 0) + 1
    for service in prog.services():
        for dest in service["dests"]:
            addr = dest["real"][0]
            found[addr] = found.get(addr, 0) - dest["active"] - dest["inactive"]
    return found


def test_all(ns, prog, flows):
    with prog.counting(events=True) as grown:
        bpvs(ns, "flush")
    assert prog.conns() == []
    assert not any(counts(prog).values())
    assert grown["conn-ended"] == 4 * FLOWS
    # Services stay, and so does the engine's work.
    assert prog.deliver("tc", syn(V4, 2000)).fate == "sent"
    assert len(prog.conns()) == 1
    assert not any(counts(prog).values())
    # A packet of an old flow finds none.
    assert prog.deliver("tc", syn(V4, 2001, flags="A")).fate == "pass"


def test_all_forgets_removed(ns, prog, flows):
    """The same endpoint added again would get its old statistics back: not after a flush."""
    service, real = V4.endpoint(V4.vip, 80), V4.endpoint(V4.real(1), 80)
    again = f"-d -t {service} -r {real}\n-a -t {service} -r {real} -m"
    listing = lambda: ns.exec(ns.build / "ipvsadm/ipvsadm", "-Ln", "--stats").stdout
    row = lambda: next(r for r in listing().splitlines() if real in r).split()
    ns.ipvsadm(again)
    assert int(row()[2]) == FLOWS // 2
    ns.ipvsadm(f"-d -t {service} -r {real}")
    bpvs(ns, "flush")
    ns.ipvsadm(f"-a -t {service} -r {real} -m")
    assert int(row()[2]) == 0


@pytest.mark.parametrize("fam", [V4, V6], ids=["v4", "v6"])
@pytest.mark.parametrize("port", [False, True], ids=["address", "endpoint"])
def test_one_server(ns, prog, flows, fam, port):
    real = fam.endpoint(fam.real(2), 80) if port else fam.real(2)
    before = {(c["proto"], *c["client"]) for c in prog.conns() if c["real"][0] != fam.real(2)}
    bpvs(ns, "flush", "--dest", real)
    left = prog.conns()
    assert {(c["proto"], *c["client"]) for c in left} == before
    assert len(left) == 3 * FLOWS
    assert not any(counts(prog).values())


def test_misuse(ns, prog, flows):
    for args, status in ((("--dest", "10.77.0.1"), 1), (("--dest", f"{V4.real(1)}:81"), 1),
                         (("--dest", "rubbish"), 2), (("--dest",), 2), (("all",), 2),
                         (("--dest", "10.0.2.1:0"), 2), (("--dest", "[10::1:80"), 2)):
        assert bpvs(ns, "flush", *args, check=False).returncode == status, args
    assert len(prog.conns()) == 4 * FLOWS


@pytest.mark.parametrize("expire", [0, 1])
def test_removed_server(ns, prog, flows, expire):
    """With expire_nodest_conn a removed server's connections end at once, else they stay."""
    bpvs(ns, "sysctl", f"expire_nodest_conn={expire}")
    ns.ipvsadm(f"-d -t {V4.endpoint(V4.vip, 80)} -r {V4.endpoint(V4.real(1), 80)}")
    deadline = time.monotonic() + 60
    gone = lambda: 4 * FLOWS - len(prog.conns())
    while expire and gone() != FLOWS // 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone() == (FLOWS // 2 if expire else 0)
    # A service's end removes its servers too.
    ns.ipvsadm(f"-D -u {V6.endpoint(V6.vip, 80)}")
    deadline = time.monotonic() + 60
    while expire and gone() != FLOWS // 2 + FLOWS and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone() == (FLOWS // 2 + FLOWS if expire else 0)
