# SPDX-License-Identifier: GPL-2.0-only
"""
Persistent services and one-packet scheduling through both hooks and families: who goes where, which
templates that makes, and when they end.
"""

import itertools
import time

import pytest
from harness import FAMILIES, MAC_C0, MAC_S0, V4, V6, l4, mac_client, mac_real
from scapy.all import Ether, IPv6ExtHdrFragment, Raw

pytestmark = pytest.mark.usefixtures("no_bugs")

each_hook = pytest.mark.parametrize("hook", ["xdp", "tc"])
each_family = pytest.mark.parametrize("fam", FAMILIES, ids=["v4", "v6"])

serial = itertools.count(1)


class World:
    """A service's traffic: clients of its own for each test, so that templates never meet."""

    def __init__(self, ns, prog, hook, fam):
        self.ns, self.prog, self.hook, self.fam = ns, prog, hook, fam
        self.net = next(serial)
        self.vport = 2000 + self.net

    def vip(self, port=None):
        return self.fam.endpoint(self.fam.vip, self.vport if port is None else port)

    def client(self, n=1, net=0):
        if self.fam is V4:
            return f"10.{64 + self.net}.{net}.{n}"
        return f"2001:db8:1:{16 + self.net:x}{net:02x}::{n:x}"

    def route(self):
        """Clients are behind the first one; in IPv6 replies need a route as well."""
        if self.fam is V6:
            self.ns.ip("-6", "route", "replace", "2001:db8:1::/48", "via", "2001:db8:1::1")

    def ipvsadm(self, *lines):
        self.ns.ipvsadm("\n".join(lines))

    def real(self, n, port):
        return self.fam.endpoint(self.fam.real(n), port)

    def send(self, client, cport, vport=None, proto="tcp", flags="S"):
        """The number of the real server that got it, or the packet's fate; and the port."""
        ip = self.fam.ip(client, self.fam.vip)
        body = l4(proto, cport, self.vport if vport is None else vport, flags)
        result = self.prog.deliver(self.hook, Ether(src=mac_client(), dst=MAC_C0) / ip / body)
        if result.fate != "sent":
            return result.fate, 0
        out = Ether(b"\0" * 12 + bytes([8, 0] if self.fam is V4 else [0x86, 0xDD]) + result.raw[14:])
        where = out.payload.dst
        for n in range(1, 5):
            if where == self.fam.real(n):
                return n, out.payload.payload.dport
        return "answered", 0

    def answer(self, n, rport, client, cport, proto="tcp", flags="SA"):
        ip = self.fam.ip(self.fam.real(n), client)
        pkt = Ether(src=mac_real(n), dst=MAC_S0) / ip / l4(proto, rport, cport, flags)
        return self.prog.deliver(self.hook, pkt, "s0").fate

    def listed(self):
        """Rows of -Lnc of this test's clients and services: (proto, state, client, virtual, real)."""
        out = self.ns.exec(self.ns.build / "ipvsadm/ipvsadm", "-Lnc").stdout.splitlines()[2:]
        mine = f"10.{64 + self.net}." if self.fam is V4 else f"[2001:db8:1:{16 + self.net:x}"
        rows = [line.split() for line in out]
        return {(r[0], r[2], *r[3:6]): r[1] for r in rows if r[3].startswith(mine)}

    def templates(self):
        return {k: v for k, v in self.listed().items() if k[2].endswith(":0")}

    def persistent(self):
        out = self.ns.exec(self.ns.build / "ipvsadm/ipvsadm", "-Ln", "--persistent-conn").stdout
        return sum(int(line.split()[3]) for line in out.splitlines() if line.startswith("  -> "
                   ) and "Remote" not in line)  # fmt: skip


@pytest.fixture
def world(ns, prog, request):
    hook, fam = request.param
    w = World(ns, prog, hook, fam)
    w.route()
    ns.ipvsadm("-C")
    yield w
    ns.ipvsadm("-C")


worlds = pytest.mark.parametrize(
    "world",
    list(itertools.product(["xdp", "tc"], FAMILIES)),
    indirect=True,
    ids=["xdp-v4", "xdp-v6", "tc-v4", "tc-v6"],
)


