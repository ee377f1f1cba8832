# SPDX-License-Identifier: GPL-2.0-only
"""Services by firewall mark: netfilter marks in PREROUTING, routing brings the packets by bpvs0."""

import errno
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading

import pytest

import netns
from world import AF, FLAG, VIP, at

families = pytest.mark.parametrize("family", [4, 6])
MARK = 7
# a network that is nobody's: only the mark says that it is served
FAR = {4: "203.0.113.", 6: "fd00:113::"}
RULES = """
table inet marks {
  chain before {
    type filter hook prerouting priority mangle; policy accept;
    ip daddr { 192.168.1.111, 203.0.113.0/24 } meta l4proto { tcp, udp, icmp } meta mark set 7
    ip6 daddr { fd00:1::111, fd00:113::/64 } meta mark set 7
    %s
  }
}
"""


def nft(world, extra=""):
    world.director.run("nft", "delete", "table", "inet", "marks", check=False)
    world.director.run("nft", "-f", "-", input=RULES % extra)


@pytest.fixture(scope="module", autouse=True)
def marks(world):
    """The director marks; routers know the network by it; real servers take it as their own."""
    nft(world)
    for family in (4, 6):
        net = FAR[family] + ("0/24" if family == 4 else "/64")
        for host in (world.a, world.b):
            host.ip(f"-{family}", "route", "add", net, "via", VIP[family])
        for host in (world.rs1, world.rs2):
            host.ip(f"-{family}", "route", "add", "local", net, "dev", "lo")
            host.ip(f"-{family}", "rule", "add", "from", net, "lookup", "7", "pref", "101")
    yield
    world.director.run("nft", "delete", "table", "inet", "marks")


def adm(world, family, *argv):
    """ipvsadm, with -6 behind the mark where it has to be."""
    argv = list(argv)
    if family == 6:
        argv.insert(argv.index("-f") + 2, "-6")
    return world.ipvsadm(*argv)


@pytest.fixture
def service(world):
    made = []

    def make(family, method, servers=("rs1", "rs2"), mark=MARK):
        adm(world, family, "-A", "-f", mark, "-s", "rr")
        made.append((family, mark))
        for name in servers:
            rip = name if ":" in name or "." in name else world.rip(name, family)
            adm(world, family, "-a", "-f", mark, "-r", rip, FLAG[method])

    yield make
    for family, mark in made:
        adm(world, family, "-D", "-f", mark)


def curl(world, addr, port=80):
    return world.client.curl(f"http://{at(addr, port)}/").strip()


@families
@pytest.mark.parametrize("whose,method", [("own", "nat"), ("own", "dr"), ("own", "tun"),
                                          ("net", "nat"), ("net", "dr")])
def test_http(world, service, method, family, whose):
    service(family, method)
    addr = VIP[family] if whose == "own" else FAR[family] + "5"
    before = world.counters()
    answers = [curl(world, addr) for _ in range(4)]
    assert sorted(answers) == ["rs1", "rs1", "rs2", "rs2"]
    moved = world.moved(before)
    label = {"nat": "nat-in", "dr": "direct", "tun": "tunnel"}[method]
    assert moved[label] >= 12, moved
    assert not world.kinds_moved(before) & {"DROP", "BUG"}, moved


def seen_by_forward(world):
    """Packets that went out by bpvs0."""
    out = world.director.run("nft", "-j", "list", "chain", "inet", "watch", "on").stdout
    return sum(e["counter"]["packets"] for item in json.loads(out)["nftables"]
               for e in item.get("rule", {}).get("expr", []) if "counter" in e)


@pytest.fixture
def watch(world):
    world.director.run("nft", "-f", "-", input="""
        table inet watch {
          chain on {
            type filter hook forward priority filter;
            ct state invalid drop
            oifname "bpvs0" counter
          }
        }""")
    yield lambda: seen_by_forward(world)
    world.director.run("nft", "delete", "table", "inet", "watch")


