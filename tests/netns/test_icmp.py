# SPDX-License-Identifier: GPL-2.0-only
"""ICMP errors, both ways and of our own, as real stacks send and understand them."""

import contextlib
import errno
import hashlib
import os
import socket
import struct
import threading
import time

import pytest

import netns
from world import AF, FLAG, VIP, address, at

families = pytest.mark.parametrize("family", [4, 6])
methods = pytest.mark.parametrize("method", ["nat", "dr", "tun"])
kinds = pytest.mark.parametrize("kind", ["udp", "tcp"])

# of linux/in.h and in6.h
IP_MTU_DISCOVER, IP_RECVERR, IP_MTU = 10, 11, 14
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_RECVERR = 23, 24, 25
PMTUDISC_DO = 2
LEVEL = {4: socket.IPPROTO_IP, 6: socket.IPPROTO_IPV6}
ANY = {4: "0.0.0.0", 6: "::"}


@contextlib.contextmanager
def small_path(router, family, to, dev, mtu, *via):
    """`router` lets through no more than `mtu` on its way to one address."""
    host = f"{to}/{32 if family == 4 else 128}"
    router.ip("route", "add", host, *via, "dev", dev, "mtu", "lock", mtu)
    try:
        yield
    finally:
        router.ip("route", "del", host)


@pytest.fixture(autouse=True)
def no_memory(world):
    """Path MTUs that hosts have learned are forgotten after each test."""
    yield
    for host in (world.client, world.rs1, world.far, world.director):
        for family in ("-4", "-6"):
            host.ip(family, "route", "flush", "cache")


def learned_mtu(host, family, to):
    words = host.ip(f"-{family}", "route", "get", to).split()
    return int(words[words.index("mtu") + 1]) if "mtu" in words else None


class Sink:
    """A TCP server that answers with the digest of what it was sent, once."""

    def __init__(self, host, family, port):
        self.server = host.bound(AF[family], socket.SOCK_STREAM, ANY[family], port)
        self.server.listen()
        self.server.settimeout(40 * netns.PATIENCE)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            conn, _ = self.server.accept()
            with conn:
                conn.settimeout(30 * netns.PATIENCE)
                digest = hashlib.sha256()
                while data := conn.recv(65536):
                    digest.update(data)
                conn.sendall(digest.digest())

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join()


def upload(world, family, port, host, rport=None):
    content = os.urandom(1_000_000)
    sink = Sink(host, family, rport or port)
    try:
        with world.client.socket(AF[family], socket.SOCK_STREAM) as sock:
            sock.settimeout(30 * netns.PATIENCE)
            sock.connect((VIP[family], port))
            sock.sendall(content)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(100) == hashlib.sha256(content).digest()
    finally:
        sink.close()


def told_mtu(world, family, port, size=1500, seconds=10):
    """What a sender that insists on whole packets is told to be the most that fits."""
    level, disc, mtu = ((LEVEL[4], IP_MTU_DISCOVER, IP_MTU) if family == 4 else
                        (LEVEL[6], IPV6_MTU_DISCOVER, IPV6_MTU))
    payload = b"z" * (size - 8 - (20 if family == 4 else 40))
    with world.client.socket(AF[family], socket.SOCK_DGRAM) as sock:
        sock.setsockopt(level, disc, PMTUDISC_DO)
        sock.connect((VIP[family], port))
        end = time.monotonic() + seconds * netns.PATIENCE
        try:
            while time.monotonic() < end:
                sock.send(payload)
                time.sleep(0.02)
        except OSError as err:
            assert err.errno == errno.EMSGSIZE
        return sock.getsockopt(level, mtu)


@families
def test_path_to_the_client_is_small(world, family):
    """NAT: the router's complaint about answers reaches the real server, as being about its own."""
    blob = os.urandom(1_000_000)
    (world.dir / "blob").write_bytes(blob)
    client = address("home", "10", family)
    port = world.service(family, "nat", ["rs1"], rport=80)
    before = world.counters()
    try:
        with small_path(world.a, family, client, "eth0", 1400):
            world.client.curl(f"http://{at(VIP[family], port)}/blob", "-o", world.dir / "got")
        assert (world.dir / "got").read_bytes() == blob
        assert learned_mtu(world.rs1, family, client) == 1400
        assert world.moved(before).get("icmp-in")
    finally:
        world.drop(family, port)


