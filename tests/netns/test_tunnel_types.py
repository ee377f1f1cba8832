# SPDX-License-Identifier: GPL-2.0-only
"""
GUE and GRE tunnels to real servers whose kernel takes them apart (its modules fou, ip_gre and the
like): uploads, sizes and errors. rs1 wants no checksums of GRE, rs2 does.
"""

import pytest
from test_icmp import no_memory, told_mtu, upload  # noqa: F401

import netns
from world import AF, FLAG, VIP, at

GUE_PORT = 6080
KINDS = {
    "gue": ("rs1", 12, ["gue", "--tun-port", GUE_PORT, "--tun-nocsum"]),
    "gue-csum": ("rs2", 12, ["gue", "--tun-port", GUE_PORT, "--tun-csum"]),
    "gue-remcsum": ("rs1", 12, ["gue", "--tun-port", GUE_PORT, "--tun-remcsum"]),
    "gre": ("rs1", 4, ["gre", "--tun-nocsum"]),
    "gre-csum": ("rs2", 8, ["gre", "--tun-csum"]),
}
IP_HEADER = {4: 20, 6: 40}

each_kind = pytest.mark.parametrize("kind", KINDS)
pairs = pytest.mark.parametrize("family, outer", [(4, 4), (4, 6), (6, 4), (6, 6)],
                                ids=["4in4", "4in6", "6in4", "6in6"])


@pytest.fixture(scope="module")
def ends(world):
    """The real servers' ends of the tunnels: the kernel's own."""
    netns.run("modprobe", "-a", "fou", "ipip", "sit", "ip6_tunnel", "ip_gre", "ip6_gre")
    for name in ("rs1", "rs2"):
        host = getattr(world, name)
        host.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0",
                 "net.ipv4.conf.default.rp_filter=0")
        host.run("ip", "fou", "add", "port", GUE_PORT, "gue")
        host.run("ip", "-6", "fou", "add", "port", GUE_PORT, "gue")
        sums = ["icsum"] if name == "rs2" else []
        local = {f: world.rip(name, f) for f in (4, 6)}
        host.ip("link", "add", "t44", "type", "ipip", "local", local[4], "remote", "any")
        host.ip("link", "add", "t64", "type", "sit", "local", local[4], "remote", "any")
        host.ip("link", "add", "tx6", "type", "ip6tnl", "mode", "any", "local", local[6],
                "remote", "any")
        host.ip("link", "add", "g4", "type", "gre", "local", local[4], "remote", "any", *sums)
        host.ip("link", "add", "g6", "type", "ip6gre", "local", local[6], "remote", "any", *sums)
        for dev in ("t44", "t64", "tx6", "g4", "g6"):
            host.run("sysctl", "-qw", f"net.ipv4.conf.{dev}.rp_filter=0")
            host.ip("link", "set", dev, "up")
    return world


def service(world, family, outer, kind, word="-t"):
    world.port += 1
    server, _, options = KINDS[kind]
    vip = at(VIP[family], world.port)
    world.ipvsadm("-A", word, vip, "-s", "rr")
    world.ipvsadm("-a", word, vip, "-r", at(world.rip(server, outer), world.port), FLAG["tun"],
                  "--tun-type", *options)
    return world.port, getattr(world, server)


def batches(world, wanted):
    """Does the director get segments put together? Not where XDP is, which sees each."""
    word = "on" if wanted else "off"
    if world.mode == "tc":
        world.client.run("ethtool", "-K", "eth0", "tso", word, "gso", word)
        world.switch.run("ethtool", "-K", world.plug("client", "eth0"), "gro", word)


@each_kind
@pairs
def test_upload(ends, family, outer, kind):
    """A megabyte, in segments that the sender's kernel has put together or not."""
    port, server = service(ends, family, outer, kind)
    before = ends.counters()
    batches(ends, kind != "gre-csum")
    try:
        upload(ends, family, port, server)
        moved = ends.moved(before)
        assert moved["tunnel"] > (20 if ends.mode == "tc" else 600) and "tunnel-batch" not in moved
    finally:
        batches(ends, True)
        ends.drop(family, port)


@each_kind
@pairs
def test_room(ends, family, outer, kind):
    """Who sends whole packets hears how much fits, and that does."""
    port, server = service(ends, family, outer, kind, "-u")
    room = 1500 - IP_HEADER[outer] - KINDS[kind][1]
    try:
        with server.bound(AF[family], 2, "0.0.0.0" if family == 4 else "::", port) as sock:
            sock.settimeout(10 * netns.PATIENCE)
            assert told_mtu(ends, family, port) == room
            with ends.client.socket(AF[family], 2) as client:
                client.sendto(b"z" * (room - IP_HEADER[family] - 8), (VIP[family], port))
                assert len(sock.recv(2000)) == room - IP_HEADER[family] - 8
    finally:
        ends.drop(family, port, "-u")


@pytest.mark.parametrize("kind", ["gue", "gre"])
def test_error_of_the_tunnels_end(ends, kind):
    """The real server takes no such packets any more, and says so: the client hears it of its own."""
    port, server = service(ends, 4, 4, kind, "-u")
    fou = ["ip", "fou", "del", "port", GUE_PORT]
    before = ends.counters()
    try:
        server.run(*fou) if kind == "gue" else server.ip("link", "set", "g4", "down")
        with ends.client.socket(AF[4], 2) as client:
            client.settimeout(10 * netns.PATIENCE)
            client.connect((VIP[4], port))
            client.send(b"anybody?")
            with pytest.raises(ConnectionRefusedError):
                client.recv(100)
        assert ends.moved(before).get("icmp-out") == 1
    finally:
        server.run("ip", "fou", "add", "port", GUE_PORT, "gue", check=False)
        server.ip("link", "set", "g4", "up")
        ends.drop(4, port, "-u")
