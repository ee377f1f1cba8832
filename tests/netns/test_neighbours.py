# SPDX-License-Identifier: GPL-2.0-only
"""Neighbours and routes: nothing is lost while one is looked for, and a change is followed."""

import socket
import time

import pytest
from scapy.layers.l2 import Ether

import netns
from world import AF, Stream, address, at, drain, ticks

families = pytest.mark.parametrize("family", [4, 6])
methods = pytest.mark.parametrize("method", ["nat", "dr", "tun"])
ANY = {4: "0.0.0.0", 6: "::"}
FOLLOWED = 3  # s (ticks()); about one is what is promised, the rest is the machine's noise


@pytest.fixture
def forget(world):
    """The director has heard of nobody; dead entries are hidden from `flush` without `nud all`."""

    def flush(dev="eth1"):
        for family in ("-4", "-6"):
            netns.run("ip", "-n", world.director.name, family, "neigh", "flush", "dev", dev,
                      "nud", "all", check=False)

    return flush


@pytest.fixture
def listen(world):
    """A UDP service on one real server, and its socket there."""
    made = []

    def make(family, method, name):
        port = world.service(family, method, [name], kind="-u")
        sock = getattr(world, name).bound(AF[family], socket.SOCK_DGRAM, ANY[family], port)
        made.append((family, port, sock))
        return port, sock

    yield make
    for family, port, sock in made:
        sock.close()
        world.drop(family, port, "-u")


@methods
@families
def test_first_datagram_is_not_lost(world, forget, listen, family, method):
    port, server = listen(family, method, "rs1")
    forget()
    before = world.counters()
    with world.client.socket(AF[family], socket.SOCK_DGRAM) as client:
        client.sendto(b"the only one", (world.vip[family], port))
        server.settimeout(10 * netns.PATIENCE)
        assert server.recv(100) == b"the only one"
    if world.mode == "xdp":
        assert world.moved(before).get("up-neighbour")


def sent_again(host):
    """Segments of TCP's so far."""
    lines = host.run("nstat", "-asz", "TcpRetransSegs").stdout.splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("TcpRetransSegs")))


@methods
@families
def test_first_syn_is_not_lost(world, forget, family, method):
    """Nothing is sent again; on a busy host it may be, for an answer that is late, but not always."""
    port = world.service(family, method, ["rs1"], port=80)
    again = []
    try:
        for _ in range(3):
            forget()
            before = sent_again(world.client)
            assert world.client.curl(f"http://{at(world.vip[family], port)}/") == "rs1\n"
            again.append(sent_again(world.client) - before)
            if not again[-1]:
                break
        assert 0 in again, again
    finally:
        world.drop(family, port)


@families
def test_first_answer_is_not_lost(world, forget, listen, family):
    """NAT's other direction: the client's router is not known any more."""
    port, server = listen(family, "nat", "rs1")
    with world.client.socket(AF[family], socket.SOCK_DGRAM) as client:
        client.connect((world.vip[family], port))
        client.send(b"question")
        _, who = server.recvfrom(100)
        forget("eth0")
        server.sendto(b"answer", who)
        client.settimeout(10 * netns.PATIENCE)
        assert client.recv(100) == b"answer"


@pytest.mark.parametrize("method", ["nat", "tun"])
@families
def test_servers_behind_a_router(world, family, method):
    """Not on the director's link. (Direct routing ends at the router, with IPVS as with us.)"""
    port = world.service(family, method, ["far"], port=80)
    try:
        for _ in range(3):
            assert world.client.curl(f"http://{at(world.vip[family], port)}/") == "far\n"
    finally:
        world.drop(family, port)


def new_mac(mac):
    """One that nobody has: the third byte moved on."""
    parts = mac.split(":")
    parts[2] = f"{(int(parts[2], 16) + 1) % 256:02x}"
    return ":".join(parts)


class Moved:
    """A real server with another MAC; the old one comes back at the end."""

    def __init__(self, world, name, announced):
        self.host = getattr(world, name)
        self.family_knobs = [f"net.ipv4.conf.eth0.arp_notify={int(announced)}",
                             f"net.ipv6.conf.eth0.ndisc_notify={int(announced)}"]
        self.old = self.host.mac()
        self.director = world.director

    def __enter__(self):
        self.host.run("sysctl", "-qw", *self.family_knobs)
        self.host.ip("link", "set", "eth0", "address", new_mac(self.old))
        return self

    def __exit__(self, *_):
        self.host.ip("link", "set", "eth0", "address", self.old)
        # known again for whatever comes next
        for family in (4, 6):
            self.host.run("ping", "-c1", "-W1", address("inner", "133", family), check=False)
        time.sleep(0.2)


def flow(world, listen, family, method, name="rs1"):
    """A stream that is under way: warm caches, confirmed neighbour."""
    port, server = listen(family, method, name)
    stream = Stream(world.client, family, world.vip[family], port)
    assert stream.until(lambda: drain(server), 10) is not None
    # the first may have had to wait for a neighbour: only the next ones leave a next hop behind
    for _ in range(5):
        stream.sock.send(b"warm")
        time.sleep(0.01)
    drain(server)
    return stream, server


def followed(record_property, what, took, limit=FOLLOWED):
    assert took is not None, f"{what} was not followed"
    record_property(what, round(took, 2))
    print(f"{what}: {took:.2f} s")
    assert took <= limit


def race(flows, seconds, every=True):
    """Send on all flows; when the first datagram of each arrived. every=False: to the end."""
    seen = {}
    for passed in ticks(seconds, Stream.PACE):
        if every and len(seen) == len(flows):
            break
        for key, (stream, server) in flows.items():
            try:
                stream.sock.send(b"x")
            except OSError:
                pass  # an ICMP error, told to the sender
            if drain(server):
                seen.setdefault(key, passed)
    return seen


