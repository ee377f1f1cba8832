# SPDX-License-Identifier: GPL-2.0-only
"""bpvs realserver against the kernel: what it changes, what for, and that all of it goes again."""

import pathlib
import socket
import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, GRE, Ether
from scapy.packet import Raw

import netns
from test_faults import cookie_of

VIP, VIP6 = "192.168.229.111", "fd00:229::111"
RIP, RIP6 = "192.168.229.132", "fd00:229::132"
PEER, PEER6 = "192.168.229.10", "fd00:229::10"
BOTH = ("--vip", VIP, "--vip", VIP6)


@pytest.fixture
def rs(pair, bpvs):
    host = pair[0]
    host.realserver = lambda *argv, check=True: host.run(bpvs, "realserver", *argv, check=check)
    yield host
    host.realserver("down", check=False)


@pytest.fixture
def peer(pair):
    return pair[1]


def state(host):
    """All that realserver may touch, as text to compare."""
    keys = "net.ipv4.conf.[a-z0-9]+.(arp_ignore|arp_announce|rp_filter)|forward"
    return "\n".join(
        host.run(*command.split()).stdout
        for command in (
            "ip addr", "ip route", "ip -6 route", "tc qdisc", "tc filter show dev eth0 ingress",
            "nft list ruleset", f"sysctl -a -r {keys}",
        )
    )


def journal(host):
    """Is there one? Others' come and go, of other namespaces."""
    return pathlib.Path(f"/run/bpvs-realserver-{cookie_of(host)}").exists()


UPS = {
    "dr": ("--mode", "dr", *BOTH),
    "dr-nft": ("--mode", "dr", "--arp", "nft", *BOTH),
    "tun": ("--mode", "tun", "--decap", "bpf", *BOTH),
    "tun-nft": ("--mode", "tun", "--decap", "bpf", "--arp", "nft", *BOTH),
    "tun-gue": ("--mode", "tun", "--tun-type", "gue", "--tun-port", "6080", *BOTH),
    "tun-gre": ("--mode", "tun", "--tun-type", "gre", "--decap", "bpf", *BOTH),
    "nat": ("--mode", "nat", "--gateway", PEER, "--gateway", PEER6),
}


@pytest.mark.parametrize("options", UPS.values(), ids=UPS.keys())
def test_down_undoes_all(rs, options):
    rs.sysctl("net.ipv4.conf.eth0.rp_filter", 1)
    before = state(rs)
    assert not journal(rs)
    said = rs.realserver("up", *options).stdout
    assert "already" not in said
    up = state(rs)
    assert up != before and journal(rs)
    again = rs.realserver("up", *options).stdout
    assert all("already" in line or "nothing" in line for line in again.splitlines()), again
    assert state(rs) == up
    undone = rs.realserver("down").stdout
    assert state(rs) == before
    assert not journal(rs)
    changes = [line for line in said.splitlines() if "nothing" not in line]
    assert len(undone.splitlines()) == len(changes)
    assert "nothing to undo" in rs.realserver("down").stdout


def test_modes_add_up_and_one_down_undoes_them(rs):
    before = state(rs)
    for options in UPS.values():
        rs.realserver("up", *options)
    rs.realserver("up", "--mode", "tun", "--decap", "bpf", "--vip", "192.168.229.112")
    said = rs.realserver("status").stdout
    assert said.count("decapsulation on eth0, packets:") == 1
    assert "192.168.229.112" in said
    rs.realserver("down")
    assert state(rs) == before


def test_default_routes_come_back(rs):
    rs.ip("route", "add", "default", "via", "192.168.229.1", "dev", "eth0", "onlink")
    rs.ip("-6", "route", "add", "default", "via", "fd00:229::1", "dev", "eth0")
    before = state(rs)
    rs.realserver("up", *UPS["nat"])
    assert f"default via {PEER} dev eth0" in rs.ip("route")
    assert f"default via {PEER6} dev eth0" in rs.ip("-6", "route")
    assert "192.168.229.1 " not in rs.ip("route")
    rs.realserver("down")
    assert state(rs) == before