@families
@pytest.mark.parametrize("method", ["nat", "dr", "tun"])
def test_only_the_first_packet_takes_the_detour(world, service, watch, method, family):
    """And what nothing answers in the stack's eyes is not invalid to conntrack, therefore."""
    service(family, method, ["rs1"])
    server = world.rs1.bound(AF[family], socket.SOCK_STREAM, "", 7000)
    server.listen()
    for n in range(1, 4):
        with world.client.socket(AF[family], socket.SOCK_STREAM) as sock:
            sock.settimeout(10)
            sock.connect((VIP[family], 7000))
            conn, _ = server.accept()
            conn.settimeout(10)
            assert carries(sock, conn) and carries(conn, sock)
            conn.close()
        assert watch() == n
    server.close()


def carries(near, far, size=2_000_000):
    """Large segments, to be cut on the way, and checksums to be completed, where TC serves."""
    sender = threading.Thread(target=near.sendall, args=(b"x" * size,))
    sender.start()
    while size > 0 and (data := far.recv(1 << 20)):
        size -= len(data)
    sender.join()
    return not size


def echo(host, family, addr, port):
    """Answers one datagram after the other: hop limit it came with, sender's port."""
    sock = host.socket(AF[family], socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_IP if family == 4 else socket.IPPROTO_IPV6,
                    15 if family == 4 else 78, 1)  # IP_FREEBIND, IPV6_FREEBIND
    sock.bind((addr, port))
    sock.settimeout(10 * netns.PATIENCE)
    if family == 4:
        sock.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    return sock


def hops_left(sock):
    data, control, _, sender = sock.recvmsg(100, 200)
    return data, struct.unpack("i", control[0][2][:4])[0], sender


def set_hops(sock, family, hops):
    if family == 4:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)


@families
@pytest.mark.parametrize("whose", ["own", "net"])
def test_one_hop_is_counted(world, service, watch, family, whose):
    """Once, by the detour or not; a router stands between client and director, too."""
    addr = VIP[family] if whose == "own" else FAR[family] + "6"
    service(family, "dr", ["rs1"])
    with echo(world.rs1, family, addr, 5353) as server:
        with world.client.socket(AF[family], socket.SOCK_DGRAM) as sock:
            sock.settimeout(10 * netns.PATIENCE)
            sock.connect((addr, 5353))
            set_hops(sock, family, 9)
            for _ in range(3):
                sock.send(b"x")
                assert hops_left(server)[1] == 7
        assert watch() == 1


def error_of(sock, family):
    """The ICMP error that a UDP socket got: (type, code, who said it)."""
    _, control, _, _ = sock.recvmsg(100, 500, socket.MSG_ERRQUEUE)
    (_, _, data), = [c for c in control if c[0] in (socket.IPPROTO_IP, socket.IPPROTO_IPV6)]
    kind, code = data[5], data[6]
    text = data[20:24] if family == 4 else data[24:40]
    return kind, code, socket.inet_ntop(AF[family], text)


def errors_on(sock, family):
    if family == 4:
        sock.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, 25, 1)


def wait_error(sock):
    with pytest.raises(OSError) as failed:
        sock.recv(100)
    return failed.value.errno


@families
@pytest.mark.parametrize("whose", ["own", "net"])
def test_no_server(world, service, family, whose):
    """The answer is the virtual address's."""
    addr = VIP[family] if whose == "own" else FAR[family] + "7"
    service(family, "nat", [])
    with world.client.socket(AF[family], socket.SOCK_DGRAM) as sock:
        sock.settimeout(10 * netns.PATIENCE)
        errors_on(sock, family)
        sock.connect((addr, 5353))
        sock.send(b"x")
        assert wait_error(sock) == errno.ECONNREFUSED
        assert error_of(sock, family) == ((3, 3, addr) if family == 4 else (1, 4, addr))


@families
def test_last_hop(world, service, family):
    service(family, "nat", ["rs1"])
    with world.client.socket(AF[family], socket.SOCK_DGRAM) as sock:
        sock.settimeout(10 * netns.PATIENCE)
        errors_on(sock, family)
        sock.connect((VIP[family], 5353))
        set_hops(sock, family, 2)
        sock.send(b"x")
        wait_error(sock)
        kind, code, who = error_of(sock, family)
        assert (kind, code) == ((11, 0) if family == 4 else (3, 0))
        assert who == VIP[family]


