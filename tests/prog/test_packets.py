# SPDX-License-Identifier: GPL-2.0-only
"""
What each packet turns into, byte by byte: {xdp, tc} x {v4, v6} x {tcp, udp, sctp}. Expected frames are
built by scapy, checksums included.
"""

import errno
import itertools

import pytest
from harness import (
    FAMILIES,
    MAC_C0,
    MAC_S0,
    SERVICE_OPTIONS,
    V4,
    V6,
    RunError,
    checksums_hold,
    l4,
    mac_client,
    mac_real,
    same,
    sent,
)
from scapy.all import (
    ARP,
    ICMP,
    IP,
    TCP,
    UDP,
    Dot1Q,
    Ether,
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPOption_NOP,
    IPOption_RR,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
    Raw,
)

# Services, by port; both protocols, both families. (forwarding flag, real server's number and port)
NAT, NAT_SAME, DR, EMPTY, QUIET, NARROW_NAT, NARROW_DR = 80, 81, 82, 83, 84, 85, 86
TUN, TUN_CROSS, NARROW_TUN, NARROW_CROSS, NAT_TWO, VLAN_DR = 87, 88, 89, 90, 91, 92

SERVICES = {
    NAT: [("-m", 1, 8080)],
    NAT_SAME: [("-m", 1, NAT_SAME)],
    DR: [("-g", 2, DR)],
    EMPTY: [],
    QUIET: [("-m", 1, QUIET)],
    NARROW_NAT: [("-m", 4, NARROW_NAT)],
    NARROW_DR: [("-g", 4, NARROW_DR)],
    TUN: [("-i", 3, TUN)],
    TUN_CROSS: [("-i", 3, TUN_CROSS)],
    NARROW_TUN: [("-i", 4, NARROW_TUN)],
    NARROW_CROSS: [("-i", 4, NARROW_CROSS)],
    NAT_TWO: [("-m", 1, NAT_TWO), ("-m", 2, NAT_TWO)],
    VLAN_DR: [],
}

pytestmark = pytest.mark.usefixtures("no_bugs")

HOOKS = ["xdp", "tc"]
PROTOS = ["tcp", "udp", "sctp"]

each_hook = pytest.mark.parametrize("hook", HOOKS)
each_family = pytest.mark.parametrize("fam", FAMILIES, ids=["v4", "v6"])
each_proto = pytest.mark.parametrize("proto", PROTOS)


def other(fam):
    return V6 if fam is V4 else V4


@pytest.fixture(scope="module", autouse=True)
def services(ns, prog):
    for fam, proto, port in itertools.product(FAMILIES, PROTOS, SERVICES):
        svc = f"{SERVICE_OPTIONS[proto]} {fam.endpoint(fam.vip, port)}"
        ns.ipvsadm(f"-A {svc} -s rr")
        for flag, number, rport in SERVICES[port]:
            far = other(fam) if port in (TUN_CROSS, NARROW_CROSS) else fam
            weight = 0 if port == QUIET else 1
            ns.ipvsadm(
                f"-a {svc} -r {far.endpoint(far.real(number), rport)} {flag} -w {weight}"
            )
    for proto in PROTOS:
        ns.ipvsadm(f"-a {SERVICE_OPTIONS[proto]} 10.0.1.100:{VLAN_DR} -r 10.0.99.1:{VLAN_DR} -g")
        ns.ipvsadm(f"-a {SERVICE_OPTIONS[proto]} [2001:db8:1::100]:{VLAN_DR} -r [2001:db8:99::1]:{VLAN_DR} -g")


# ---- building frames ----


def in_c0(*layers):
    """From the client, as c0 receives it."""
    pkt = Ether(src=mac_client(), dst=MAC_C0)
    for layer in layers:
        pkt = pkt / layer
    return pkt


def in_s0(number, *layers):
    """From real server `number`, as s0 receives it."""
    pkt = Ether(src=mac_real(number), dst=MAC_S0)
    for layer in layers:
        pkt = pkt / layer
    return pkt


def out_s0(number, *layers):
    """Towards real server `number`."""
    pkt = Ether(src=MAC_S0, dst=mac_real(number))
    for layer in layers:
        pkt = pkt / layer
    return pkt


def out_c0(*layers):
    """Towards the client."""
    pkt = Ether(src=MAC_C0, dst=mac_client())
    for layer in layers:
        pkt = pkt / layer
    return pkt


def request(fam, proto, cport, vport, ttl=64, flags="S", payload=b"", **ip):
    return in_c0(fam.ip(fam.client, fam.vip, ttl, **ip), l4(proto, cport, vport, flags, payload))


def answer(fam, proto, cport, rport, real=1, ttl=64, flags="SA", payload=b""):
    return in_s0(
        real, fam.ip(fam.real(real), fam.client, ttl), l4(proto, rport, cport, flags, payload)
    )


def tunnelled(fam, far, number, inner):
    """`inner` (IP and up) in the outer header of family `far`."""
    ttl = inner.ttl if fam is V4 else inner.hlim
    if far is V4:
        df = "DF" if fam is V4 and "DF" in inner.flags else 0
        outer = IP(
            src=far.host_s, dst=far.real(number), ttl=ttl, id=0, flags=df,
            proto=4 if fam is V4 else 41,
        )  # fmt: skip
    else:
        outer = IPv6(
            src=far.host_s, dst=far.real(number), hlim=ttl, nh=4 if fam is V4 else 41
        )
    return out_s0(number, outer, inner)


