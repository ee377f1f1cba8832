# SPDX-License-Identifier: GPL-2.0-only
"""GUE and GRE: what is in front of the client's packet, byte by byte, in both hooks and all pairs of families."""

import itertools

import pytest
from harness import (
    FAMILIES,
    MAC_C0,
    MAC_S0,
    SERVICE_OPTIONS,
    V4,
    V6,
    l4,
    mac_client,
    mac_real,
    same,
    sent,
)
from scapy.all import GRE, ICMP, IP, UDP, Ether, ICMPv6DestUnreach, IPv6, Raw

GUE_PORT = 6080
# Options of ipvsadm, and whether the tunnel's header has a checksum; the service's port is by place.
KINDS = {
    "gue": ("--tun-type gue --tun-port 6080 --tun-nocsum", False),
    "gue-csum": ("--tun-type gue --tun-port 6080 --tun-csum", True),
    "gue-remcsum": ("--tun-type gue --tun-port 6080 --tun-remcsum", True),
    "gre": ("--tun-type gre --tun-nocsum", False),
    "gre-csum": ("--tun-type gre --tun-csum", True),
}
HEADER = {"gue": 12, "gue-csum": 12, "gue-remcsum": 12, "gre": 4, "gre-csum": 8}
PROTOS = ["tcp", "udp", "sctp"]

pytestmark = pytest.mark.usefixtures("no_bugs")
each_hook = pytest.mark.parametrize("hook", ["xdp", "tc"])
each_kind = pytest.mark.parametrize("kind", KINDS)
each_proto = pytest.mark.parametrize("proto", PROTOS)
each_family = pytest.mark.parametrize("fam", FAMILIES, ids=["v4", "v6"])
pairs = pytest.mark.parametrize("fam, far", list(itertools.product(FAMILIES, FAMILIES)),
                                ids=["4in4", "4in6", "6in4", "6in6"])


def vport(kind, far):
    return 2000 + list(KINDS).index(kind) * 2 + (far is V6)


@pytest.fixture(scope="module", autouse=True)
def services(ns, prog):
    for fam, far, proto, kind in itertools.product(FAMILIES, FAMILIES, PROTOS, KINDS):
        at = vport(kind, far)
        svc = f"{SERVICE_OPTIONS[proto]} {fam.endpoint(fam.vip, at)}"
        real = far.endpoint(far.real(3), at)
        ns.ipvsadm(f"-A {svc} -s rr\n-a {svc} -r {real} -i {KINDS[kind][0]}")


def request(fam, proto, port, kind, far, payload=b"hello", ttl=64, **ip):
    body = l4(proto, port, vport(kind, far), "S", payload)
    return Ether(src=mac_client(), dst=MAC_C0) / fam.ip(fam.client, fam.vip, ttl, **ip) / body


def header(kind, fam, summed, sport):
    """Between the outer IP header and the inner."""
    if kind.startswith("gue"):
        udp = UDP(sport=sport, dport=GUE_PORT)
        if not summed:
            udp.chksum = 0
        return udp / Raw(bytes([0, 4 if fam is V4 else 41, 0, 0]))
    return GRE(chksum_present=int(summed), proto=0x0800 if fam is V4 else 0x86DD)


def wrapped(kind, fam, far, given, result, summed):
    """What `given` is in the tunnel. GUE's source port is the director's choice: result's."""
    inner = given.payload.copy()
    if fam is V4:
        inner.ttl -= 1
        del inner.chksum
    else:
        inner.hlim -= 1
    sport = int.from_bytes(result.raw[14 + (20 if far is V4 else 40) :][:2], "big")
    outer = far.ip(far.host_s, far.real(3), 63)
    if far is V4:
        outer.flags = "DF" if fam is V4 and "DF" in inner.flags else 0
        outer.id = 0
    head = header(kind, fam, summed, sport)
    if kind.startswith("gre"):
        outer.setfieldval("proto" if far is V4 else "nh", 47)
    # scapy counts the bytes of a layer that it knows; what is inside need be none
    pkt = Ether(src=MAC_S0, dst=mac_real(3)) / outer / head / Raw(bytes(inner))
    if kind.startswith("gue"):
        assert 32768 <= sport < 61000
    return pkt


def judge(result, want, given, far):
    """As sent(), but the identity of an outer IPv4 header without DF is the director's choice."""
    assert result.fate == "sent", result
    if far is V4 and not want[IP].flags.DF:
        outer = IP(result.raw[14:])
        outer.id = 0
        del outer.chksum
        result.raw = result.raw[:14] + bytes(outer)[:20] + result.raw[34:]
    sent(result, want, given)


@each_hook
@pairs
@each_proto
@each_kind
def test_tunnel(prog, port, hook, fam, far, proto, kind):
    given = request(fam, proto, port, kind, far)
    with prog.counting() as grown:
        result = prog.forward(hook, given)
    if hook == "xdp" and KINDS[kind][1] and proto == "sctp":
        # the sum of the whole packet is TC's
        same(result, given)
        assert grown == {"up-checksum": 1}
        result = prog.tc(given)
    judge(result, wrapped(kind, fam, far, given, result, KINDS[kind][1]), given, far)