def test_down_leaves_what_others_changed_since(rs):
    rs.realserver("up", *UPS["tun"])
    rs.sysctl("net.ipv4.conf.all.arp_ignore", 2)
    rs.ip("addr", "del", f"{VIP}/32", "dev", "lo")
    rs.run("tc", "filter", "add", "dev", "eth0", "egress", "bpf", "bytecode", "1,6 0 0 0")
    said = rs.realserver("down").stdout
    assert "net.ipv4.conf.all.arp_ignore left at 2" in said
    assert f"{VIP}/32 is not on lo any more" in said
    assert "clsact qdisc left on eth0" in said
    assert "bytecode" in rs.run("tc", "filter", "show", "dev", "eth0", "egress").stdout


def test_failure_undoes_the_steps_before_it(rs):
    before = state(rs)
    assert not journal(rs)
    done = rs.realserver(
        "up", "--mode", "nat", "--gateway", PEER6, "--gateway", "10.99.99.99", check=False
    )
    assert done.returncode == 1
    assert "10.99.99.99" in done.stderr and "undoing" in done.stdout
    assert state(rs) == before
    assert not journal(rs)


MISTAKES = {
    "bad address": (("--mode", "dr", "--vip", "192.168.299.111"), "192.168.299.111"),
    "multicast": (("--mode", "dr", "--vip", "224.0.0.1"), "not an address of a host"),
    "loopback": (("--mode", "tun", "--vip", "::1"), "not an address of a host"),
    "no vip": (("--mode", "dr"), "--vip is needed"),
    "no mode": (("--vip", VIP), "--mode"),
    "unknown mode": (("--mode", "fnat", "--vip", VIP), "unknown value: fnat"),
    "no gateway": (("--mode", "nat"), "--gateway"),
    "gateway with dr": (("--mode", "dr", "--vip", VIP, "--gateway", PEER), "bypass"),
    "no device": (("--mode", "tun", "--vip", VIP, "--dev", "eth7"), "no such device: eth7"),
    "the director": (("--mode", "dr", "--vip", RIP), "is on eth0"),
    "gue without port": (("--mode", "tun", "--tun-type", "gue", "--vip", VIP), "--tun-port"),
    "port without gue": (("--mode", "tun", "--tun-port", "6080", "--vip", VIP), "gue"),
    "bad port": (("--mode", "tun", "--tun-type", "gue", "--tun-port", "65536", "--vip", VIP),
                 "not a port: 65536"),
    "unknown tunnel": (("--mode", "tun", "--tun-type", "vxlan", "--vip", VIP), "vxlan"),
    "gre with dr": (("--mode", "dr", "--tun-type", "gre", "--vip", VIP), "for --mode tun"),
    "gre by the kernel": (("--mode", "tun", "--tun-type", "gre", "--decap", "kernel", "--vip", VIP),
                          "--decap kernel"),
    "option": (("--mode", "dr", "--vip", VIP, "--bogus"), "bogus"),
    "stray word": (("--mode", "dr", "--vip", VIP, "extra"), "extra"),
}


