# SPDX-License-Identifier: GPL-2.0-only
"""What services by firewall mark do to their host: rules, a device, sysctls; and how it is undone."""

import difflib
import os
import random
import re

import pytest

import netns
from test_faults import Lone, durations, inside, kill_after

# Linux 6.17 lets one IPv6 device forward; before, it is all or none.
FORCE_FORWARDING = os.path.exists("/proc/sys/net/ipv6/conf/lo/force_forwarding")
families = pytest.mark.parametrize("family", [4, 6])
OURS = "proto 185"
MARK_MAC = "02:62:70:76:73:00"


@pytest.fixture
def lone(build):
    made = Lone(build)
    # on 6.1 IPv6 does not do without
    made.host.sysctl("net.ipv6.conf.all.forwarding", 1)
    made.host.ip("addr", "add", "fd00:1::111/64", "dev", "eth0", "nodad")
    made.host.settle()
    made.before = made.sysctls()
    yield made
    made.host.run(made.bpvs, "down", check=False)
    made.host.delete()
    made.peer.delete()


def state(lone):
    """All that a mark's service may touch."""
    text = []
    for family in (4, 6):
        text.append(lone.host.ip("-d", f"-{family}", "rule"))
        text.append(lone.host.ip("-d", f"-{family}", "route", "show", "table", "all"))
    text.append(lone.host.ip("-d", "-o", "link"))
    text.append(lone.host.run("sysctl", "-a", "-r", r"^net\.ipv[46]\.(conf|ip_forward|route)",
                              check=False).stdout)
    # seconds that are left of something
    return re.sub(r" expires \S+", "", "\n".join(text))


def add(lone, mark, family=4, check=True):
    return lone.ipvsadm("-A", "-f", mark, *(["-6"] if family == 6 else []), "-s", "rr",
                        check=check)


def delete(lone, mark, family=4):
    lone.ipvsadm("-D", "-f", mark, *(["-6"] if family == 6 else []))


def rules(lone, family=4):
    return lone.host.ip("-d", f"-{family}", "rule").splitlines()


def own_address_is_local(lone):
    for family, addr in ((4, "192.168.1.111"), (6, "fd00:1::111")):
        for extra in ([], ["mark", "7"]):
            assert "local" in lone.host.ip(f"-{family}", "route", "get", addr, *extra).split()[:2]


@pytest.mark.parametrize("how,forwards", [("delete", 0), ("clear", 1), ("down", 0), ("down", 1)])
def test_nothing_is_left(lone, how, forwards):
    lone.host.sysctl("net.ipv4.ip_forward", forwards)
    lone.host.ip("rule", "add", "pref", "100", "fwmark", "0x1", "lookup", "100")
    lone.host.ip("-6", "rule", "add", "pref", "50", "from", "fd00:9::/64", "lookup", "100")
    bare = state(lone)
    lone.up("--mode", "tc")
    up = state(lone)
    marks = [(m, f) for m in (7, 8) for f in (4, 6)]
    for mark, family in marks:
        add(lone, mark, family)
    assert state(lone) != up
    assert "bpvs0           tc (ours" in lone.host.run(lone.bpvs, "status").stdout
    own_address_is_local(lone)
    if how == "delete":
        random.Random(how).shuffle(marks)
        for mark, family in marks:
            delete(lone, mark, family)
            own_address_is_local(lone)
    elif how == "clear":
        lone.ipvsadm("-C")
    if how in ("delete", "clear"):
        assert state(lone) == up
    lone.down()
    assert state(lone) == bare


def test_rules_stand_in_order(lone):
    """What comes by bpvs0 or is this host's own passes marks by; `local` is there once, behind."""
    lone.up("--mode", "tc")
    for mark in (7, 8):
        for family in (4, 6):
            add(lone, mark, family)
    for family in (4, 6):
        have = rules(lone, family)
        first = [i for i, r in enumerate(have) if "goto 1" in r]
        marks = [i for i, r in enumerate(have) if "fwmark" in r]
        local = [i for i, r in enumerate(have) if r.startswith("0:") and "lookup local" in r]
        assert len(first) == 2 and len(marks) == 6 and len(local) == 1
        assert max(first) < min(marks) and max(marks) < local[0]