def sent_tunnelled(result, expected, given):
    """As sent(), but without DF the outer IPv4 header's identity is the sender's choice."""
    assert result.fate == "sent", result
    checksums_hold(bytes(expected)[:14] + result.raw[14:])
    outer = Ether(bytes(expected)[:14] + result.raw[14:]).payload
    if outer.version == 4 and not outer.flags.DF:
        outer.id = 0
        del outer.chksum
        result.raw = result.raw[:14] + bytes(outer)
    sent(result, expected, given)


def open_flow(prog, fam, proto, cport, vport, rport=None, real=1):
    """A flow that has been answered: established TCP, or a UDP exchange."""
    assert prog.tc(request(fam, proto, cport, vport)).fate == "sent"
    if rport:
        assert prog.tc(answer(fam, proto, cport, rport, real), "s0").fate == "sent"
    if proto == "tcp":
        assert prog.tc(request(fam, proto, cport, vport, flags="A")).fate == "sent"


# ---- forwarding ----


@each_hook
@each_family
@each_proto
@pytest.mark.parametrize("vport,rport", [(NAT, 8080), (NAT_SAME, NAT_SAME)])
def test_nat(prog, port, hook, fam, proto, vport, rport):
    given = request(fam, proto, port, vport, payload=b"hello")
    want = out_s0(
        1, fam.ip(fam.client, fam.real(1), 63), l4(proto, port, rport, "S", b"hello")
    )
    with prog.counting() as grown:
        sent(prog.forward(hook, given), want, given)
    assert grown["nat-in"] >= 1

    given = answer(fam, proto, port, rport, payload=b"welcome")
    want = out_c0(fam.ip(fam.vip, fam.client, 63), l4(proto, vport, port, "SA", b"welcome"))
    with prog.counting() as grown:
        sent(prog.forward(hook, given, "s0"), want, given)
    assert grown["nat-out"] >= 1

    (conn,) = prog.conns(fam.client, port)
    assert conn["virtual"] == [fam.vip, vport]
    assert conn["real"] == [fam.real(1), rport]
    assert conn["fwd"] == "Masq"


@each_hook
@each_family
@each_proto
def test_direct(prog, port, hook, fam, proto):
    given = request(fam, proto, port, DR, payload=b"hello")
    want = out_s0(2, fam.ip(fam.client, fam.vip, 63), l4(proto, port, DR, "S", b"hello"))
    with prog.counting() as grown:
        sent(prog.forward(hook, given), want, given)
    assert grown["direct"] >= 1
    (conn,) = prog.conns(fam.client, port)
    assert (conn["real"], conn["fwd"]) == ([fam.real(2), DR], "Route")


@each_hook
@each_family
@each_proto
@pytest.mark.parametrize("vport", [TUN, TUN_CROSS], ids=["same-family", "other-family"])
def test_tunnel(prog, port, hook, fam, proto, vport):
    far = other(fam) if vport == TUN_CROSS else fam
    given = request(fam, proto, port, vport, payload=b"hello")
    inner = fam.ip(fam.client, fam.vip, 63) / l4(proto, port, vport, "S", b"hello")
    with prog.counting() as grown:
        result = prog.forward(hook, given)
    sent_tunnelled(result, tunnelled(fam, far, 3, inner), given)
    assert grown["tunnel"] >= 1
    (conn,) = prog.conns(fam.client, port)
    assert (conn["real"], conn["fwd"]) == ([far.real(3), vport], "Tunnel")


@each_hook
def test_tunnel_without_df(prog, port, hook):
    """The outer header has DF where the inner one has."""
    given = request(V4, "tcp", port, TUN, flags="S")
    given[IP].flags = 0
    inner = V4.ip(V4.client, V4.vip, 63) / l4("tcp", port, TUN)
    inner.flags = 0
    result = prog.forward(hook, given)
    assert not result.pkt[IP].flags.DF
    sent_tunnelled(result, tunnelled(V4, V4, 3, inner), given)


@each_hook
@each_family
@pytest.mark.parametrize("tos,outer", [(0xB8, 0xB8), (0x02, 0x02), (0x03, 0x02)])
def test_tunnel_class(prog, port, hook, fam, tos, outer):
    """The class of traffic is copied, "congestion experienced" turns into "capable"."""
    given = request(fam, "tcp", port, TUN, **({"tos": tos} if fam is V4 else {"tc": tos}))
    result = prog.forward(hook, given).pkt
    layers = result.getlayer(IP if fam is V4 else IPv6)
    inner = layers.payload
    assert (layers.tos if fam is V4 else layers.tc) == outer
    assert (inner.tos if fam is V4 else inner.tc) == tos


@each_family
@each_proto
@pytest.mark.parametrize("vport,real,rport", [(NAT, 1, 8080), (DR, 2, DR)])
def test_tagged_in(prog, port, fam, proto, vport, real, rport):
    """A frame's tag is taken off when it leaves by a device without one (XDP)."""
    plain = request(fam, proto, port, vport, payload=b"hello")
    given = Ether(src=plain.src, dst=plain.dst) / Dot1Q(vlan=7) / plain.payload
    to = fam.real(real) if vport == NAT else fam.vip
    want = out_s0(real, fam.ip(fam.client, to, 63), l4(proto, port, rport, "S", b"hello"))
    sent(prog.forward("xdp", given), want, given)


@each_family
def test_tagged_tunnel(prog, port, fam):
    plain = request(fam, "tcp", port, TUN)
    given = Ether(src=plain.src, dst=plain.dst) / Dot1Q(vlan=7) / plain.payload
    inner = fam.ip(fam.client, fam.vip, 63) / l4("tcp", port, TUN)
    sent_tunnelled(prog.forward("xdp", given), tunnelled(fam, fam, 3, inner), given)