@families
def test_error_from_a_server(world, service, family):
    service(family, "nat", ["rs1"])
    with world.client.socket(AF[family], socket.SOCK_DGRAM) as sock:
        sock.settimeout(10 * netns.PATIENCE)
        errors_on(sock, family)
        sock.connect((VIP[family], 5999))
        for _ in range(2):
            sock.send(b"x")
            assert wait_error(sock) == errno.ECONNREFUSED
            assert error_of(sock, family)[2] == VIP[family]


@families
def test_ports_and_protocols_of_one_mark(world, service, family):
    """They share the service's turn: rs1, rs2, rs1 ..."""
    service(family, "nat")
    servers = {name: [echo(getattr(world, name), family, world.rip(name, family), port)
                      for port in (5353, 5354)] for name in ("rs1", "rs2")}
    turns = []
    for port in (5353, 80, 5354, 80):
        if port == 80:
            turns.append(curl(world, VIP[family]))
            continue
        with world.client.socket(AF[family], socket.SOCK_DGRAM) as sock:
            sock.settimeout(10 * netns.PATIENCE)
            sock.connect((VIP[family], port))
            sock.send(b"x")
            names = {pair[port - 5353]: name for name, pair in servers.items()}
            server = netns.heard(names)
            assert server, "nobody heard it"
            _, _, sender = hops_left(server)
            turns.append(names[server])
            server.sendto(b"back", sender)
            assert sock.recv(10) == b"back"
            assert not netns.heard(names, 0), "heard twice"
    for pair in servers.values():
        for sock in pair:
            sock.close()
    assert turns[0] == turns[2] != turns[1] == turns[3]
    assert sorted(turns) == ["rs1", "rs1", "rs2", "rs2"]


class Web:
    """A server on the director itself, that says `director`."""

    CODE = """if 1:
        import http.server, socket, sys
        class H(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200); self.end_headers(); self.wfile.write(b"director")
            def log_message(self, *a): pass
        class S(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6
        S(("::", 80), H).serve_forever()"""

    def __init__(self, host):
        self.process = subprocess.Popen(["ip", "netns", "exec", host.name, sys.executable, "-c",
                                         self.CODE])
        netns.wait_for("the director's server", 30, lambda: host.run(
            "curl", "-s", "http://127.0.0.1/", check=False).stdout == "director")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@families
def test_the_director_is_a_real_server(world, service, family):
    """Its sockets see all of a connection, also what comes after it is established."""
    rip = "192.168.229.133" if family == 4 else "fd00:229::133"
    service(family, "nat", ["rs1", rip])
    with Web(world.director):
        before = world.counters()
        answers = [curl(world, VIP[family]) for _ in range(4)]
        moved = world.moved(before)
    assert sorted(answers) == ["director", "director", "rs1", "rs1"]
    assert moved["local-nat"] == 2 and moved["local-mark"] >= 6 and moved["local-reply"] >= 6, moved
    assert "dest-gone" not in moved and "mark-stray" not in moved
    listing = world.ipvsadm("-Ln", "--stats").stdout
    packets = {line.split()[1].rsplit(":", 1)[0]: int(line.split()[3])
               for line in listing.splitlines() if "->" in line and "Remote" not in line}
    here, there = (n for _, n in sorted(packets.items(), key=lambda kv: "132" in kv[0]))
    # each packet is counted once: twice would be a dozen more, a few are sent again
    assert abs(here - there) <= 5, listing


@families
@pytest.mark.parametrize("whose", ["own", "net"])
def test_what_no_service_takes_is_the_stacks(world, service, family, whose):
    """TCP without a connection: reset by the host it is for, or sent on to it."""
    service(family, "nat")
    addr = VIP[family] if whose == "own" else "203.0.113.9" if family == 4 else "fd00:113::9"
    before = world.counters()
    head = "IP(src=s, dst=d)" if family == 4 else "IPv6(src=s, dst=d)"
    code = f"""if 1:
        from scapy.all import *
        s, d = {world.rip("client", family)!r}, {addr!r}
        sr1({head} / TCP(sport=7777, dport=80, flags="A", seq=1, ack=99), timeout=1, verbose=0)
        a = sr1({head} / TCP(sport=7778, dport=80, flags="A", seq=1, ack=99), timeout=3, verbose=0)
        print(a.sprintf("%TCP.flags%") if a and TCP in a else a and a.summary())"""
    if whose == "net":
        host = world.rs1
        world.director.ip(f"-{family}", "route", "add", addr, "via", world.rip("rs1", family))
    try:
        said = world.client.run("/usr/bin/python3", "-c", code, timeout=60).stdout
    finally:
        if whose == "net":
            world.director.ip(f"-{family}", "route", "del", addr)
    moved = world.moved(before)
    assert said.strip() == "R", (said, moved)
    assert moved["no-connection"] == 2 and "mark-stray" not in moved, moved