def two_servers(w, options, vport=None, rport=8080):
    v = w.vip(vport)
    w.ipvsadm(f"-A -t {v} -s rr {options}", *(f"-a -t {v} -r {w.real(n, rport)} -m" for n in (1, 2)))


def seconds(left):
    minutes, rest = left.split(":")
    return int(minutes) * 60 + int(rest)


def addr(w, text, port):
    return w.fam.endpoint(text, port)


@worlds
def test_one_client_keeps_its_server(world):
    w = world
    two_servers(w, "-p 100")
    a, b = w.client(1), w.client(2)
    begun = time.monotonic()
    first = w.send(a, 1000)
    assert first[1] == 8080
    other = w.send(b, 1000)
    assert {first[0], other[0]} == {1, 2}
    assert [w.send(a, p)[0] for p in range(1001, 1010)] == [first[0]] * 9
    assert w.send(b, 1001) == other
    templates = w.templates()
    assert set(templates) == {
        ("TCP", "NONE", addr(w, c, 0), w.vip(), w.real(n, 8080))
        for c, n in ((a, first[0]), (b, other[0]))
    }
    least = 98.5 - (time.monotonic() - begun)
    assert all(least <= seconds(t) <= 100 for t in templates.values()), templates
    assert w.persistent() == 2


@worlds
def test_a_mask_makes_one_client_of_a_network(world):
    w = world
    two_servers(w, "-p 100 -M " + ("255.255.255.0" if w.fam is V4 else "64"))
    chosen = [w.send(w.client(n, net), 1000)[0] for net in (0, 1, 0, 1) for n in (1, 2, 3)]
    assert chosen[:3] * 2 == chosen[:3] + chosen[6:9] and len(set(chosen[:3])) == 1
    assert len(set(chosen[3:6])) == 1 and chosen[3:6] == chosen[9:12]
    assert chosen[0] != chosen[3]
    assert len(w.templates()) == 2


@worlds
def test_an_established_connection_assures_its_template(world):
    w = world
    two_servers(w, "-p 100")
    n, rport = w.send(w.client(), 1000)
    assert {k[1] for k in w.templates()} == {"NONE"}
    assert w.answer(n, rport, w.client(), 1000) == "sent"
    w.send(w.client(), 1000, flags="A")
    assert {k[1] for k in w.templates()} == {"ASSURED"}


@worlds
def test_a_reply_assures_the_template_of_udp(world):
    w = world
    v = w.vip()
    w.ipvsadm(f"-A -u {v} -s rr -p 100", f"-a -u {v} -r {w.real(1, 53)} -m")
    assert w.send(w.client(), 1000, proto="udp") == (1, 53)
    assert {k[1] for k in w.templates()} == {"NONE"}
    assert w.answer(1, 53, w.client(), 1000, "udp") == "sent"
    assert {k[1] for k in w.templates()} == {"ASSURED"}


@worlds
def test_a_service_of_all_ports(world):
    w = world
    two_servers(w, "-p 100", vport=0, rport=0)
    first, port = w.send(w.client(), 1000, 7001)
    assert port == 7001
    assert w.send(w.client(), 1001, 7002) == (first, 7002)
    assert w.send(w.client(2), 1000, 7001)[0] != first
    assert ("TCP", "NONE", addr(w, w.client(), 0), w.vip(0), w.real(first, 0)) in w.templates()


@worlds
def test_ftp_covers_its_data_ports(world):
    w = world
    two_servers(w, "-p 100", vport=21, rport=21)
    first, port = w.send(w.client(), 1000, 21)
    assert port == 21
    # passive data connections go to ports that anybody may listen at; others are not FTP's
    assert w.send(w.client(), 1001, 40000) == (first, 40000)
    assert w.send(w.client(), 1002, 443)[0] == "pass"
    # nor is what comes from FTP's data port
    assert w.send(w.client(), 20, 40001)[0] == "pass"
    assert set(w.templates()) == {
        ("TCP", "NONE", addr(w, w.client(), 0), w.vip(0), w.real(first, 0))
    }


@worlds
def test_a_port_of_its_own_comes_before_all_ports(world):
    w = world
    v, any_port = w.vip(), w.vip(0)
    w.ipvsadm(
        f"-A -t {any_port} -s rr -p 100",
        f"-a -t {any_port} -r {w.real(1, 0)} -m",
        f"-A -t {v} -s rr",
        f"-a -t {v} -r {w.real(2, 80)} -m",
    )
    assert w.send(w.client(), 1000) == (2, 80)
    assert w.send(w.client(), 1000, w.vport + 1) == (1, w.vport + 1)