@each_family
@pytest.mark.parametrize("tag", [None, 7], ids=["plain", "tagged"])
def test_tagged_out(prog, port, fam, tag):
    """Towards a real server behind a VLAN device XDP writes the tag itself."""
    prog.pretend_vlan("s9", "s0", 9)
    given = plain = request(fam, "tcp", port, VLAN_DR, payload=b"x" * 20)
    if tag:
        given = Ether(src=plain.src, dst=plain.dst) / Dot1Q(vlan=tag) / plain.payload
    inner = fam.ip(fam.client, fam.vip, 63) / l4("tcp", port, VLAN_DR, payload=b"x" * 20)
    want = Ether(src=MAC_S0, dst=mac_real(1)) / Dot1Q(vlan=9) / inner
    sent(prog.forward("xdp", given), want, given)


@each_hook
@each_family
@each_proto
def test_established(prog, port, hook, fam, proto):
    """Packets of a known flow go where its first one went, both ways, whatever their flags."""
    open_flow(prog, fam, proto, port, NAT, 8080)
    for flags in ("A", "PA", "A"):
        given = request(fam, proto, port, NAT, flags=flags, payload=b"GET /")
        want = out_s0(
            1, fam.ip(fam.client, fam.real(1), 63), l4(proto, port, 8080, flags, b"GET /")
        )
        sent(prog.forward(hook, given), want, given)
        given = answer(fam, proto, port, 8080, flags=flags, payload=b"200")
        want = out_c0(fam.ip(fam.vip, fam.client, 63), l4(proto, NAT, port, flags, b"200"))
        sent(prog.forward(hook, given, "s0"), want, given)
    assert len(prog.conns(fam.client, port)) == 1


@each_hook
@each_family
@each_proto
def test_flows_stick(prog, port, hook, fam, proto):
    """Two real servers by turns; each flow stays with its own."""
    places = {}
    for turn in range(3):
        for offset in range(4):
            cport = 40000 + (port * 4 + offset) % 20000
            given = request(fam, proto, cport, NAT_TWO, flags="A" if turn else "S")
            result = prog.forward(hook, given).pkt
            dst = result.getlayer(IP if fam is V4 else IPv6).dst
            assert places.setdefault(cport, dst) == dst
    assert sorted(places.values()) == sorted([fam.real(1), fam.real(2)] * 2)


@each_hook
@each_family
def test_large_and_odd_payloads(prog, port, hook, fam):
    open_flow(prog, fam, "tcp", port, NAT, 8080)
    for size in (1, 2, 3, 17, 536, 1400):
        body = bytes(i * 7 & 0xFF for i in range(size))
        given = request(fam, "tcp", port, NAT, flags="PA", payload=body)
        want = out_s0(1, fam.ip(fam.client, fam.real(1), 63), l4("tcp", port, 8080, "PA", body))
        sent(prog.forward(hook, given), want, given)


@each_hook
def test_padded_frame(prog, port, hook):
    """A short frame's padding is not part of the packet, and goes along as it is."""
    plain = bytes(request(V4, "tcp", port, NAT))
    given = Ether(plain + b"\xaa" * 6)
    want = bytes(out_s0(1, V4.ip(V4.client, V4.real(1), 63), l4("tcp", port, 8080)))
    sent(prog.forward(hook, given), want + b"\xaa" * 6, given)


@pytest.mark.parametrize("linear", [14, 34, 40, 54])
@each_family
def test_not_linear(prog, port, fam, linear):
    """Headers outside the skb's head are as good (where test runs can make such skbs: 6.18)."""
    given = request(fam, "tcp", port, NAT, payload=b"x" * 400)
    want = out_s0(1, fam.ip(fam.client, fam.real(1), 63), l4("tcp", port, 8080, "S", b"x" * 400))
    try:
        result = prog.tc(given, linear=linear)
    except RunError as e:
        assert "Invalid argument" in str(e), errno.EINVAL
        return
    sent(result, want, given)


# ---- checksums ----


@each_hook
def test_udp_without_checksum(prog, port, hook):
    """NAT gives it one, as IPVS does; XDP leaves that to TC."""
    given = request(V4, "udp", port, NAT, payload=b"hello")
    given[UDP].chksum = 0
    with prog.counting() as grown:
        result = prog.forward(hook, given)
    if hook == "xdp":
        same(result, given)
        assert grown["up-checksum"] == 1
        return
    want = out_s0(1, V4.ip(V4.client, V4.real(1), 63), l4("udp", port, 8080, "", b"hello"))
    sent(result, want, given)

    given = answer(V4, "udp", port, 8080, payload=b"odd")
    given[UDP].chksum = 0
    want = out_c0(V4.ip(V4.vip, V4.client, 63), l4("udp", NAT, port, "", b"odd"))
    sent(prog.tc(given, "s0"), want, given)


@each_hook
@pytest.mark.parametrize("vport", [DR, TUN])
def test_udp_without_checksum_untouched(prog, port, hook, vport):
    """What NAT does not rewrite keeps its zero."""
    given = request(V4, "udp", port, vport, payload=b"hello")
    given[UDP].chksum = 0
    result = prog.forward(hook, given)
    assert result.fate == "sent"
    assert result.pkt.getlayer(UDP).chksum == 0


@each_hook
@each_family
def test_udp_checksum_of_all_ones(prog, port, hook, fam):
    """A sum of zero is sent as 0xffff: zero would say "no checksum"."""
    body = bytearray(b"\0\0payload.")
    want = lambda: out_s0(
        1, fam.ip(fam.client, fam.real(1), 63), l4("udp", port, 8080, "", bytes(body))
    )
    body[:2] = Ether(bytes(want()))[UDP].chksum.to_bytes(2, "big")
    assert Ether(bytes(want()))[UDP].chksum == 0xFFFF
    given = request(fam, "udp", port, NAT, payload=bytes(body))
    sent(prog.forward(hook, given), want(), given)