@families
def test_rules_that_others_put_ahead_go_behind(lone, family):
    """`ip rule add` without a preference takes 0 while ours are there; it stays when ours go."""
    def rule(*words):
        lone.host.ip(f"-{family}", "rule", "add", *words)

    lone.up("--mode", "tc")
    add(lone, 7, family)
    net = "10.77.0.0/16" if family == 4 else "fd00:77::/32"
    rule("fwmark", "7", "lookup", "77")
    rule("not", "from", net, "uidrange", "5-9", "dport", "80-81", "iif", "nowhere", "lookup", "78")
    lone.ipvsadm("-C")
    left = [r for r in rules(lone, family) if r.startswith("0:")]
    assert len(left) == 3 and OURS not in "".join(left)
    add(lone, 7, family)
    have = [r for r in rules(lone, family) if r.startswith("0:")]
    assert have[5:] == left and all(OURS in r for r in have[:5])
    lone.down()
    assert [r for r in rules(lone, family) if r.startswith("0:")] == left


@families
@pytest.mark.parametrize("lost", ["goto", "fwmark", "all", "device", "down", "filter"])
def test_what_others_removed_comes_back(lone, family, lost):
    lone.up("--mode", "tc")
    add(lone, 7, family)
    good = state(lone)
    if lost == "device":
        lone.host.ip("link", "del", "bpvs0")
    elif lost == "down":
        lone.host.ip("link", "set", "bpvs0", "down")
    elif lost == "filter":
        lone.host.run("tc", "filter", "del", "dev", "bpvs0", "egress")
    else:
        for rule in rules(lone, family):
            pref, words = rule.split(":", 1)
            if OURS in rule and (lost == "all" or lost in words):
                words = words.replace("from all", "").split()
                lone.host.ip(f"-{family}", "rule", "del", "pref", pref, *words)
    lone.ipvsadm("-Ln")
    own_address_is_local(lone)
    if lost == "filter":
        assert "bpvs_mark_out" in lone.filters("bpvs0", "egress")
    same = [re.sub(r"(?m)^\d+: (bpvs0)", r"\1", re.sub(r"metric \d+|ifindex \d+", "", s))
            for s in (good, state(lone))]
    assert same[0] == same[1]


def test_a_device_that_a_killed_tool_left_goes(lone):
    """It was made and not yet noted down, or noted as gone and not yet removed."""
    lone.up("--mode", "tc")
    up = state(lone)
    for kind in ("dummy", "ifb"):
        lone.host.run("ip", "link", "add", "bpvs0", "address", MARK_MAC, "type", kind, check=False)
    assert state(lone) != up
    lone.ipvsadm("-Ln")
    assert state(lone) == up


def test_a_device_that_was_a_port_is_guarded_again(lone):
    """It forwards for marks only, whatever it was meanwhile."""
    lone.host.sysctl("net.ipv4.ip_forward", 0)
    forwards = lambda: lone.host.run("sysctl", "-n", "net.ipv4.conf.eth0.forwarding").stdout
    lone.up("--mode", "tc")
    add(lone, 7)
    good = rules(lone)
    assert forwards() == "1\n" and any("eth0" in rule for rule in good)
    lone.host.ip("link", "add", "br0", "type", "bridge")
    for change in (["master", "br0"], ["nomaster"]):
        lone.host.ip("link", "set", "eth0", *change)
        lone.ipvsadm("-Ln")
    lone.host.ip("link", "del", "br0")
    lone.ipvsadm("-Ln")
    assert forwards() == "1\n" and rules(lone) == good
    delete(lone, 7)
    assert forwards() == "0\n"


