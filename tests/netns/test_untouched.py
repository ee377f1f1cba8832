# SPDX-License-Identifier: GPL-2.0-only
"""What is not for a virtual service is the stack's, as if nothing sat on the devices."""

import contextlib
import socket
import struct
import threading
import time

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

import netns
from world import AF, VIP, address, at

families = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module", autouse=True)
def services(world):
    """Services in both families and of both kinds, or all of it would be passed too early."""
    for family in (4, 6):
        world.service(family, "nat", ["rs1", "rs2"], port=80)
        world.service(family, "nat", ["rs1", "rs2"], port=53, kind="-u")


@pytest.fixture
def passes(world):
    """Nothing is sent, answered or dropped meanwhile; and each reason named is counted."""

    @contextlib.contextmanager
    def check(*reasons):
        before = world.counters()
        yield
        # the last of it may be on its way
        netns.wait_for(f"{reasons} to be counted", 10, lambda: set(reasons) <= set(
            world.moved(before)))
        moved = world.moved(before)
        assert world.kinds_moved(before) <= {"PASS", "UP"}, moved

    return check


class Echo:
    """A TCP server that sends back what it gets, until closed."""

    def __init__(self, host, family, addr, port):
        self.server = host.bound(AF[family], socket.SOCK_STREAM, addr, port)
        self.server.listen()
        self.server.settimeout(30 * netns.PATIENCE)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self.server.accept()
                with conn, contextlib.suppress(OSError):
                    conn.settimeout(30 * netns.PATIENCE)
                    while data := conn.recv(65536):
                        conn.sendall(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join()


def receive(sock, size):
    data = b""
    while len(data) < size and (more := sock.recv(65536)):
        data += more
    return data


def test_arp_for_the_vip(world, passes):
    wire = world.a.wire("eth1")
    own, asker = world.a.mac("eth1"), address("outer", "1", 4)
    with passes("not-ip"):
        wire.send(Ether(src=own, dst="ff:ff:ff:ff:ff:ff")
                  / ARP(op=1, hwsrc=own, psrc=asker, pdst=VIP[4]))
        said = wire.expect(lambda p: ARP in p and p[ARP].op == 2 and p[ARP].psrc == VIP[4], Ether)
    wire.close()
    assert said and said[ARP].hwsrc == world.director.mac("eth0")


def test_neighbour_discovery_for_the_vip(world, passes):
    wire = world.a.wire("eth1")
    own, asker = world.a.mac("eth1"), address("outer", "1", 6)
    group = socket.inet_ntop(socket.AF_INET6, bytes.fromhex("ff0200000000000000000001ff")
                             + socket.inet_pton(socket.AF_INET6, VIP[6])[13:])
    with passes():
        wire.send(Ether(src=own, dst="33:33:ff" + ":%02x:%02x:%02x" % struct.unpack(
                      "BBB", socket.inet_pton(socket.AF_INET6, VIP[6])[13:]))
                  / IPv6(src=asker, dst=group, hlim=255)
                  / ICMPv6ND_NS(tgt=VIP[6]) / ICMPv6NDOptSrcLLAddr(lladdr=own))
        said = wire.expect(lambda p: ICMPv6ND_NA in p and p[ICMPv6ND_NA].tgt == VIP[6], Ether)
    wire.close()
    assert said and said.src == world.director.mac("eth0")


@pytest.mark.parametrize("size", [56, 4000], ids=["small", "fragmented"])
@families
def test_ping_to_the_vip(world, passes, family, size):
    with passes("icmp-other"):
        done = world.client.run("ping", "-c4", "-i0.05", "-W10", "-s", size, VIP[family])
    assert "4 received" in done.stdout


@families
@pytest.mark.parametrize("which", ["vip", "dip"])
def test_server_on_the_director_itself(world, passes, family, which):
    addr = VIP[family] if which == "vip" else address("inner", "133", family)
    host = world.client if which == "vip" else world.rs1
    with Echo(world.director, family, addr, 8022), passes(
        "no-service" if which == "vip" else "not-a-reply"
    ):
        with host.socket(AF[family], socket.SOCK_STREAM) as sock:
            sock.settimeout(20 * netns.PATIENCE)
            sock.connect((addr, 8022))
            sock.sendall(b"x" * 200_000)
            assert receive(sock, 200_000) == b"x" * 200_000


@families
def test_long_connection_through_the_director_as_a_router(world, passes, family):
    """To a NAT real server's own address: what comes back looks like an answer, and is none."""
    assert world.director.run("sysctl", "-n", "net.ipv4.ip_forward").stdout.strip() == "1"
    rip = world.rip("rs1", family)
    with Echo(world.rs1, family, rip, 22), passes("not-a-reply", "not-ours"):
        with world.client.socket(AF[family], socket.SOCK_STREAM) as sock:
            sock.settimeout(20 * netns.PATIENCE)
            sock.connect((rip, 22))
            for n in range(20):
                line = b"keystroke %d" % n
                sock.sendall(line)
                assert receive(sock, len(line)) == line
                time.sleep(0.02)
            bulk = b"y" * 1_000_000
            sender = threading.Thread(target=sock.sendall, args=(bulk,))
            sender.start()
            assert receive(sock, len(bulk)) == bulk
            sender.join()


@families
def test_ping_and_traceroute_through_the_director(world, passes, family):
    rip = world.rip("rs1", family)
    with passes():
        done = world.client.run("ping", "-c2", "-i0.05", "-W10", rip)
        assert "2 received" in done.stdout
        # the director is the second hop
        done = world.client.run("ping", "-c1", "-W10", "-t2", rip, check=False)
    assert "exceeded" in done.stdout and VIP[family] in done.stdout


@families
def test_udp_port_without_service(world, passes, family):
    """The stack's own answer, and its own count of it."""
    counter = "IcmpOutDestUnreachs" if family == 4 else "Icmp6OutDestUnreachs"

    def count():
        lines = world.director.run("nstat", "-asz", counter).stdout.splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(counter)))

    before = count()
    with passes("no-service"), world.client.socket(AF[family], socket.SOCK_DGRAM) as sock:
        sock.settimeout(10 * netns.PATIENCE)
        sock.connect((VIP[family], 5353))
        sock.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(100)
    assert count() == before + 1