@each_hook
@each_proto
def test_wrong_checksum_stays_wrong(prog, port, hook, proto):
    """Checksums are adjusted, not made anew: what came damaged arrives damaged."""
    given = Ether(bytes(request(V4, proto, port, NAT, payload=b"hello")))
    given[1].payload.chksum ^= 0x0101
    result = prog.forward(hook, given).pkt
    got = result[1].payload.chksum
    del result[1].payload.chksum
    assert got != Ether(bytes(result))[1].payload.chksum


# ---- headers that are longer than usual ----


@each_hook
@each_proto
@pytest.mark.parametrize("vport,real,rport", [(NAT, 1, 8080), (DR, 2, DR)])
def test_ipv4_options(prog, port, hook, proto, vport, real, rport):
    options = [IPOption_RR(length=7, routers=["0.0.0.0"]), IPOption_NOP()]
    to = V4.real(real) if vport == NAT else V4.vip
    given = request(V4, proto, port, vport, options=options)
    want = out_s0(real, V4.ip(V4.client, to, 63, options=options), l4(proto, port, rport))
    sent(prog.forward(hook, given), want, given)


@each_hook
@each_proto
@pytest.mark.parametrize("vport,real,rport", [(NAT, 1, 8080), (DR, 2, DR)])
def test_ipv6_extension_headers(prog, port, hook, proto, vport, real, rport):
    extensions = lambda: (
        IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])
        / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])
    )
    to = V6.real(real) if vport == NAT else V6.vip
    given = in_c0(V6.ip(V6.client, V6.vip), extensions(), l4(proto, port, vport))
    want = out_s0(real, V6.ip(V6.client, to, 63), extensions(), l4(proto, port, rport))
    sent(prog.forward(hook, given), want, given)


@each_hook
def test_ipv6_extension_in_tunnel(prog, port, hook):
    given = in_c0(V6.ip(V6.client, V6.vip), IPv6ExtHdrDestOpt(), l4("tcp", port, TUN))
    inner = V6.ip(V6.client, V6.vip, 63) / IPv6ExtHdrDestOpt() / l4("tcp", port, TUN)
    sent_tunnelled(prog.forward(hook, given), tunnelled(V6, V6, 3, inner), given)


# ---- fragments ----