def test_killed_at_random_instants(lone):
    """The host never lacks `local`; whatever stays, the next call puts it right."""
    bare = state(lone)
    lone.up("--mode", "tc")
    up = state(lone)
    rng = random.Random("marks killed")
    took = []
    for _ in range(5):
        took += durations(lone.host, lone.adm, "-A", "-f", 1, "-s", "rr", times=1)
        delete(lone, 1)
    whole = min(took)
    killed = n = 0
    while n < 60 or (n < 300 and killed < 15):
        mark, family = rng.choice([1, 2, 3]), rng.choice([4, 6])
        what = rng.choice(["-A", "-A", "-D", "-C"])
        argv = [what] if what == "-C" else [what, "-f", mark, *(["-6"] if family == 6 else [])]
        argv += ["-s", "rr"] if what == "-A" else []
        killed += kill_after(inside(lone.host, lone.adm, *argv), rng.uniform(whole / 10, whole))
        own_address_is_local(lone)
        for f in (4, 6):
            have = rules(lone, f)
            assert [r for r in have if r.startswith("0:") and r.endswith("lookup local proto kernel")]
            marks = [i for i, r in enumerate(have) if "fwmark" in r]
            assert not marks or max(i for i, r in enumerate(have) if "goto 1" in r) < min(marks)
        n += 1
    print(f"adding a mark takes {whole * 1e3:.0f} ms, killed {killed} of {n}")
    assert killed >= 15
    lone.ipvsadm("-C")
    assert not list(difflib.unified_diff(up.splitlines(), state(lone).splitlines(), n=0))
    lone.down()
    assert state(lone) == bare


def test_down_killed(lone):
    """Of the tools, `down` has most to undo."""
    bare = state(lone)
    rng = random.Random("down killed")
    for _ in range(6):
        lone.up("--mode", "tc")
        for family in (4, 6):
            add(lone, 7, family)
        kill_after(inside(lone.host, lone.bpvs, "down"), rng.uniform(0.005, 0.06))
        own_address_is_local(lone)
        lone.host.run(lone.bpvs, "down", check=False)
        assert state(lone) == bare


def test_somebody_elses_bpvs0(lone):
    lone.host.ip("link", "add", "bpvs0", "type", "bridge")
    lone.up("--mode", "tc")
    before = state(lone)
    done = add(lone, 7, check=False)
    assert done.returncode == 255 and "bpvs0 that is not ours" in done.stderr
    assert state(lone) == before
    assert "FWM" not in lone.ipvsadm("-Ln").stdout


def test_local_that_was_moved_stays_where_it_is(lone):
    """As with VRFs: then marks are ahead of it anyway."""
    lone.host.ip("rule", "add", "pref", "32765", "lookup", "local")
    lone.host.ip("rule", "del", "pref", "0", "lookup", "local")
    bare = state(lone)
    lone.up("--mode", "tc")
    add(lone, 7)
    own_address_is_local(lone)
    assert [r for r in rules(lone) if r.startswith("0:") and "fwmark" in r]
    lone.down()
    assert state(lone) == bare


if not FORCE_FORWARDING:

    def test_ipv6_before_6_17(lone):
        """Without a switch for one device, all or nothing; and that is not ours to choose."""
        lone.host.sysctl("net.ipv6.conf.all.forwarding", 0)
        lone.up("--mode", "tc")
        before = state(lone)
        done = add(lone, 7, 6, check=False)
        assert done.returncode == 255 and "net.ipv6.conf.all.forwarding" in done.stderr
        assert state(lone) == before
        add(lone, 7, 4)