@families
def test_tcp_port_without_service(world, passes, family):
    with passes("no-service"), world.client.socket(AF[family], socket.SOCK_STREAM) as sock:
        sock.settimeout(10 * netns.PATIENCE)
        with pytest.raises(ConnectionRefusedError):
            sock.connect((VIP[family], 81))


@pytest.mark.parametrize("to", ["192.168.1.255", "255.255.255.255", "224.0.0.251", "ff02::fb"])
def test_broadcast_and_multicast(world, passes, to):
    family = 6 if ":" in to else 4
    with world.director.bound(AF[family], socket.SOCK_DGRAM, "::" if family == 6 else "", 53) as ear:
        index = int(world.director.ip("-o", "link", "show", "eth0").split(":")[0])
        if to.startswith("224"):
            group = socket.inet_aton(to) + socket.inet_aton(VIP[4])
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        elif family == 6:
            group = socket.inet_pton(socket.AF_INET6, to) + struct.pack("@I", index)
            ear.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        with passes(), world.a.socket(AF[family], socket.SOCK_DGRAM) as mouth:
            mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth1")
            mouth.sendto(b"to all", (to, 53))
            assert ear.recv(100) == b"to all"


def test_service_in_a_broadcast_frame(world, passes):
    """To the VIP and its service, but for every host on the wire: no host may forward such."""
    wire = world.a.wire("eth1")
    with passes("not-for-host"):
        wire.send(Ether(src=world.a.mac("eth1"), dst="ff:ff:ff:ff:ff:ff")
                  / IP(src="10.1.0.10", dst=VIP[4]) / UDP(sport=999, dport=53) / b"hello")
    wire.close()


def test_frame_for_another_host(world, passes):
    """As a switch floods them: with the VIP in it, but not for our MAC."""
    wire = world.a.wire("eth1")
    world.director.ip("link", "set", "eth0", "promisc", "on")
    try:
        with passes("not-for-host"):
            wire.send(Ether(src=world.a.mac("eth1"), dst="02:00:00:00:00:77")
                      / IP(src="10.1.0.10", dst=VIP[4]) / UDP(sport=999, dport=53) / b"hello")
    finally:
        world.director.ip("link", "set", "eth0", "promisc", "off")
        wire.close()


@families
def test_the_services_work_meanwhile(world, family):
    """Or all of the above would prove little."""
    answers = [world.client.curl(f"http://{at(VIP[family], 80)}/").strip() for _ in range(4)]
    assert sorted(answers) == ["rs1", "rs1", "rs2", "rs2"]