@families
def test_ping_and_neighbours_are_not_concerned(world, service, family):
    service(family, "nat")
    before = world.counters()
    world.client.run("ping", "-c", "2", "-i", "0.2", "-W", "2", VIP[family])
    assert not world.kinds_moved(before) & {"DROP", "SENT", "BUG"}


@families
def test_connections_outlive_their_service(world, service, family):
    adm(world, family, "-A", "-f", MARK, "-s", "rr")
    adm(world, family, "-a", "-f", MARK, "-r", world.rip("rs1", family), "-m")
    server = world.rs1.bound(AF[family], socket.SOCK_STREAM, world.rip("rs1", family), 7000)
    server.listen()
    with server, world.client.socket(AF[family], socket.SOCK_STREAM) as sock:
        sock.settimeout(10 * netns.PATIENCE)
        sock.connect((VIP[family], 7000))
        conn, _ = server.accept()
        world.ipvsadm("-E", *(["-f", MARK] + (["-6"] if family == 6 else [])), "-s", "wrr")
        conn.sendall(b"one")
        assert sock.recv(10) == b"one"
        before = world.counters()
        service(family, "nat", ["rs2"], mark=99)
        adm(world, family, "-D", "-f", MARK)
        sock.sendall(b"two")
        conn.settimeout(0.5)
        with pytest.raises(TimeoutError):
            conn.recv(10)
        assert world.moved(before)["dest-gone"]
        # the server back within the time that its connections are kept, all goes on
        service(family, "nat", ["rs1"])
        conn.settimeout(20)  # it is sent again after longer and longer times
        assert conn.recv(10) == b"two"
        conn.close()


@pytest.fixture(scope="module")
def iptables():
    """Debian's, unpacked where the VM tier keeps its programs: iptables(world, which, ...)."""
    kernel = pathlib.Path(__file__).parent.parent / "vm" / "kernel"
    roots = [netns.run(kernel, "--deb", package, timeout=400).stdout.strip()
             for package in ("iptables", "libxtables12", "libip4tc2", "libip6tc2")]
    lib = [f"{root}/usr/lib/{os.uname().machine}-linux-gnu" for root in roots]
    env = dict(os.environ, LD_LIBRARY_PATH=":".join(lib), XTABLES_LIBDIR=f"{lib[0]}/xtables",
               XTABLES_LOCKFILE="/dev/null")

    def run(world, which, *argv):
        world.director.run(f"{roots[0]}/usr/sbin/{which}", *argv, env=env)

    return run


@families
@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_iptables(world, service, iptables, kind, family):
    """Marks by the mangle table, of two ports of the address and of nothing else."""
    tool = f"ip{6 if family == 6 else ''}tables-{kind}"
    rule = ["PREROUTING", "-d", VIP[family], "-p", "tcp", "-m", "multiport", "--dports", "80,81",
            "-j", "MARK", "--set-mark", "12"]
    world.director.run("nft", "delete", "table", "inet", "marks")
    iptables(world, tool, "-t", "mangle", "-A", *rule)
    try:
        service(family, "nat", mark=12)
        assert sorted(curl(world, VIP[family]) for _ in range(4)) == ["rs1", "rs1", "rs2", "rs2"]
        with world.client.socket(AF[family], socket.SOCK_STREAM) as sock:
            with pytest.raises(ConnectionRefusedError):
                sock.connect((VIP[family], 82))
    finally:
        iptables(world, tool, "-t", "mangle", "-D", *rule)
        nft(world)