def all_followed(record_property, what, world, flows, seen, limit=FOLLOWED):
    for stream, _ in flows.values():
        stream.close()
    for family, method in flows:
        followed(record_property, f"{what} {world.mode} {method} v{family}",
                 seen.get((family, method)), limit)


def all_flows(world, listen, methods_wanted, name="rs1"):
    """All warm at the end, and looked up at different times."""
    flows = {(f, m): flow(world, listen, f, m, name) for f in (4, 6) for m in methods_wanted}
    race(flows, 0.5, every=False)
    for _, server in flows.values():
        drain(server)
    return flows


def test_new_mac_that_is_announced(world, listen, record_property):
    flows = all_flows(world, listen, ("nat", "dr", "tun"))
    with Moved(world, "rs1", True):
        seen = race(flows, 6)
    all_followed(record_property, "announced MAC", world, flows, seen)


def test_new_mac_that_shows_in_other_traffic(world, listen, record_property):
    """No gratuitous ARP, but the server has something to say to the director."""
    flows = all_flows(world, listen, ("nat", "dr", "tun"))
    with Moved(world, "rs1", False):
        for family in (4, 6):
            world.rs1.reach(address("inner", "133", family))
        seen = race(flows, 6)
    all_followed(record_property, "MAC seen", world, flows, seen)


def test_new_mac_after_the_entry_was_removed(world, listen, forget, record_property):
    """`ip neigh flush` on the director, as an administrator would: the kernel has to ask anew."""
    flows = all_flows(world, listen, ("nat", "dr", "tun"))
    with Moved(world, "rs1", False):
        forget()
        seen = race(flows, 6)
    all_followed(record_property, "MAC after flush", world, flows, seen)


QUICK = {"base_reachable_time_ms": 500, "delay_first_probe_time": 1, "retrans_time_ms": 100}
USUAL = {"base_reachable_time_ms": 30000, "delay_first_probe_time": 5, "retrans_time_ms": 1000}


def test_new_mac_of_a_silent_server(world, listen, record_property):
    """
    Nothing tells the director but its own probes. They begin when an entry is used after it has
    gone stale, so XDP's traffic has to count as use (every 8 s or so, HOP_EPOCH_BITS). The kernel's
    patience is shortened here; what is left is ours.
    """

    def patience(knobs):
        world.director.run("sysctl", "-qw", *(
            f"net.{family}.neigh.eth1.{knob}={value}"
            for family in ("ipv4", "ipv6") for knob, value in knobs.items()))

    flows = all_flows(world, listen, ("dr",))
    patience(QUICK)
    try:
        with Moved(world, "rs1", False):
            seen = race(flows, 16)
    finally:
        patience(USUAL)
    all_followed(record_property, "silent MAC", world, flows, seen, 13)


class FrameFrom:
    """Has a frame with this source address and these bytes in it come to the device?"""

    def __init__(self, host, mac, inside):
        self.wire = host.wire()
        self.mac = mac
        self.inside = inside

    def __call__(self):
        return any(Ether(frame).src == self.mac and self.inside in frame
                   for frame in self.wire.frames(0.001))

    def close(self):
        self.wire.close()


@pytest.mark.parametrize("method", ["nat", "tun"])
@families
def test_route_to_the_server_moves(world, listen, record_property, family, method):
    stream, _ = flow(world, listen, family, method, "far")
    net, old, new = world.net("beyond", family), *(world.rip(r, family) for r in ("c", "d"))
    seen = FrameFrom(world.far, world.d.mac("eth1"), b"x" * 32)
    try:
        assert not seen()
        world.director.ip("route", "replace", net, "via", new)
        took = stream.until(seen, 6)
    finally:
        world.director.ip("route", "replace", net, "via", old)
        seen.close()
        stream.close()
    followed(record_property, f"route to server {world.mode} {method} v{family}", took)


@families
def test_route_to_the_client_moves(world, listen, record_property, family):
    port, server = listen(family, "nat", "rs1")
    stream = Stream(world.client, family, world.vip[family], port)
    seen = FrameFrom(world.client, world.b.mac("eth0"), b"answer")
    old, new = address("outer", "1", family), address("outer", "2", family)

    def answer():
        server.setblocking(False)
        try:
            while True:
                server.sendto(b"answer", server.recvfrom(100)[1])
        except BlockingIOError:
            return seen()

    try:
        assert stream.until(answer, 0.3) is None
        world.director.ip("route", "replace", "default", "via", new)
        took = stream.until(answer, 6)
    finally:
        world.director.ip("route", "replace", "default", "via", old)
        seen.close()
        stream.close()
    followed(record_property, f"route to client {world.mode} v{family}", took)


def test_route_goes_and_comes(world, listen, record_property):
    """Without a route nothing is sent the old way; with one again, everything."""
    flows = all_flows(world, listen, ("nat", "tun"), "far")
    for family in (4, 6):
        world.director.ip(f"-{family}", "route", "del", "default")
        world.director.ip("route", "del", world.net("beyond", family))
    try:
        going = 0
        while race(flows, 0.5, every=False):
            going += 0.5
            assert going < FOLLOWED, "packets by a route that is gone"
        late = race(flows, 1.2, every=False)
    finally:
        for family in (4, 6):
            world.director.ip("route", "add", world.net("beyond", family),
                              "via", world.rip("c", family))
            world.director.ip("route", "add", "default", "via", address("outer", "1", family))
    assert not late, f"packets by a route that is gone: {late}"
    all_followed(record_property, "route back", world, flows, race(flows, 6))