def fragments(fam, cport, vport):
    """A UDP datagram in two pieces; and the pieces as NAT has to send them on."""
    body = bytes(i & 0xFF for i in range(64))
    whole = lambda src, dst, ttl, dport: fam.ip(src, dst, ttl) / l4("udp", cport, dport, "", body)

    def cut(ip):
        raw = bytes(ip)[20 if fam is V4 else 40 :]
        for off, more in ((0, 1), (40, 0)):
            piece = raw[off : 40 if more else None]
            if fam is V4:
                head = IP(src=ip.src, dst=ip.dst, ttl=ip.ttl, id=99, proto=17,
                          flags="MF" if more else 0, frag=off // 8)  # fmt: skip
            else:
                head = IPv6(src=ip.src, dst=ip.dst, hlim=ip.hlim) / IPv6ExtHdrFragment(
                    nh=17, id=99 + cport, m=more, offset=off // 8
                )
            yield head / Raw(piece)

    given = cut(whole(fam.client, fam.vip, 64, vport))
    want = cut(whole(fam.client, fam.real(1), 63, 8080))
    return [in_c0(p) for p in given], [out_s0(1, p) for p in want]


@each_family
def test_fragments_go_up(prog, port, fam):
    given, _ = fragments(fam, port, NAT)
    for piece in given:
        with prog.counting() as grown:
            same(prog.xdp(piece), piece)
        assert grown == {"up-fragment": 1}


@each_family
def test_fragments(prog, port, fam):
    given, want = fragments(fam, port, NAT)
    for piece, expected in zip(given, want):
        sent(prog.tc(piece), expected, piece)


@each_family
def test_stray_fragment(prog, port, fam):
    """A later fragment whose first one was never seen: nothing is known of it."""
    (_, later), _ = fragments(fam, port, NAT)
    later = Ether(bytes(later))
    if fam is V4:
        later[IP].id = port
        del later[IP].chksum
    with prog.counting() as grown:
        same(prog.tc(later), Ether(bytes(later)))
    assert grown == {"fragment": 1}


# ---- hop limits, MTU, refusals: ICMP errors of our own ----


def is_error(result, fam, given, kinds, mtu=None, source=None):
    """An ICMP error to the client that quotes `given`."""
    assert result.fate == "sent", result
    pkt = result.pkt
    checksums_hold(result.raw)
    ip = pkt.getlayer(IP if fam is V4 else IPv6)
    assert ip.dst == fam.client
    assert ip.src in ([source] if source else [fam.vip, fam.host_c])
    assert (ip.ttl if fam is V4 else ip.hlim) > 1
    icmp = ip.payload
    if fam is V4:
        assert (icmp.type, icmp.code) == kinds[0]
    else:
        assert (icmp.type, icmp.code) == kinds[1]
    if mtu:
        assert (icmp.nexthopmtu if fam is V4 else icmp.mtu) == mtu
    raw = bytes(given)[14:]
    quoted = bytes(ip)[20 + 8 if fam is V4 else 40 + 8 :]
    assert len(quoted) >= min(len(raw), 28 if fam is V4 else 48)
    assert raw.startswith(quoted)
    if fam is V6:
        assert len(bytes(ip)) <= 1280
    else:
        assert len(bytes(ip)) <= 576


def handed_up(prog, given):
    """What XDP leaves to TC it leaves untouched; returns the reason, a neighbour's turn aside."""
    for _ in range(2):
        with prog.counting() as grown:
            same(prog.xdp(given), given)
        if grown != {"up-neighbour": 1}:
            break
        prog.tc(given)
    return dict(grown)


TIME_EXCEEDED = ((11, 0), (3, 0))
PORT_UNREACHABLE = ((3, 3), (1, 4))
TOO_BIG = ((3, 4), (2, 0))


@each_family
@each_proto
@pytest.mark.parametrize("vport", [NAT, DR, TUN])
@pytest.mark.parametrize("ttl", [1, 0])
def test_ttl_used_up(prog, port, fam, proto, vport, ttl):
    """The error counts as a packet out, as IPVS sees it, but for NAT."""
    given = request(fam, proto, port, vport, ttl=ttl)
    assert handed_up(prog, given) == {"up-answer": 1}
    before = prog.stats()
    with prog.counting() as grown:
        is_error(prog.tc(given), fam, given, TIME_EXCEEDED)
    assert grown == {"ttl-exceeded": 1}
    after = prog.stats()
    length = len(bytes(given)) - 14 + (28 if fam is V4 else 48)
    assert after["outpkts"] - before["outpkts"] == (vport != NAT)
    assert after["outbytes"] - before["outbytes"] == (vport != NAT) * length


@each_hook
@each_family
@pytest.mark.parametrize("vport,real,rport", [(NAT, 1, 8080), (DR, 2, DR)])
def test_last_hop_but_one(prog, port, hook, fam, vport, real, rport):
    given = request(fam, "tcp", port, vport, ttl=2)
    to = fam.real(real) if vport == NAT else fam.vip
    want = out_s0(real, fam.ip(fam.client, to, 1), l4("tcp", port, rport))
    sent(prog.forward(hook, given), want, given)


@each_family
def test_ttl_of_a_reply(prog, port, fam):
    """The real server is told, from an address that it knows: the VIP or the director's."""
    open_flow(prog, fam, "tcp", port, NAT, 8080)
    given = answer(fam, "tcp", port, 8080, ttl=1, flags="A")
    same(prog.xdp(given, "s0"), given)
    result = prog.tc(given, "s0")
    assert result.fate == "sent"
    checksums_hold(result.raw)
    ip = result.pkt.getlayer(IP if fam is V4 else IPv6)
    assert ip.dst == fam.real(1)
    assert (ip.payload.type, ip.payload.code) == TIME_EXCEEDED[0 if fam is V4 else 1]


# Where the path's MTU is 1400: what fits the client's packet.
NARROW = [
    (NARROW_NAT, 1400, 1400),
    (NARROW_DR, 1400, 1400),
    (NARROW_TUN, 1380, 1360),
    (NARROW_CROSS, 1360, 1380),
]


def one_hop_on(given, fam):
    """The packet with its hop limit one lower: IPVS quotes what is too large as it would go out."""
    lower = Ether(bytes(given))
    if fam is V4:
        lower[IP].ttl -= 1
        del lower[IP].chksum
    else:
        lower[IPv6].hlim -= 1
    return Ether(bytes(lower))


@each_family
@pytest.mark.parametrize("vport,fits4,fits6", NARROW)
def test_too_big(prog, port, fam, vport, fits4, fits6):
    fits = fits4 if fam is V4 else fits6
    head = 40 if fam is V4 else 60
    given = request(fam, "tcp", port, vport)
    assert prog.tc(given).fate == "sent"
    given = request(fam, "tcp", port, vport, flags="A", payload=b"x" * (fits - head))
    for hook in HOOKS:
        assert prog.forward(hook, given).fate == "sent", f"{fits} bytes fit"
    given = request(fam, "tcp", port, vport, flags="A", payload=b"x" * (fits - head + 1))
    assert handed_up(prog, given) == {"up-answer": 1}
    with prog.counting() as grown:
        is_error(prog.tc(given), fam, one_hop_on(given, fam), TOO_BIG, mtu=fits)
    assert grown == {"too-big": 1}


@pytest.mark.parametrize("vport", [NARROW_NAT, NARROW_DR])
def test_too_big_without_df(prog, port, vport):
    """A router might cut it, a program cannot: dropped, and counted."""
    open_flow(prog, V4, "tcp", port, vport)
    given = request(V4, "tcp", port, vport, flags="A", payload=b"x" * 1400)
    given[IP].flags = 0
    same(prog.xdp(given), given)
    with prog.counting() as grown:
        assert prog.tc(given).fate == "drop"
    assert grown == {"oversize": 1}


@each_family
def test_segments_to_come_are_not_too_big(prog, port, fam):
    """A GSO skb is larger than the MTU until the device cuts it."""
    open_flow(prog, fam, "tcp", port, NARROW_NAT)
    body = b"x" * 2600
    given = request(fam, "tcp", port, NARROW_NAT, flags="A", payload=body)
    want = out_s0(
        4, fam.ip(fam.client, fam.real(4), 63), l4("tcp", port, NARROW_NAT, "A", body)
    )
    sent(prog.tc(given, gso_size=1300, gso_segs=2), want, given)


@each_family
@each_proto
@pytest.mark.parametrize("vport", [EMPTY, QUIET], ids=["none", "all-quiesced"])
def test_no_destination(prog, port, fam, proto, vport):
    given = request(fam, proto, port, vport, payload=b"hello")
    assert handed_up(prog, given) == {"up-answer": 1}
    with prog.counting() as grown:
        is_error(prog.tc(given), fam, given, PORT_UNREACHABLE, source=fam.vip)
    assert grown == {"no-destination": 1}
    assert prog.conns(fam.client, port) == []


# ---- ICMP errors about connections ----


def error4(kind, src, dst, inner, ttl=64):
    icmp = {
        "unreachable": ICMP(type=3, code=3),
        "frag-needed": ICMP(type=3, code=4, nexthopmtu=1300),
        "time-exceeded": ICMP(type=11, code=0),
    }[kind]
    return V4.ip(src, dst, ttl, flags=0) / icmp / inner


def error6(kind, src, dst, inner, ttl=64):
    icmp = {
        "unreachable": ICMPv6DestUnreach(code=4),
        "frag-needed": ICMPv6PacketTooBig(mtu=1300),
        "time-exceeded": ICMPv6TimeExceeded(code=0),
    }[kind]
    return V6.ip(src, dst, ttl) / icmp / inner


def error(fam, *args, **kwargs):
    return (error4 if fam is V4 else error6)(*args, **kwargs)


def inner(fam, src, dst, proto, sport, dport, ttl=60, sum_of=None):
    """
    The quoted packet. IPVS translates its addresses and ports and leaves its transport checksum,
    so that of `sum_of` (source, destination, ports before) may be in place of the right one.
    """
    pkt = fam.ip(src, dst, ttl) / l4(proto, sport, dport, "A", b"quoted")
    if sum_of:
        old = fam.ip(*sum_of[:2]) / l4(proto, *sum_of[2:], "A", b"quoted")
        pkt.payload.chksum = type(old)(bytes(old)).payload.chksum
    return pkt


def sent_one_of(result, wanted, given):
    """One of the acceptable frames."""
    raws = [bytes(w)[14:] for w in wanted]
    match = [w for w, raw in zip(wanted, raws) if raw == result.raw[14:]]
    sent(result, match[0] if match else wanted[0], given)


KINDS = ["unreachable", "frag-needed", "time-exceeded"]


@each_family
@each_proto
@pytest.mark.parametrize("kind", KINDS)
def test_icmp_from_the_client_side(prog, port, fam, proto, kind):
    """About a reply: what the client saw from the VIP, the real server sees from itself."""
    open_flow(prog, fam, proto, port, NAT, 8080)
    quoted = inner(fam, fam.vip, fam.client, proto, NAT, port)
    given = in_c0(error(fam, kind, fam.client, fam.vip, quoted))
    with prog.counting() as grown:
        same(prog.xdp(given), given)
    assert grown == {"up-icmp": 1}
    wanted = []
    for sum_of in (None, (fam.vip, fam.client, NAT, port)):
        quoted = inner(fam, fam.real(1), fam.client, proto, 8080, port, sum_of=sum_of)
        wanted.append(out_s0(1, error(fam, kind, fam.client, fam.real(1), quoted, ttl=63)))
    with prog.counting() as grown:
        sent_one_of(prog.tc(given), wanted, given)
    assert grown == {"icmp-in": 1}


@each_family
@each_proto
@pytest.mark.parametrize("kind", KINDS)
def test_icmp_from_the_real_server(prog, port, fam, proto, kind):
    """About a request: it comes from the VIP, about the packet that the client sent."""
    open_flow(prog, fam, proto, port, NAT, 8080)
    quoted = inner(fam, fam.client, fam.real(1), proto, port, 8080)
    given = in_s0(1, error(fam, kind, fam.real(1), fam.client, quoted))
    same(prog.xdp(given, "s0"), given)
    wanted = []
    for sum_of in (None, (fam.client, fam.real(1), port, 8080)):
        quoted = inner(fam, fam.client, fam.vip, proto, port, NAT, sum_of=sum_of)
        wanted.append(out_c0(error(fam, kind, fam.vip, fam.client, quoted, ttl=63)))
    with prog.counting() as grown:
        sent_one_of(prog.tc(given, "s0"), wanted, given)
    assert grown == {"icmp-out": 1}


@each_family
@pytest.mark.parametrize("vport,real", [(DR, 2), (TUN, 3)])
def test_icmp_passed_on(prog, port, fam, vport, real):
    """DR and TUN rewrite nothing: the error takes the way of the flow."""
    open_flow(prog, fam, "tcp", port, vport)
    quoted = inner(fam, fam.vip, fam.client, "tcp", vport, port)
    given = in_c0(error(fam, "frag-needed", fam.client, fam.vip, quoted))
    same(prog.xdp(given), given)
    on = error(fam, "frag-needed", fam.client, fam.vip, quoted, ttl=63)
    with prog.counting() as grown:
        result = prog.tc(given)
    if vport == DR:
        sent(result, out_s0(real, on), given)
    else:
        sent_tunnelled(result, tunnelled(fam, fam, real, on), given)
    assert grown == {"icmp-in": 1}


@each_hook
@each_family
def test_icmp_about_no_connection(prog, port, hook, fam):
    for vport in (NAT, 9999):
        quoted = inner(fam, fam.vip, fam.client, "tcp", vport, port)
        given = in_c0(error(fam, "unreachable", fam.client, fam.vip, quoted))
        same(prog.run(hook, given), given)


@each_family
def test_icmp_quoting_little(prog, port, fam):
    """Eight bytes of the transport header are what a router has to quote."""
    open_flow(prog, fam, "tcp", port, NAT, 8080)
    cut = lambda pkt: Raw(bytes(pkt)[: 28 if fam is V4 else 48])
    quoted = cut(inner(fam, fam.vip, fam.client, "tcp", NAT, port))
    given = in_c0(error(fam, "unreachable", fam.client, fam.vip, quoted))
    quoted = cut(inner(fam, fam.real(1), fam.client, "tcp", 8080, port))
    want = out_s0(1, error(fam, "unreachable", fam.client, fam.real(1), quoted, ttl=63))
    sent(prog.tc(given), want, given)


def about_tunnel(port, kind, quoted=b"", bad=False):
    """An error by a router about the packet of `port` in the tunnel, and what it quotes of that."""
    request_in = V4.ip(V4.client, V4.vip, 63) / l4("tcp", port, TUN, "A", b"x" * 600)
    outer = tunnelled(V4, V4, 3, request_in)[IP]
    given = in_s0(3, error4(kind, "10.99.0.1", V4.host_s, Raw(bytes(outer)[: quoted or None])))
    if bad:
        given = Ether(bytes(given))
        given[ICMP].chksum ^= 0x100
    return given, Raw(bytes(request_in)[: quoted - 20 if quoted else 548])


@pytest.mark.parametrize("quoted", [0, 48, 148])
@pytest.mark.parametrize("kind", KINDS)
def test_icmp_about_a_tunnel(prog, port, kind, quoted):
    """The client is told of its own packet, and that it must be smaller by the outer header."""
    open_flow(prog, V4, "tcp", port, TUN)
    given, about = about_tunnel(port, kind, quoted)
    same(prog.xdp(given, "s0"), given)
    want = error4(kind, V4.vip, V4.client, about)
    if kind == "frag-needed":
        want[ICMP].nexthopmtu -= 20
    want = IP(bytes(want))
    with prog.counting() as grown:
        result = prog.tc(given, "s0")
    assert grown == {"icmp-out": 1}
    assert result.fate == "sent"
    checksums_hold(result.raw)
    got = IP(result.raw[14:])
    assert (got.src, got.dst, got.tos) == (V4.vip, V4.client, 0xC0)
    assert bytes(got.payload) == bytes(want.payload)


def test_icmp_about_a_tunnel_refused(prog, port):
    """Too short to tell the ports, or with a wrong sum, which a new one would hide."""
    open_flow(prog, V4, "tcp", port, TUN)
    for bad in ({"quoted": 43}, {"bad": True}):
        given, _ = about_tunnel(port, "unreachable", **bad)
        with prog.counting() as grown:
            same(prog.tc(given, "s0"), given)
        assert grown == {"icmp-other": 1}


# ---- what is none of our business ----


def not_ours(fam, port):
    """(name, frame, the reason it is counted under, or None where hooks may differ)"""
    tcp = lambda dport, flags="S": l4("tcp", port, dport, flags)
    to_vip = fam.ip(fam.client, fam.vip)
    yield "other address", in_c0(fam.ip(fam.client, fam.stranger), tcp(NAT)), "not-ours"
    yield "director's address", in_c0(fam.ip(fam.client, fam.host_c), tcp(22)), "not-ours"
    yield "other port", in_c0(to_vip, tcp(9999)), "no-service"
    yield "no connection", in_c0(to_vip, tcp(NAT, "A")), "no-connection"
    yield "reset", in_c0(to_vip, tcp(NAT, "R")), "no-connection"
    yield "syn and reset", in_c0(to_vip, tcp(NAT, "SR")), "no-connection"
    yield "no flags", in_c0(to_vip, tcp(NAT, "")), "no-connection"
    yield (
        "other host's MAC",
        Ether(src=mac_client(), dst="02:00:00:00:01:77") / to_vip / tcp(NAT),
        "not-for-host",
    )
    yield (
        "broadcast MAC",
        Ether(src=mac_client(), dst="ff:ff:ff:ff:ff:ff") / to_vip / tcp(NAT),
        "not-for-host",
    )
    if fam is V4:
        yield "echo", in_c0(to_vip, ICMP(type=8), Raw(b"ping")), None
        yield "gre", in_c0(V4.ip(V4.client, V4.vip, proto=47), Raw(b"\0" * 40)), "protocol"
        yield "arp", Ether(src=mac_client(), dst="ff:ff:ff:ff:ff:ff") / ARP(pdst=V4.vip), "not-ip"
        yield "bad version", in_c0(V4.ip(V4.client, V4.vip, version=5), tcp(NAT)), "short"
        yield "short header", in_c0(V4.ip(V4.client, V4.vip, ihl=4), tcp(NAT)), "short"
    else:
        yield "echo", in_c0(to_vip, ICMPv6EchoRequest(data=b"ping")), None
        yield "no next header", in_c0(V6.ip(V6.client, V6.vip, nh=59)), "protocol"
        yield "solicitation", in_c0(to_vip, ICMPv6ND_NS(tgt=V6.vip)), None
        multicast = Ether(src=mac_client(), dst="33:33:ff:00:01:00")
        yield "multicast", multicast / V6.ip(V6.client, "ff02::1:ff00:100") / ICMPv6ND_NS(), None
        yield "advertisement", in_c0(V6.ip("fe80::1", "ff02::1"), ICMPv6ND_RA()), None


@each_hook
@each_family
def test_untouched(prog, port, hook, fam):
    for name, given, reason in not_ours(fam, port):
        with prog.counting() as grown:
            same(prog.run(hook, given), given)
        assert sum(grown.values()) == 1, (name, grown)
        if reason:
            assert grown == {reason: 1}, name
    assert prog.conns(fam.client, port) == []


@each_hook
def test_not_ip(prog, hook):
    frames = [
        Ether(src=mac_client(), dst=MAC_C0, type=0x88CC) / Raw(b"\2\7lldp" * 8),
        Ether(src=mac_client(), dst=MAC_C0, type=0x0800),
        Ether(src=mac_client(), dst=MAC_C0) / Dot1Q(vlan=7) / Dot1Q(vlan=8) / IP(dst=V4.vip),
        Ether(src=mac_client(), dst=MAC_C0, type=0x88A8) / Raw(b"\0" * 60),
    ]
    for given in frames:
        given = Ether(bytes(given) + b"\0" * 46)
        same(prog.run(hook, given), given)


@each_hook
@each_family
@each_proto
def test_replies_of_nobody(prog, port, hook, fam, proto):
    """A NAT real server's own connections are not replies."""
    given = answer(fam, proto, port, 8080, flags="A")
    with prog.counting() as grown:
        same(prog.run(hook, given, "s0"), given)
    assert grown == {"not-a-reply": 1}


# ---- damage ----


def whole_packets(fam, port):
    yield "request", request(fam, "tcp", port, NAT, payload=b"x" * 8), "c0"
    yield "datagram", request(fam, "udp", port, NAT, payload=b"x" * 8), "c0"
    yield "direct", request(fam, "tcp", port, DR), "c0"
    yield "tunnel", request(fam, "tcp", port, TUN), "c0"
    yield "reply", answer(fam, "tcp", port, 8080, flags="A", payload=b"x" * 8), "s0"
    quoted = inner(fam, fam.vip, fam.client, "tcp", NAT, port)
    yield "icmp in", in_c0(error(fam, "unreachable", fam.client, fam.vip, quoted)), "c0"
    quoted = inner(fam, fam.client, fam.real(1), "tcp", port, 8080)
    yield "icmp out", in_s0(1, error(fam, "unreachable", fam.real(1), fam.client, quoted)), "s0"
    if fam is V4:
        options = [IPOption_RR(length=7, routers=["0.0.0.0"]), IPOption_NOP()]
        yield "options", request(fam, "tcp", port, NAT, options=options), "c0"
    else:
        extended = in_c0(V6.ip(V6.client, V6.vip), IPv6ExtHdrDestOpt(), l4("tcp", port, NAT))
        yield "extension", extended, "c0"


def headers_end(pkt):
    """Length of the frame up to the end of its transport header."""
    last = pkt.getlayer(TCP) or pkt.getlayer(UDP)
    return len(pkt) - len(last.payload) if last else len(pkt)


@each_hook
@each_family
def test_cut_short(prog, port, hook, fam):
    """
    Every valid packet cut at every length. Without whole headers it is left alone; without all of
    its payload it may be forwarded, but each is counted once and none makes a program fail.
    """
    open_flow(prog, fam, "tcp", port, NAT, 8080)
    for name, whole, dev in whole_packets(fam, port):
        raw = bytes(whole)
        end = headers_end(Ether(raw)) if "icmp" not in name else 0
        for size in range(15, len(raw)):
            try:
                with prog.counting() as grown:
                    result = prog.run(hook, raw[:size], dev)
            except RunError:
                # test runs make no skb of less than its IP header
                assert hook == "tc" and size < 14 + (20 if fam is V4 else 40)
                continue
            assert sum(grown.values()) == 1, (name, size, grown)
            assert result.fate in ("pass", "drop", "sent"), (name, size, result)
            if size < end:
                assert result.fate == "pass", (name, size, grown)
            if result.fate == "pass":
                assert result.raw == raw[:size], (name, size)


# ---- accounting ----


@each_hook
@each_family
def test_statistics(prog, port, hook, fam):
    """Packets and bytes from the IP header on, of total, service and destination alike."""
    service = prog.service(fam.vip, NAT)
    kinds = [("total", 0), ("svc", service["id"]), ("dest", service["dests"][0]["id"])]
    open_flow(prog, fam, "tcp", port, NAT, 8080)
    before = [prog.stats(*k) for k in kinds]
    there = request(fam, "tcp", port, NAT, flags="A", payload=b"x" * 100)
    back = answer(fam, "tcp", port, 8080, flags="A", payload=b"x" * 300)
    for _ in range(3):
        prog.deliver(hook, there)
    for _ in range(2):
        prog.deliver(hook, back, "s0")
    fresh = request(fam, "tcp", port + 20000, NAT)
    prog.deliver(hook, fresh)
    for kind, old in zip(kinds, before):
        new = prog.stats(*kind)
        grown = {k: new[k] - old[k] for k in new}
        assert grown == {
            "conns": 1,
            "inpkts": 4,
            "outpkts": 2,
            "inbytes": 3 * (len(there) - 14) + len(fresh) - 14,
            "outbytes": 2 * (len(back) - 14),
        }, kind


@each_hook
@each_family
@each_proto
def test_removed_destination(ns, prog, port, hook, fam, proto):
    """Flows of a removed real server are dropped silently, and resume when it is back."""
    svc = f"{SERVICE_OPTIONS[proto]} {fam.endpoint(fam.vip, NAT_SAME)}"
    real = f"-r {fam.endpoint(fam.real(1), NAT_SAME)}"
    open_flow(prog, fam, proto, port, NAT_SAME, NAT_SAME)
    given = request(fam, proto, port, NAT_SAME, flags="A")
    ns.ipvsadm(f"-d {svc} {real}")
    try:
        with prog.counting() as grown:
            assert prog.run(hook, given).fate == "drop"
        assert grown == {"dest-gone": 1}
    finally:
        ns.ipvsadm(f"-a {svc} {real} -m")
    assert prog.forward(hook, given).fate == "sent"