@each_hook
@each_kind
@pytest.mark.parametrize("length", [0, 1, 500, 1350])
def test_lengths(prog, port, hook, kind, length):
    for fam, proto in itertools.product(FAMILIES, ("tcp", "udp")):
        given = request(fam, proto, port, kind, fam, payload=(bytes(range(251)) * 6)[:length])
        result = prog.forward(hook, given)
        judge(result, wrapped(kind, fam, fam, given, result, KINDS[kind][1]), given, fam)


@each_hook
@each_kind
def test_udp_without_checksum(prog, port, hook, kind):
    """Its sum does not follow from its header."""
    for payload in (b"", b"x", b"yes" * 300):
        given = request(V4, "udp", port, kind, V4, payload=payload)
        given[UDP].chksum = 0
        result = prog.forward(hook, given)
        if hook == "xdp" and KINDS[kind][1]:
            same(result, given)
            result = prog.tc(given)
        judge(result, wrapped(kind, V4, V4, given, result, KINDS[kind][1]), given, V4)


@each_hook
@each_family
def test_source_port_is_the_flow_s(prog, port, hook, fam):
    """The same for all packets of a flow and through both hooks, and spread over flows."""
    ports = set()
    for sport in range(port + 20000, port + 20040):
        seen = set()
        for payload in (b"a", b"other"):
            given = request(fam, "udp", sport, "gue", V4, payload)
            raw = prog.deliver(hook, given).raw
            seen.add(raw[34:36])
            seen.add(prog.tc(given).raw[34:36])
        assert len(seen) == 1
        ports |= seen
    assert len(ports) > 30


@each_hook
@pairs
@each_kind
def test_no_room(prog, port, hook, fam, far, kind):
    """The client is told what all the headers leave."""
    room = 1500 - (20 if far is V4 else 40) - HEADER[kind]
    for size, fate in ((room, "tunnel"), (room + 1, "too-big")):
        payload = b"z" * (size - 8 - (20 if fam is V4 else 40))
        given = request(fam, "udp", port, kind, far, payload)
        with prog.counting() as grown:
            result = prog.deliver(hook, given)
        assert grown[fate] == 1, grown
        if fate == "too-big":
            data = bytes(result.raw[14 + (20 if fam is V4 else 40) :])
            assert int.from_bytes(data[4:8], "big") == room


@each_family
@each_kind
def test_errors_of_the_client(prog, port, fam, kind):
    """They take the way of the flow, in the tunnel; their sum is made of all of it."""
    assert prog.tc(request(fam, "udp", port, kind, fam)).fate == "sent"
    quoted = fam.ip(fam.vip, fam.client) / l4("udp", vport(kind, fam), port, "", b"answer")
    icmp = ICMP(type=3, code=3) if fam is V4 else ICMPv6DestUnreach(code=4)
    given = Ether(src=mac_client(), dst=MAC_C0) / fam.ip(fam.client, fam.vip) / icmp / quoted
    given = Ether(bytes(given))
    with prog.counting() as grown:
        result = prog.tc(given)
    assert grown == {"icmp-in": 1}
    judge(result, wrapped(kind, fam, fam, given, result, KINDS[kind][1]), given, fam)


@each_family
@each_kind
def test_errors_about_the_tunnel(prog, port, fam, kind):
    """IPv4: told to the client. IPv6: only the path's MTU is kept, as the kernel does not look into it."""
    given = request(fam, "tcp", port, kind, fam)
    result = prog.tc(given)
    about = Ether(b"\0" * 12 + bytes(given)[12:14] + result.raw[14:]).payload
    icmp = ICMP(type=11) if fam is V4 else ICMPv6DestUnreach(code=0)
    router = "10.99.0.1" if fam is V4 else "2001:db8:99::9"
    error = Ether(src=mac_real(3), dst=MAC_S0) / fam.ip(router, fam.host_s) / icmp / Raw(bytes(about))
    error = Ether(bytes(error))
    with prog.counting() as grown:
        result = prog.tc(error, "s0")
    if fam is V6:
        assert grown == {"icmp-other": 1}
        return
    assert grown == {"icmp-out": 1}
    got = IP(result.raw[14:])
    assert (got.src, got.dst) == (V4.vip, V4.client)
    assert (got[ICMP].type, got[ICMP].code) == (11, 0)
    head = HEADER[kind] + 20
    assert bytes(got[ICMP])[8:] == bytes(about)[head:]


@each_kind
def test_errors_about_another_tunnel(prog, port, kind):
    """A GUE tunnel to another port, or a packet that only looks like a tunnel's, is none of ours."""
    given = request(V4, "tcp", port, kind, V4)
    raw = bytearray(prog.tc(given).raw[14:])
    raw[23 if kind.startswith("gue") else 20] ^= 0x40
    error = Ether(src=mac_real(3), dst=MAC_S0) / V4.ip("10.99.0.1", V4.host_s) / ICMP(type=11)
    error = Ether(bytes(error / Raw(bytes(raw))))
    with prog.counting() as grown:
        same(prog.tc(error, "s0"), error)
    assert grown == {"icmp-other": 1}