@worlds
def test_weight_zero_keeps_the_client_unless_told_otherwise(world):
    w = world
    two_servers(w, "-p 100")
    first, _ = w.send(w.client(), 1000)
    w.ipvsadm(f"-e -t {w.vip()} -r {w.real(first, 8080)} -m -w 0")
    assert w.send(w.client(), 1001)[0] == first
    try:
        w.ns.exec(w.ns.build / "bpvs/bpvs", "sysctl", "expire_quiescent_template=1")
        moved, _ = w.send(w.client(), 1002)
        assert moved == 3 - first
        assert w.send(w.client(), 1003)[0] == moved
    finally:
        w.ns.exec(w.ns.build / "bpvs/bpvs", "sysctl", "expire_quiescent_template=0")
    # The old template waits for its end; it is no longer looked at.
    reals = {k[4] for k in w.templates()}
    assert reals == {w.real(moved, 8080), w.real(first, 65535)}


@worlds
def test_a_removed_server_loses_its_clients(world):
    w = world
    two_servers(w, "-p 100")
    first, _ = w.send(w.client(), 1000)
    w.ipvsadm(f"-d -t {w.vip()} -r {w.real(first, 8080)}")
    assert w.send(w.client(), 1001)[0] == 3 - first


@worlds
def test_thresholds_do_not_bind_a_template(world):
    w = world
    two_servers(w, "-p 100")
    first, _ = w.send(w.client(), 1000)
    w.ipvsadm(f"-e -t {w.vip()} -r {w.real(first, 8080)} -m -x 1")
    assert [w.send(w.client(), 1001 + i)[0] for i in range(4)] == [first] * 4
    assert w.send(w.client(2), 1000)[0] == w.send(w.client(3), 1000)[0] == 3 - first


@worlds
def test_connections_of_a_template_are_not_scheduled_anew(world):
    """A SYN on a connection that is over: the template's server has it again."""
    w = world
    two_servers(w, "-p 100")
    first, _ = w.send(w.client(), 1000)
    w.send(w.client(), 1000, flags="R")
    assert w.send(w.client(), 1000)[0] == first
    assert len(w.listed()) == 2


@worlds
def test_a_template_stays_while_it_has_connections(world):
    """It stays 60 s more as long as there is one."""
    w = world
    v = w.vip()
    w.ipvsadm("--set 0 0 30")
    try:
        w.ipvsadm(f"-A -u {v} -s rr -p 1", f"-a -u {v} -r {w.real(1, 53)} -m")
        begun = time.monotonic()
        w.send(w.client(1), 1000, proto="udp")
        left = 0
        while left <= 1:  # in its own second yet, or over and not looked at
            assert time.monotonic() < begun + 10
            time.sleep(0.1)
            left = max(map(seconds, w.templates().values()), default=0)
        assert 61 - (time.monotonic() - begun) - 1.5 <= left <= 60
    finally:
        w.ipvsadm("--set 0 0 300")


@worlds
def test_one_packet_scheduling(world):
    w = world
    v = w.vip()
    w.ipvsadm(f"-A -u {v} -s rr -o", *(f"-a -u {v} -r {w.real(n, 53)} -m" for n in (1, 2)))
    chosen = [w.send(w.client(), 1000, proto="udp")[0] for _ in range(6)]
    assert chosen in ([1, 2] * 3, [2, 1] * 3)
    assert w.listed() == {}
    service = next(s for s in w.prog.services() if s["virtual"][1] == w.vport)
    assert [(d["active"], d["inactive"]) for d in service["dests"]] == [(0, 0)] * 2
    # A reply finds no connection and is the stack's.
    assert w.answer(1, 53, w.client(), 1000, "udp") == "pass"


@worlds
def test_one_packet_scheduling_minds_templates(world):
    w = world
    v = w.vip()
    w.ipvsadm(f"-A -u {v} -s rr -o -p 50", *(f"-a -u {v} -r {w.real(n, 53)} -m" for n in (1, 2)))
    chosen = [w.send(w.client(), 1000 + i, proto="udp")[0] for i in range(4)]
    assert len(set(chosen)) == 1
    assert len(w.listed()) == len(w.templates()) == 1