@pytest.mark.parametrize("options, reason", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_change_nothing(rs, options, reason):
    before = state(rs)
    assert not journal(rs)
    done = rs.realserver("up", *options, check=False)
    assert done.returncode == 2
    assert reason in done.stderr
    assert state(rs) == before
    assert not journal(rs)


def test_only_root(rs, bpvs, tmp_path):
    tool = tmp_path / "bpvs"
    tool.write_bytes(bpvs.read_bytes())
    tool.chmod(0o755)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    for verb in (("up", *UPS["dr"]), ("down",)):
        done = rs.run("setpriv", "--reuid=65534", "--clear-groups", tool, "realserver", *verb,
                      check=False)
        assert done.returncode == 2
        assert "only root" in done.stderr


# ---- ARP ----


def who_has(peer, addr, seconds=10 * netns.PATIENCE):
    """Ask for the address; the answer, or None."""
    wire = peer.wire()
    wire.send(Ether(dst="ff:ff:ff:ff:ff:ff", src=peer.mac())
              / ARP(op="who-has", psrc=PEER, pdst=addr, hwsrc=peer.mac()))
    answer = wire.expect(lambda p: ARP in p and p[ARP].op == 2 and p[ARP].psrc == addr, Ether,
                         seconds)
    wire.close()
    return answer


def sender_of_own_request(rs, peer):
    """The sender's address in the request that rs makes to answer the peer from the VIP."""
    wire = peer.wire()
    rs.ip("neigh", "del", PEER, "dev", "eth0")
    with rs.bound(socket.AF_INET, socket.SOCK_DGRAM, VIP, 0) as sock:
        sock.sendto(b"x", (PEER, 9))
    request = wire.expect(lambda p: ARP in p and p[ARP].op == 1 and p[ARP].pdst == PEER, Ether)
    wire.close()
    return request[ARP].psrc


def test_arp_control_without_realserver(rs, peer):
    rs.ip("addr", "add", f"{VIP}/32", "dev", "lo")
    assert who_has(peer, VIP)[ARP].hwsrc == rs.mac()
    assert sender_of_own_request(rs, peer) == VIP


@pytest.mark.parametrize("arp", ["sysctl", "nft"])
@pytest.mark.parametrize("mode", ["dr", "tun"])
def test_vip_is_not_defended(rs, peer, mode, arp):
    rs.realserver("up", "--mode", mode, "--arp", arp, "--vip", VIP)
    assert who_has(peer, VIP, 0.5) is None
    assert who_has(peer, RIP)[ARP].hwsrc == rs.mac()
    assert sender_of_own_request(rs, peer) == RIP


def test_ipv6_vip_is_not_defended(rs, peer):
    rs.realserver("up", *UPS["dr"])
    assert peer.run("ping", "-6", "-c1", "-W1", RIP6).returncode == 0
    assert peer.run("ping", "-6", "-c1", "-W1", VIP6, check=False).returncode != 0
    peer.ip("neigh", "replace", VIP6, "lladdr", rs.mac(), "dev", "eth0")
    assert peer.run("ping", "-6", "-c1", "-W1", VIP6).returncode == 0


# ---- decapsulation ----

INNER = {4: (IP, PEER, VIP, socket.AF_INET), 6: (IPv6, PEER6, VIP6, socket.AF_INET6)}
PAIRS = {f"{i}in{o}": (i, o) for i in (4, 6) for o in (4, 6)}
pairs = pytest.mark.parametrize("inner, outer", PAIRS.values(), ids=PAIRS.keys())


def outer_header(family, inner, dst=None, tos=0, **fields):
    proto = {4: 4, 6: 41}[inner]
    if family == 4:
        return IP(src=PEER, dst=dst or RIP, proto=proto, tos=tos, **fields)
    return IPv6(src=PEER6, dst=dst or RIP6, nh=proto, tc=tos, **fields)


def inner_packet(family, payload, dst=None, tos=0):
    layer, src, vip, _ = INNER[family]
    ip = layer(src=src, dst=dst or vip)
    setattr(ip, "tos" if family == 4 else "tc", tos)
    return ip / payload


def frame(rs, peer, *layers):
    packet = Ether(src=peer.mac(), dst=rs.mac())
    for layer in layers:
        packet = packet / layer
    return packet


class Tunnel:
    """A TUN real server with a UDP socket on each VIP, and the peer's end of the wire."""

    def __init__(self, rs, peer, *ups):
        self.rs, self.peer = rs, peer
        for up in ups or ("tun",):
            rs.realserver("up", *UPS[up])
        self.wire = peer.wire()
        self.udp = {}
        for family, (_, _, vip, af) in INNER.items():
            self.udp[family] = rs.bound(af, socket.SOCK_DGRAM, vip, 5353)

    def send(self, *layers):
        self.wire.send(frame(self.rs, self.peer, *layers))

    def received(self, family, seconds=10 * netns.PATIENCE):
        """What the server's socket gets: (data, sender's address, TOS byte), or None."""
        sock = self.udp[family]
        sock.settimeout(seconds)
        level, option = ((socket.IPPROTO_IP, socket.IP_RECVTOS) if family == 4 else
                         (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS))
        sock.setsockopt(level, option, 1)
        try:
            data, extra, _, addr = sock.recvmsg(2048, 64)
        except TimeoutError:
            return None
        return data, addr, extra[0][2][0]

    def count(self, what):
        said = self.rs.realserver("status").stdout
        return int(next(line for line in said.splitlines() if what in line).split()[-1])

    def close(self):
        self.wire.close()
        for sock in self.udp.values():
            sock.close()


@pytest.fixture
def tunnel(rs, peer):
    t = Tunnel(rs, peer)
    yield t
    t.close()


QUESTION = UDP(sport=4000, dport=5353) / Raw(b"question")


@pairs
def test_decap_udp_there_and_back(tunnel, inner, outer):
    tunnel.send(outer_header(outer, inner), inner_packet(inner, QUESTION))
    data, addr, _ = tunnel.received(inner)
    layer, client, vip, _ = INNER[inner]
    assert data == b"question"
    assert addr[:2] == (client, 4000)
    tunnel.udp[inner].sendto(b"answer", addr)
    answer = tunnel.wire.expect(lambda p: UDP in p and p[UDP].sport == 5353, Ether)
    assert (answer[layer].src, answer[layer].dst) == (vip, client)
    assert bytes(answer[UDP].payload)[:6] == b"answer"
    assert tunnel.count("decapsulated") == 1


@pairs
def test_decap_tcp_handshake(tunnel, inner, outer):
    _, _, vip, af = INNER[inner]
    with tunnel.rs.bound(af, socket.SOCK_STREAM, vip, 80) as server:
        server.listen()
        tunnel.send(outer_header(outer, inner),
                    inner_packet(inner, TCP(sport=4001, dport=80, flags="S", seq=7)))
        answer = tunnel.wire.expect(lambda p: TCP in p and p[TCP].sport == 80, Ether)
    assert answer[TCP].flags == "SA" and answer[TCP].ack == 8


def test_decap_outer_options(tunnel):
    tunnel.send(outer_header(4, 6, options=[IPOption(b"\x01" * 8)]), inner_packet(6, QUESTION))
    assert tunnel.received(6)[0] == b"question"
    tunnel.send(IPv6(src=PEER6, dst=RIP6), IPv6ExtHdrDestOpt(nh=4), inner_packet(4, QUESTION))
    assert tunnel.received(4)[0] == b"question"


@pairs
def test_only_vips_come_out(tunnel, inner, outer):
    own = {4: RIP, 6: RIP6}[inner]
    _, _, _, af = INNER[inner]
    with tunnel.rs.bound(af, socket.SOCK_DGRAM, own, 5353) as sock:
        tunnel.send(outer_header(outer, inner), inner_packet(inner, QUESTION, dst=own))
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(100)
    assert tunnel.count("decapsulated") == 0


@pairs
def test_only_what_is_addressed_to_us(tunnel, inner, outer):
    tunnel.rs.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    transit = {4: "192.168.229.77", 6: "fd00:229::77"}[outer]
    tunnel.send(outer_header(outer, inner, dst=transit), inner_packet(inner, QUESTION))
    assert tunnel.received(inner, 0.3) is None
    assert tunnel.count("not to this host") == 1
    tunnel.send(outer_header(outer, inner), inner_packet(inner, QUESTION))
    assert tunnel.received(inner)[0] == b"question"


def test_outer_fragments_are_counted(tunnel):
    tunnel.send(outer_header(4, 4, flags="MF"), inner_packet(4, QUESTION))
    tunnel.send(IPv6(src=PEER6, dst=RIP6), IPv6ExtHdrFragment(nh=4, m=1),
                inner_packet(4, QUESTION))
    assert tunnel.received(4, 0.3) is None
    assert tunnel.count("in fragments") == 2


# outer and inner ECN, and what the inner has afterwards; None is a drop (RFC 6040, figure 4)
NOT_ECT, ECT1, ECT0, CE = range(4)
ECN = [(outer, inner, inner) for outer in (NOT_ECT, ECT0) for inner in range(4)] + [
    (ECT1, NOT_ECT, NOT_ECT), (ECT1, ECT0, ECT1), (ECT1, ECT1, ECT1), (ECT1, CE, CE),
    (CE, NOT_ECT, None), (CE, ECT0, CE), (CE, ECT1, CE), (CE, CE, CE),
]


@pairs
def test_decap_ecn(tunnel, inner, outer):
    dscp = 0xB8
    for outer_ecn, inner_ecn, expected in ECN:
        tunnel.send(outer_header(outer, inner, tos=outer_ecn),
                    inner_packet(inner, QUESTION, tos=dscp | inner_ecn))
        got = tunnel.received(inner, *([] if expected is not None else [0.2]))
        what = (outer_ecn, inner_ecn)
        if expected is None:
            assert got is None, what
        else:
            assert got and got[2] == dscp | expected, what
    assert tunnel.count("congestion") == 1


# ---- GUE and GRE ----

GUE_PORT = 6080


def gue(outer, inner, options=b"", flags=0, port=GUE_PORT, first=0, **udp):
    """first: version and control, in front of the options' length."""
    head = outer_header(outer, inner)
    setattr(head, "proto" if outer == 4 else "nh", 17)
    proto = {4: 4, 6: 41}[inner]
    return (head / UDP(sport=40000, dport=port, **udp)
            / Raw(bytes([first | len(options) // 4, proto]) + flags.to_bytes(2, "big") + options))


def gre(outer, inner, **fields):
    head = outer_header(outer, inner)
    setattr(head, "proto" if outer == 4 else "nh", 47)
    return head / GRE(proto={4: 0x0800, 6: 0x86DD}[inner], **fields)


# With and without checksums; a wrong one is as good, for the packet has its own.
WRAPPED = {
    "gue": lambda outer, inner: gue(outer, inner, chksum=0),
    "gue-csum": gue,
    "gue-wrong": lambda outer, inner: gue(outer, inner, chksum=0x1234),
    "gre": gre,
    "gre-csum": lambda outer, inner: gre(outer, inner, chksum_present=1),
    "gre-all": lambda outer, inner: gre(outer, inner, chksum_present=1, key_present=1, key=7,
                                        seqnum_present=1),
}


@pytest.fixture
def both_tunnels(rs, peer):
    t = Tunnel(rs, peer, "tun-gue", "tun-gre")
    yield t
    t.close()


@pairs
def test_gue_and_gre(both_tunnels, inner, outer):
    layer, client, vip, _ = INNER[inner]
    for wrap in WRAPPED.values():
        both_tunnels.send(wrap(outer, inner), inner_packet(inner, QUESTION))
        data, addr, _ = both_tunnels.received(inner)
        assert data == b"question" and addr[:2] == (client, 4000)
    both_tunnels.udp[inner].sendto(b"answer", addr)
    answer = both_tunnels.wire.expect(lambda p: UDP in p and p[UDP].sport == 5353, Ether)
    assert (answer[layer].src, answer[layer].dst) == (vip, client)
    # the end of IPIP is not up
    both_tunnels.send(outer_header(outer, inner), inner_packet(inner, QUESTION))
    assert both_tunnels.received(inner, 0.2) is None
    assert both_tunnels.count("decapsulated") == len(WRAPPED)


def sum_left_open(inner, payload):
    """A packet with the sum of its pseudo header in the place of UDP's checksum."""
    packet = inner_packet(inner, UDP(sport=4000, dport=5353) / Raw(payload))
    raw, at = bytes(packet), {4: 26, 6: 46}[inner]
    right = int.from_bytes(raw[at : at + 2], "big")
    body = raw[at - 6 : at] + b"\0\0" + raw[at + 2 :] + b"\0" * (len(raw) % 2)
    whole = sum(int.from_bytes(body[n : n + 2], "big") for n in range(0, len(body), 2))
    pseudo = (0xFFFF - right - whole) % 0xFFFF
    return raw[:at] + pseudo.to_bytes(2, "big") + raw[at + 2 :], at


@pairs
def test_remote_checksum(both_tunnels, inner, outer):
    """Kernel IPVS leaves the sum to the real server when it was to be made by a device."""
    for size in (0, 1, 2, 3, 500, 503, 504, 505, 1016, 1379):
        payload = bytes(n % 251 for n in range(size))
        raw, at = sum_left_open(inner, payload)
        options = struct.pack("!IHH", 0x80000000, at - 6, at)
        both_tunnels.send(gue(outer, inner, options, flags=1, chksum=0), Raw(raw))
        got = both_tunnels.received(inner)
        assert got and got[0] == payload, size


def smuggled(inner, own, at):
    """A packet to the VIP, but to `own` when its payload's sum is put in there."""
    _, _, vip, af = INNER[inner]
    last = lambda addr: socket.inet_pton(af, addr)[-2:]
    filler = (0xFFFF - int.from_bytes(last(own), "big") - sum(struct.unpack("!4H", b"question"))) % 0xFFFF
    payload = b"question" + filler.to_bytes(2, "big")
    raw = bytes(inner_packet(inner, UDP(sport=4000, dport=5353) / Raw(payload), dst=own))
    return raw[:at] + last(vip) + raw[at + 2 :]


@pairs
def test_remote_checksum_stays_off_the_header(both_tunnels, inner, outer):
    """The header that let the packet in is not the sender's to have changed afterwards."""
    own, head = {4: (RIP, 20), 6: (RIP6, 40)}[inner]
    send = lambda raw, start, where: both_tunnels.send(
        gue(outer, inner, struct.pack("!IHH", 0x80000000, start, where), flags=1, chksum=0),
        Raw(raw))
    with both_tunnels.rs.bound(INNER[inner][3], socket.SOCK_DGRAM, own, 5353) as sock:
        send(smuggled(inner, own, head - 2), head + 8, head - 2)
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(100)
    raw, at = sum_left_open(inner, b"question")
    for start, where in ((0, 2), (head - 2, head - 2), (head - 2, at), (head + 8, at), (at, 2000)):
        send(raw, start, where)
    assert both_tunnels.received(inner, 0.3) is None
    assert both_tunnels.count("dropped, header") == 6
    assert both_tunnels.count("decapsulated") == 0


def test_what_is_no_end_of_ours(both_tunnels):
    """Left to the stack, and what looks like ours and is not understood counted."""
    some = inner_packet(4, QUESTION)
    both_tunnels.send(gue(4, 4, port=GUE_PORT + 1), some)
    both_tunnels.send(gre(4, 4).__class__(src=PEER, dst=RIP, proto=17) / UDP(dport=GUE_PORT), some)
    assert both_tunnels.received(4, 0.3) is None
    assert both_tunnels.count("not understood") <= 1
    before = both_tunnels.count("not understood")
    for strange in (gue(4, 4, first=0x20), gue(4, 4, first=0x40), gue(4, 4, flags=0x8000),
                    gue(4, 4, b"\0" * 4), gue(4, 4, b"\0" * 8, flags=1), gre(4, 4, version=1),
                    gre(4, 4, routing_present=1)):
        both_tunnels.send(strange, some)
    other = gre(4, 4)
    other[GRE].proto = 0x0806
    both_tunnels.send(other, some)
    assert both_tunnels.received(4, 0.3) is None
    assert both_tunnels.count("not understood") - before == 8
    assert both_tunnels.count("decapsulated") == 0
    for header in (gue(4, 4), gre(4, 4)):
        header.flags = "MF"
        both_tunnels.send(header, some)
        header.frag = 5
        both_tunnels.send(header, some)
    # of a GRE tunnel every fragment is known by its protocol
    assert both_tunnels.count("in fragments") == 3


def test_kernel_tunnel_where_there_is_one(rs, peer):
    rs.run("modprobe", "-q", "ipip", check=False)
    for way in ("up", "down"):  # its first time up gives a device a queue that it keeps
        rs.run("ip", "link", "set", "tunl0", way, check=False)
    before = state(rs)
    done = rs.realserver("up", "--mode", "tun", "--decap", "kernel", "--vip", VIP, check=False)
    if "tunl0" not in before:
        assert done.returncode == 1
        assert "no ipip tunnel" in done.stderr
    else:
        assert f"{VIP}/32" in rs.ip("addr", "show", "dev", "tunl0")
        wire = peer.wire()
        with rs.bound(socket.AF_INET, socket.SOCK_DGRAM, VIP, 5353) as sock:
            wire.send(frame(rs, peer, outer_header(4, 4), inner_packet(4, QUESTION)))
            assert sock.recv(100) == b"question"
        wire.close()
    rs.realserver("down")
    assert state(rs) == before


def test_strict_rp_filter_is_loosened(rs, peer):
    """The client's address is routed by another device than the one the tunnel comes in at."""
    netns.join(rs, "eth1", peer, "eth1")
    rs.ip("addr", "add", "10.1.0.1/24", "dev", "eth1")
    rs.sysctl("net.ipv4.conf.all.rp_filter", 1)
    tunnel = Tunnel(rs, peer)
    client = IP(src="10.1.0.9", dst=VIP)
    tunnel.send(outer_header(4, 4), client / QUESTION)
    assert tunnel.received(4)[1] == ("10.1.0.9", 4000)
    rs.sysctl("net.ipv4.conf.eth0.rp_filter", 1)
    tunnel.send(outer_header(4, 4), client / QUESTION)
    assert tunnel.received(4, 0.3) is None
    tunnel.close()