class Router:
    """client -- director -- server, to see what the director forwards."""

    def __init__(self, build):
        prefix = f"bpvs-t{os.getpid()}-m"
        self.bpvs, self.adm = build / "bpvs" / "bpvs", build / "ipvsadm" / "ipvsadm"
        self.client, self.host, self.server = (
            netns.Host(f"{prefix}-{n}") for n in ("client", "director", "server"))
        netns.join(self.client, "eth0", self.host, "eth0")
        netns.join(self.server, "eth0", self.host, "eth1")
        for host, dev, net, last in ((self.client, "eth0", 1, 10), (self.host, "eth0", 1, 1),
                                     (self.host, "eth1", 2, 1), (self.server, "eth0", 2, 10)):
            host.ip("addr", "add", f"10.0.{net}.{last}/24", "dev", dev)
            host.ip("addr", "add", f"fd00:{net}::{last}/64", "dev", dev, "nodad")
            if last == 10:
                host.ip("route", "add", "default", "via", f"10.0.{net}.1")
                host.ip("-6", "route", "add", "default", "via", f"fd00:{net}::1")
            host.settle()
        self.host.run("nft", "-f", "-", input="""
            table inet marks { chain before {
              type filter hook prerouting priority mangle;
              udp dport 53 meta mark set 7
            }
            }""")

    def delete(self):
        self.host.run(self.bpvs, "down", check=False)
        for host in (self.client, self.host, self.server):
            host.delete()

    def address(self, host, family):
        net = 1 if host is self.client else 2
        return f"10.0.{net}.10" if family == 4 else f"fd00:{net}::10"

    def pings(self, family, seconds=1):
        """Does the director forward?"""
        return not self.client.run("ping", "-c", "1", "-w", seconds,
                                   self.address(self.server, family), check=False).returncode

    def served(self, family):
        """By the mark: to the director's address, and answered by the server."""
        af = netns.socket.AF_INET if family == 4 else netns.socket.AF_INET6
        vip = "10.0.1.1" if family == 4 else "fd00:1::1"
        with self.server.bound(af, netns.socket.SOCK_DGRAM, "", 53) as server:
            with self.client.socket(af, netns.socket.SOCK_DGRAM) as sock:
                sock.connect((vip, 53))
                sock.settimeout(10 * netns.PATIENCE)
                sock.send(b"x")
                try:
                    data, sender = server.recvfrom(10)
                    server.sendto(data, sender)
                    return sock.recv(10) == b"x"
                except OSError:
                    return False

    def serve(self, family):
        option = ["-6"] if family == 6 else []
        self.host.run(self.adm, "-A", "-f", 7, *option, "-s", "rr")
        self.host.run(self.adm, "-a", "-f", 7, *option, "-r", self.address(self.server, family),
                      "-m")


FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


@pytest.fixture
def router(build):
    made = Router(build)
    yield made
    made.delete()


@pytest.mark.parametrize("family", [4, 6] if FORCE_FORWARDING else [4])
@pytest.mark.parametrize("filtered", [0, 1, 2])
def test_a_host_that_does_not_forward(router, family, filtered):
    """It serves marks, and forwards nothing else; also under reverse path filters."""
    for dev in ("all", "eth0", "eth1"):
        router.host.sysctl(f"net.ipv4.conf.{dev}.rp_filter", filtered)
        router.host.sysctl(f"net.ipv4.conf.{dev}.src_valid_mark", 1)
    router.host.run(router.bpvs, "up", "--mode", "tc", "--conns", "1k")
    router.serve(family)
    assert router.served(family)
    assert not router.pings(family)
    router.host.sysctl(FORWARDING[family], 1)
    router.host.run(router.adm, "-Ln")
    assert router.served(family)
    assert router.pings(family, 10), "forwarding that was switched on later"
    router.host.run(router.adm, "-C")
    assert router.pings(family, 10)


def test_namespace_that_never_had_an_address(build):
    """As `ip netns add` leaves it: a gateway is refused there, so the route does without for now."""
    lone = Lone(build)
    try:
        lone.host.delete()
        netns.run("ip", "netns", "add", lone.host.name)
        lone.up("--mode", "tc")
        add(lone, 7)
        show = ("route", "show", "table", "47545")
        assert "default dev bpvs0 proto 185" in lone.host.ip(*show)
        lone.host.ip("link", "set", "lo", "up")
        lone.ipvsadm("-Ln")
        assert lone.host.ip(*show) == "default via 192.0.0.8 dev bpvs0 proto 185 onlink \n"
        lone.down()
    finally:
        lone.host.run(lone.bpvs, "down", check=False)
        lone.host.delete()
        lone.peer.delete()