@families
def test_path_to_the_server_is_small(world, family):
    """NAT: a router behind the director complains about requests; the client hears it of the VIP."""
    port = world.service(family, "nat", ["far"], rport=9001)
    before = world.counters()
    try:
        with small_path(world.c, family, world.rip("far", family), "eth1", 1400):
            upload(world, family, port, world.far, 9001)
        assert learned_mtu(world.client, family, VIP[family]) == 1400
        assert world.moved(before).get("icmp-out")
    finally:
        world.drop(family, port)


@families
@pytest.mark.parametrize("method", ["nat", "dr"])
def test_own_link_is_small(world, family, method):
    """The director's own link to the server takes less than the client sends."""
    port = world.service(family, method, ["rs1"], kind="-u")
    before = world.counters()
    try:
        with small_path(world.director, family, world.rip("rs1", family), "eth1", 1400):
            assert told_mtu(world, family, port) == 1400
        assert world.moved(before).get("too-big")
    finally:
        world.drop(family, port, "-u")


OVERHEAD = {4: 20, 6: 40}


@families
@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
def test_no_room_for_the_tunnel(world, family, outer):
    """All four pairs of families: a full packet does not fit behind the outer header."""
    for kind in ("-t", "-u"):
        vip = at(VIP[family], 10000)
        world.ipvsadm("-A", kind, vip, "-s", "rr")
        world.ipvsadm("-a", kind, vip, "-r", at(world.rip("rs1", outer), 10000), FLAG["tun"])
    try:
        if world.mode == "xdp":
            # a sender that segments by itself (with TC the director may shrink the segments)
            upload(world, family, 10000, world.rs1)
            assert learned_mtu(world.client, family, VIP[family]) == 1500 - OVERHEAD[outer]
            world.client.ip(f"-{family}", "route", "flush", "cache")
        assert told_mtu(world, family, 10000) == 1500 - OVERHEAD[outer]
        upload(world, family, 10000, world.rs1)
    finally:
        for kind in ("-t", "-u"):
            world.drop(family, 10000, kind)


@pytest.mark.parametrize("family, outer", [(4, 4), (4, 6), (6, 6)])
def test_path_of_the_tunnel_is_small(world, family, outer):
    """
    A router complains about the outer packet: the client is told what is left of that. (IPv6 in
    IPv4 travels without DF, as IPVS sends it: routers cut it, and the real server puts it together.)
    """
    for kind in ("-t", "-u"):
        vip = at(VIP[family], 10001)
        world.ipvsadm("-A", kind, vip, "-s", "rr")
        world.ipvsadm("-a", kind, vip, "-r", at(world.rip("far", outer), 10001), FLAG["tun"])
    before = world.counters()
    try:
        with small_path(world.c, outer, world.rip("far", outer), "eth1", 1400):
            assert told_mtu(world, family, 10001) in (1400 - OVERHEAD[outer], 1500 - OVERHEAD[outer])
            assert told_mtu(world, family, 10001, 1500 - OVERHEAD[outer]) == 1400 - OVERHEAD[outer]
            upload(world, family, 10001, world.far)
        moved = world.moved(before)
        assert moved.get("icmp-out" if (family, outer) == (4, 4) else "icmp-pmtu"), moved
    finally:
        for kind in ("-t", "-u"):
            world.drop(family, 10001, kind)


@methods
@families
def test_closed_port_on_the_server(world, family, method):
    port = world.service(family, method, ["rs1"], kind="-u", rport=9)
    before = world.counters()
    try:
        with world.client.socket(AF[family], socket.SOCK_DGRAM) as sock:
            sock.settimeout(10 * netns.PATIENCE)
            sock.connect((VIP[family], port))
            sock.send(b"anybody?")
            with pytest.raises(ConnectionRefusedError):
                sock.recv(100)
        if method == "nat":
            assert world.moved(before).get("icmp-out") == 1
    finally:
        world.drop(family, port, "-u")