def pieces(w, cport, ident):
    """A datagram to the service in three fragments."""
    ip = w.fam.ip(w.client(), w.fam.vip, **({"flags": 0} if w.fam is V4 else {}))
    whole = bytes(ip / l4("udp", cport, w.vport, "", bytes(range(100))))[len(ip) :]
    for off in range(0, len(whole), 40):
        more, part = off + 40 < len(whole), Raw(whole[off : off + 40])
        if w.fam is V4:
            head = w.fam.ip(ip.src, ip.dst, id=ident, proto=17, flags=int(more), frag=off // 8)
        else:
            head = w.fam.ip(ip.src, ip.dst) / IPv6ExtHdrFragment(nh=17, id=ident, m=more, offset=off // 8)
        yield Ether(src=mac_client(), dst=MAC_C0) / head / part


def follows(w, given, to):
    """A later fragment goes on with that address and a hop less, and nothing else changed."""
    result = w.prog.deliver(w.hook, given)
    assert result.fate == "sent", result
    want = given.payload.copy()
    want.dst = to
    if w.fam is V4:
        want.ttl -= 1
        del want.chksum
    else:
        want.hlim -= 1
    assert result.raw[14:] == bytes(want)


def first(w, given):
    """Where the first fragment goes."""
    result = w.prog.deliver(w.hook, given)
    assert result.fate == "sent", result
    return Ether(b"\0" * 12 + bytes(given)[12:14] + result.raw[14:]).payload.dst


@worlds
def test_one_packet_fragments(world):
    """All of a datagram goes to one server, also when another's come in between; it is one connection."""
    w = world
    v = w.vip()
    w.ipvsadm(f"-A -u {v} -s rr -o", *(f"-a -u {v} -r {w.real(n, 5353)} -m" for n in (1, 2)))
    a, *a_later = pieces(w, 1000, 1000)
    b, *b_later = pieces(w, 1000, 1001)
    before = w.prog.stats()["conns"]
    to = first(w, a), first(w, b)
    assert sorted(to) == [w.fam.real(1), w.fam.real(2)]
    for pair in zip(a_later, b_later):
        for piece, server in zip(pair, to):
            follows(w, piece, server)
    assert w.prog.stats()["conns"] == before + 2
    assert not w.listed()


@worlds
@pytest.mark.parametrize("edit", ["-E -u {v} -s wlc -o", "-E -u {v} -s rr", "-E -u {v} -s rr -o -p 9",
                                  "-e -u {v} -r {r} -g -w 0", "-e -u {v} -r {r} -i -x 1",
                                  "-a -u {v} -r {other} -m", ""])  # fmt: skip
def test_one_packet_fragments_after_an_edit(world, edit):
    """Later ones go where the first went, the way it went, whatever holds for the next datagram."""
    w = world
    names = {"v": w.vip(), "r": w.real(1, w.vport), "other": w.real(2, 53)}
    w.ipvsadm("-A -u {v} -s rr -o".format(**names), "-a -u {v} -r {r} -m".format(**names))
    piece, *later = pieces(w, 1000, 1000)
    assert first(w, piece) == w.fam.real(1)
    if edit:
        w.ipvsadm(edit.format(**names))
    for piece in later:
        follows(w, piece, w.fam.real(1))
    assert not w.listed()


@worlds
@pytest.mark.parametrize("edit", ["-d -u {v} -r {r}", "-D -u {v}"])
def test_one_packet_fragments_after_removal(world, edit):
    """As with a connection of a server that was removed; and back where it comes again."""
    w = world
    names = {"v": w.vip(), "r": w.real(1, 53)}
    made = ["-A -u {v} -s rr -o".format(**names), "-a -u {v} -r {r} -m".format(**names)]
    w.ipvsadm(*made, f"-A -t {names['v']} -s rr")
    piece, *later = pieces(w, 1000, 1000)
    assert first(w, piece) == w.fam.real(1)
    w.ipvsadm(edit.format(**names))
    with w.prog.counting() as grown:
        assert w.prog.deliver(w.hook, later[0]).fate == "drop"
    assert grown["dest-gone"] == 1
    if edit.startswith("-d"):
        w.ipvsadm(made[1])
        follows(w, later[1], w.fam.real(1))


@worlds
def test_one_packet_fragments_of_a_new_service(world):
    """What the first fragment was not balanced for, the later ones are not either."""
    w = world
    v = w.vip()
    w.ipvsadm(f"-A -t {v} -s rr", f"-a -t {v} -r {w.real(1, 53)} -m")
    piece, later, _ = pieces(w, 1000, 1000)
    assert w.prog.deliver(w.hook, piece).fate == "pass"
    w.ipvsadm(f"-A -u {v} -s rr -o", f"-a -u {v} -r {w.real(1, 53)} -m")
    assert w.prog.deliver(w.hook, later).fate == "pass"


@worlds
def test_a_template_without_connections_ends(world):
    """A one-packet service's never has any."""
    w = world
    v = w.vip()
    w.ipvsadm(f"-A -u {v} -s rr -o -p 2", f"-a -u {v} -r {w.real(1, 53)} -m")
    w.send(w.client(), 1000, proto="udp")
    assert len(w.templates()) == 1
    deadline = time.monotonic() + 10
    while w.templates() or w.persistent():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@worlds
def test_many_templates_of_one_client(world):
    """A client may use hundreds of services: their templates do not share a home."""
    w = world
    lines = []
    for i in range(200):
        v = w.vip(20000 + i)
        lines += [f"-A -t {v} -s rr -p 100", f"-a -t {v} -r {w.real(1 + i % 2, 8080)} -m"]
    w.ns.exec(w.ns.build / "ipvsadm/ipvsadm", "-R", input="\n".join(lines) + "\n")
    with w.prog.counting(events=True) as grown:
        for i in range(200):
            assert w.send(w.client(), 1000 + i, 20000 + i)[0] == 1 + i % 2
    assert "conn-full" not in grown
    assert len(w.templates()) == 200


def invite(w, client, cport, lines):
    """A datagram with these lines, as World.send() has it."""
    body = b"INVITE sip:a@example.org SIP/2.0\r\n" + b"".join(n + b"\r\n" for n in lines) + b"\r\n"
    ip = w.fam.ip(client, w.fam.vip)
    pkt = Ether(src=mac_client(), dst=MAC_C0) / ip / l4("udp", cport, w.vport) / Raw(body)
    result = w.prog.deliver(w.hook, pkt)
    if result.fate != "sent":
        return result.fate
    out = Ether(b"\0" * 12 + bytes([8, 0] if w.fam is V4 else [0x86, 0xDD]) + result.raw[14:])
    return next(n for n in range(1, 5) if out.payload.dst == w.fam.real(n))


@worlds
def test_sip_keeps_a_call_together(world):
    w = world
    v = w.vip()
    w.ipvsadm(
        f"-A -u {v} -s rr -p 60 --pe sip",
        *(f"-a -u {v} -r {w.real(n, 5060)} -m" for n in (1, 2)),
    )
    ports = itertools.count(1000)

    def call(lines, client=None):
        return invite(w, client or w.client(), next(ports), lines)

    one = call([b"Via: x", b"Call-ID: one@host"])
    two = call([b"Via: x", b"Call-ID: two@host"])
    assert {one, two} == {1, 2}
    # the name in any case, its short form, blanks around the colon, far behind
    assert call([b"cALL-iD :\tone@host"]) == one
    assert call([b"i: one@host", b"Via: x"]) == one
    assert call([b"X: " + b"y" * 70] * 15 + [b"Call-ID:two@host"]) == two
    # a continued line is no header, nor is a longer name
    assert call([b"Via: x", b" Call-ID: two@host", b"Identity: no", b"Call-ID: one@host"]) == one
    # of another client it is another call
    assert call([b"Call-ID: one@host"], w.client(2)) in (1, 2)
    # what has none is dropped, as by the kernel
    for lines in ([], [b"Call-ID: sp ace"], [b"Call-ID: "], [b"Call-ID: a@"]):
        with w.prog.counting() as grown:
            assert call(lines) == "drop"
        assert grown.get("no-call-id") == 1
    assert w.persistent() == 3
    out = w.ns.exec(w.ns.build / "ipvsadm/ipvsadm", "-Lnc", "--persistent-conn").stdout
    mine = [t.split() for t in out.splitlines() if f":{w.vport} " in t and "host" in t]
    calls = sorted(t[-2:] for t in mine)
    assert calls == [["sip", "one@host"]] * 2 + [["sip", "two@host"]]


@worlds
def test_sip_tells_many_calls_of_one_client_apart(world):
    w = world
    v = w.vip()
    w.ipvsadm(
        f"-A -u {v} -s rr -p 60 --pe sip",
        *(f"-a -u {v} -r {w.real(n, 5060)} -m" for n in (1, 2, 3)),
    )
    lines = [[b"Call-ID: %d@example.org" % i] for i in range(150)]
    first = [invite(w, w.client(), 1000 + i, n) for i, n in enumerate(lines)]
    assert sorted(first) == [1] * 50 + [2] * 50 + [3] * 50
    assert [invite(w, w.client(), 2000 + i, n) for i, n in enumerate(lines)] == first
    assert w.persistent() == 150


def begun_by(w, real, client, cport, lines):
    """A datagram of a real server's own to a client: its source then, or its fate."""
    body = b"NOTIFY sip:a@example.org SIP/2.0\r\n" + b"".join(n + b"\r\n" for n in lines) + b"\r\n"
    ip = w.fam.ip(w.fam.real(real), client)
    pkt = Ether(src=mac_real(real), dst=MAC_S0) / ip / l4("udp", 5060, cport) / Raw(body)
    result = w.prog.deliver(w.hook, pkt, "s0")
    if result.fate != "sent":
        return result.fate
    out = Ether(b"\0" * 12 + bytes([8, 0] if w.fam is V4 else [0x86, 0xDD]) + result.raw[14:])
    assert (out.payload.dst, out.payload.payload.dport) == (client, cport)
    assert bytes(out.payload.payload.payload) == body
    fresh = out.copy()
    del fresh.payload.payload.chksum
    assert Ether(bytes(fresh)).payload.payload.chksum == out.payload.payload.chksum
    return out.payload.src, out.payload.payload.sport


@worlds
@pytest.mark.parametrize("ops", [False, True], ids=["", "one-packet"])
def test_sip_server_begins(world, ops):
    """What a SIP server sends of its own comes from the service, and what answers goes to it."""
    w = world
    v = w.vip()
    words = f"-u {v} -s rr -p 60 --pe sip" + " --ops" * ops
    w.ipvsadm(f"-A {words}", *(f"-a -u {v} -r {w.real(n, 5060)} -m" for n in (1, 2)))
    ours, two = (w.fam.vip, w.vport), [b"Call-ID: two@host"]
    assert begun_by(w, 2, w.client(), 1000, two) == ours
    assert begun_by(w, 2, w.client(), 1001, two) == ours
    out = w.ns.exec(w.ns.build / "ipvsadm/ipvsadm", "-Ln", "--stats", "-u", v).stdout
    assert next(line.split()[2:6] for line in out.splitlines() if w.real(2, 5060) in line)[:3] == [
        "2", "0", "2"]  # fmt: skip
    assert w.persistent() == 1
    # by the call's template and not rr, which begins with the last
    assert invite(w, w.client(), 1002, [b"Call-ID: one@host"]) == 2
    assert invite(w, w.client(), 1003, two) == 2
    assert invite(w, w.client(), 1004, [b"Call-ID: three@host"]) == 1
    # what is to the director itself, such as the answer to a health check, begins nothing
    for host in (w.fam.host_s, w.fam.host_c):
        with w.prog.counting() as grown:
            assert begun_by(w, 2, host, 40000, [b"Call-ID: check@host"]) == "pass"
        assert set(grown) == {"not-a-reply"} and w.prog.conns(host, 40000) == []
    assert w.persistent() == 3
    # what has no Call-ID is the server's own
    assert begun_by(w, 1, w.client(), 1005, [b"Via: x"]) == "pass"
    assert w.persistent() == 3
    # as is all of it when the engine is taken away
    w.ipvsadm(f"-E -u {v} -s rr -p 60")
    assert begun_by(w, 1, w.client(), 1006, two) == "pass"
    w.ipvsadm(f"-E {words}")
    assert begun_by(w, 1, w.client(), 1007, two) == ours
    w.ipvsadm(f"-d -u {v} -r {w.real(1, 5060)}")
    assert begun_by(w, 1, w.client(), 1008, two) == "pass"