@pytest.mark.parametrize("servers", [[], ["rs1"]], ids=["none", "weight0"])
@kinds
@families
def test_no_usable_server(world, family, kind, servers):
    flag = "-t" if kind == "tcp" else "-u"
    port = world.service(family, "nat", servers, kind=flag)
    for name in servers:
        world.ipvsadm("-e", flag, at(VIP[family], port), "-r", at(world.rip(name, family), port),
                      "-m", "-w", "0")
    before = world.counters()
    try:
        what = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
        with world.client.socket(AF[family], what) as sock:
            sock.settimeout(10 * netns.PATIENCE)
            with pytest.raises(ConnectionRefusedError):
                sock.connect((VIP[family], port))
                sock.send(b"anybody?")
                sock.recv(100)
        # a SYN may be refused before its sender has finished sending it; it asks once more then,
        # and four times in the time that it has
        assert 1 <= world.moved(before).get("no-destination") <= (4 if kind == "tcp" else 1)
    finally:
        world.drop(family, port, flag)


def error_of(sock, family):
    """Type, code and sender of the next ICMP error in the queue of a socket with RECVERR."""
    end = time.monotonic() + 10 * netns.PATIENCE
    while time.monotonic() < end:
        try:
            _, notes, _, _ = sock.recvmsg(2000, 500, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            time.sleep(0.01)
            continue
        _, _, data = notes[0]
        _, _, kind, code = struct.unpack_from("=IBBB", data)
        where = data[16 + 4:16 + 8] if family == 4 else data[16 + 8:16 + 24]
        return kind, code, socket.inet_ntop(AF[family], where)
    return None


def short_lived(sock, family, hops):
    sock.setsockopt(LEVEL[family], IP_RECVERR if family == 4 else IPV6_RECVERR, 1)
    sock.setsockopt(LEVEL[family],
                    socket.IP_TTL if family == 4 else socket.IPV6_UNICAST_HOPS, hops)


EXCEEDED = {4: (11, 0), 6: (3, 0)}


@methods
@families
def test_traceroute_to_the_vip(world, family, method):
    """One hop left when it meets the director: time exceeded, from the VIP."""
    port = world.service(family, method, ["rs1"], kind="-u")
    before = world.counters()
    try:
        with world.client.socket(AF[family], socket.SOCK_DGRAM) as sock:
            short_lived(sock, family, 2)
            sock.connect((VIP[family], port))
            sock.send(b"how far?")
            assert error_of(sock, family) == (*EXCEEDED[family], VIP[family])
        assert world.moved(before).get("ttl-exceeded") == 1
    finally:
        world.drop(family, port, "-u")


@families
def test_traceroute_by_tcp(world, family):
    port = world.service(family, "nat", ["rs1"])
    try:
        with world.client.socket(AF[family], socket.SOCK_STREAM) as sock:
            short_lived(sock, family, 2)
            sock.settimeout(10 * netns.PATIENCE)
            with pytest.raises(OSError) as caught:
                sock.connect((VIP[family], port))
            assert caught.value.errno == errno.EHOSTUNREACH
    finally:
        world.drop(family, port)


@families
def test_answers_that_die_on_the_way(world, family):
    """Time exceeded about an answer goes to the real server that sent it."""
    port = world.service(family, "nat", ["rs1"], kind="-u")
    try:
        with (
            world.rs1.bound(AF[family], socket.SOCK_DGRAM, ANY[family], port) as server,
            world.client.socket(AF[family], socket.SOCK_DGRAM) as client,
        ):
            short_lived(server, family, 2)
            client.sendto(b"question", (VIP[family], port))
            _, who = server.recvfrom(100)
            server.sendto(b"answer", who)
            router = address("outer", "1", family)
            assert error_of(server, family) == (*EXCEEDED[family], router)
    finally:
        world.drop(family, port, "-u")
