# SPDX-License-Identifier: GPL-2.0-only
"""Tools killed, devices that come and go, other people's programs, things missing, bad input."""

import collections
import json
import os
import pathlib
import random
import re
import signal
import socket
import statistics
import struct
import subprocess
import threading
import time

import pytest

import netns
from world import AF, VIP, at

SO_NETNS_COOKIE = 71
HOLD = pathlib.Path("/run/bpvs")
LO_FORWARDING = ("net.ipv4.conf.lo.forwarding", "net.ipv6.conf.lo.forwarding")


@pytest.fixture
def lone(build):
    """A director alone, with two devices to a peer, and what it was like before."""
    made = Lone(build)
    yield made
    made.host.run(made.bpvs, "down", check=False)
    made.host.delete()
    made.peer.delete()


class Lone:
    def __init__(self, build):
        self.bpvs = build / "bpvs" / "bpvs"
        self.adm = build / "ipvsadm" / "ipvsadm"
        self.host = netns.Host(f"bpvs-t{os.getpid()}-lone")
        self.peer = netns.Host(f"bpvs-t{os.getpid()}-far")
        for dev in ("eth0", "eth1"):
            netns.join(self.host, dev, self.peer, dev)
        self.host.ip("addr", "add", "192.168.1.111/24", "dev", "eth0")
        self.before = self.sysctls()
        self.cookie = cookie_of(self.host)

    def up(self, *options, **kwargs):
        return self.host.run(self.bpvs, "up", "--conns", "1k", *options, **kwargs)

    def down(self):
        return self.host.run(self.bpvs, "down")

    def ipvsadm(self, *argv, **kwargs):
        return self.host.run(self.adm, *argv, **kwargs)

    def devices(self):
        """What status says of each device."""
        out = self.host.run(self.bpvs, "status").stdout
        block = out.split("devices:\n")[1].split("connections:")[0]
        return dict(line.split(None, 1) for line in block.splitlines())

    def sysctls(self):
        return self.host.run("sysctl", *LO_FORWARDING).stdout

    def links(self):
        return json.loads(netns.run("ip", "-n", self.host.name, "-j", "-d", "link").stdout)

    def xdp(self):
        """Device -> id of its XDP program."""
        return {link["ifname"]: link["xdp"]["prog"]["id"]
                for link in self.links() if "prog" in link.get("xdp", {})}

    def filters(self, dev, side="ingress"):
        return self.host.run("tc", "filter", "show", "dev", dev, side).stdout

    def objects(self):
        """Ids of the programs of the instance and of the maps they use."""
        progs = set(self.xdp().values())
        for link in self.links():
            progs |= {int(n) for n in re.findall(r"\bid (\d+)", self.filters(link["ifname"]))}
        # the program at the look-up of sockets
        here = os.stat(f"/run/netns/{self.host.name}").st_ino
        links = json.loads(netns.run("bpftool", "-j", "link", "show").stdout)
        progs |= {ln["prog_id"] for ln in links if ln.get("netns_ino") == here}
        maps = set()
        for prog in progs:
            shown = json.loads(netns.run("bpftool", "-j", "prog", "show", "id", prog).stdout)
            maps |= set(shown.get("map_ids", []))
        return progs, maps

    def assert_bare(self, objects=(set(), set()), but=()):
        """Nothing of ours is left, except what `but` names: devices that others use."""
        assert not {dev: n for dev, n in self.xdp().items() if dev not in but}
        qdiscs = self.host.run("tc", "qdisc", "show").stdout.splitlines()
        assert not [line for line in qdiscs
                    if "clsact" in line and not any(f"dev {dev} " in line for dev in but)]
        assert self.sysctls() == self.before
        assert not (HOLD / str(self.cookie)).exists()
        for kind, ids in zip(("prog", "map"), objects):
            end = time.monotonic() + 60  # the kernel frees them after a grace period or two
            while ids and time.monotonic() < end:
                shown = json.loads(netns.run("bpftool", "-j", kind, "show").stdout)
                if not ids & {o["id"] for o in shown}:
                    break
                time.sleep(0.1)
            else:
                assert not ids, f"still there: {kind} {ids}"


def cookie_of(host):
    with host.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        return struct.unpack("Q", sock.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0]


def inside(host, *argv, **kwargs):
    """A process in the namespace that is the command itself from the first, to be killed."""
    return subprocess.Popen(["nsenter", f"--net=/run/netns/{host.name}", *map(str, argv)],
                            stdin=kwargs.pop("stdin", subprocess.DEVNULL),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)


def durations(host, *argv, times=5):
    """How long the command takes, from the same start as one that is to be killed."""
    took = []
    for _ in range(times):
        start = time.monotonic()
        inside(host, *argv).communicate()
        took.append(time.monotonic() - start)
    return took


def kill_after(process, seconds):
    """True if it was still at work."""
    try:
        process.communicate(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return process.returncode == -signal.SIGKILL


# ---- tools killed while traffic flows ----


class Traffic:
    """
    Requests by HTTP, one connection each, until stopped; every failure is kept. An answer that was
    late is none, on a busy host; of packets that were dropped the counters tell.
    """

    def __init__(self, world, family, port):
        self.world, self.family, self.port = world, family, port
        self.answers = collections.Counter()
        self.failures = []
        self.going = True
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while self.going:
            try:
                self.answers[self.ask()] += 1
            except OSError as err:
                self.failures.append(err)
            time.sleep(0.002)

    def ask(self):
        with self.world.client.socket(AF[self.family], socket.SOCK_STREAM) as sock:
            sock.settimeout(20)
            # closed by reset, which leaves the table's entry 10 s and not 2 minutes
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.connect((VIP[self.family], self.port))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n")
            data = b""
            while not data.endswith((b"rs1\n", b"rs2\n")):
                more = sock.recv(4096)
                if not more:
                    raise OSError(f"cut short: {data}")
                data += more
            return data[-4:-1].decode()

    def stop(self):
        self.going = False
        self.thread.join()


def other(n):
    return f"10.99.0.{n % 200 + 1}:{1000 + n % 7}"


def restore_lines(first, services, dests):
    lines = []
    for n in range(first, first + services):
        vip = f"10.{100 + n // 250}.{n % 250}.1:80"
        lines.append(f"-A -t {vip} -s wlc")
        lines += [f"-a -t {vip} -r 10.{100 + n // 250}.{n % 250}.{10 + d}:80 -g -w {d + 1}"
                  for d in range(dests)]
    return "\n".join(lines) + "\n"


# All that always find somebody: none never does, and ovf may be full.
SCHEDULERS = "rr wrr lc wlc lblc lblcr dh sh sed nq fo mh twos".split()


def random_edit(rng, world):
    """ipvsadm's arguments, and its input."""
    vip, (rip1, rip2) = at(VIP[4], 80), (at(world.rip(r, 4), 80) for r in ("rs1", "rs2"))
    vip6, rip6 = at(VIP[6], 80), at(world.rip("rs1", 6), 80)
    n = rng.randrange(40)
    return rng.choice([
        # the service that is in use, in ways that take no server from it
        (["-e", "-t", vip, "-r", rng.choice([rip1, rip2]), "-m", "-w", str(rng.randrange(1, 9))],),
        (["-e", "-t", vip6, "-r", rip6, "-m", "-w", str(rng.randrange(1, 9))],),
        (["-E", "-t", vip, "-s", rng.choice(SCHEDULERS)],),
        # others
        (["-A", "-t", other(n), "-s", rng.choice(SCHEDULERS)],),
        (["-a", "-t", other(n), "-r", f"10.98.0.{rng.randrange(1, 9)}:80", "-m"],),
        (["-d", "-t", other(n), "-r", f"10.98.0.{rng.randrange(1, 9)}:80"],),
        (["-D", "-t", other(n)],),
        (["-R"], restore_lines(rng.randrange(8), 4, 5)),
        (["-D", "-t", f"10.100.{rng.randrange(12)}.1:80"],),
        (["-Z"],),
        (["-Ln"],),
    ])


def table(text):
    """ipvsadm -Ln, read strictly: service -> [server, method, weight, active, inactive]."""
    lines = text.splitlines()
    assert lines[0].startswith("IP Virtual Server version") and lines[2].lstrip().startswith("->")
    found = {}
    for line in lines[3:]:
        words = line.split()
        if words[0] == "->":
            assert len(words) == 6 and words[2] in ("Masq", "Route", "Tunnel", "Local"), line
            assert re.fullmatch(r"(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d+", words[1]), line
            assert all(int(n) >= 0 for n in words[3:]), line
            found[service].append((words[1], words[2], *map(int, words[3:])))
        else:
            assert words[0] in ("TCP", "UDP") and words[2] in SCHEDULERS, line
            service = words[1]
            assert service not in found, line
            found[service] = []
    return found


def test_ipvsadm_killed_at_random_instants(world):
    """
    150 times for each hook, from the same seeds on every run, and on until enough were caught at
    work, enough came to an end, and both servers answered.
    """
    rng = random.Random(f"killed {world.mode}")
    for family in (4, 6):
        world.service(family, "nat", ["rs1", "rs2"], port=80)
    mine = {at(VIP[f], 80): {at(world.rip(r, f), 80) for r in ("rs1", "rs2")} for f in (4, 6)}
    adm = world.build / "ipvsadm" / "ipvsadm"
    before = world.counters()
    traffic = [Traffic(world, f, 80) for f in (4, 6)]
    killed = n = 0
    served = lambda: all(t.answers[r] > 50 for t in traffic for r in ("rs1", "rs2"))
    enough = lambda: killed >= 50 and n - killed >= 10 and served()
    try:
        while n < 150 or (n < 3000 and not enough()):
            if n % 25 == 0:  # the machine is not as busy all the time
                whole = statistics.median(durations(world.director, adm, "-Ln"))
            argv, *text = random_edit(rng, world)
            process = inside(world.director, adm, *argv,
                             stdin=subprocess.PIPE if text else subprocess.DEVNULL)
            if text:
                process.stdin.write(text[0].encode())
                process.stdin.close()
                process.stdin = None
            killed += kill_after(process, rng.uniform(whole / 8, whole * 0.7))
            n += 1
            if n % 25 == 0:
                now = table(world.ipvsadm("-Ln").stdout)
                assert {s: {d[0] for d in now[s]} for s in mine} == mine
    finally:
        for t in traffic:
            t.stop()
    print(f"{world.mode}: {whole * 1e3:.0f} ms each, killed {killed} of {n}, answers {[dict(t.answers) for t in traffic]}")
    assert killed >= 50, "hardly any was caught at work"
    assert n - killed >= 10, "hardly any came to do anything"
    for t in traffic:
        assert not t.failures, t.failures[:5]
    assert served()
    assert world.kinds_moved(before) <= {"PASS", "UP", "SENT"}, world.moved(before)
    # whatever was left half done, everything can be removed, and all of it made anew
    for service in table(world.ipvsadm("-Ln").stdout):
        if service not in mine:
            world.ipvsadm("-D", "-t", service)
    assert set(table(world.ipvsadm("-Ln").stdout)) == set(mine)
    world.ipvsadm("-R", input=restore_lines(0, 12, 20))
    now = table(world.ipvsadm("-Ln").stdout)
    assert len(now) == 14 and all(len(d) == 20 for s, d in now.items() if s not in mine)
    assert world.client.curl(f"http://{at(VIP[4], 80)}/") in ("rs1\n", "rs2\n")
    # the last request was curl's, which does not reset: not for minutes is that one over
    world.ipvsadm("--set", "1", "1", "1")
    end = time.monotonic() + 20
    while time.monotonic() < end:
        counts = [d[3:] for s in mine for d in table(world.ipvsadm("-Ln").stdout)[s]]
        if sum(map(sum, counts)) <= 1:
            break
        time.sleep(0.5)
    lines = [ln for ln in world.ipvsadm("-Lnc").stdout.splitlines() if ln.startswith("TCP")]
    assert sum(map(sum, counts)) == len(lines) <= 1, (counts, lines)
    assert not world.counters()["bug-table"][1] and not world.counters()["bug-map"][1]


def test_two_restores_at_once(lone, tmp_path):
    """10,000 lines each, of different services: all there, none torn."""
    lone.up("--mode", "tc")
    for n in (0, 1):
        (tmp_path / str(n)).write_text(restore_lines(1000 * n, 1000, 9))
    start = time.monotonic()
    inputs = [open(tmp_path / str(n)) for n in (0, 1)]
    processes = [inside(lone.host, lone.adm, "-R", stdin=text) for text in inputs]
    said = [p.communicate(timeout=60) for p in processes]
    print(f"two restores of 10,000 lines: {time.monotonic() - start:.2f} s")
    for text in inputs:
        text.close()
    assert said == [(b"", b"")] * 2 and [p.returncode for p in processes] == [0, 0]
    now = table(lone.ipvsadm("-Ln").stdout)
    assert len(now) == 2000 and all(len(dests) == 9 for dests in now.values())
    saved = lone.ipvsadm("-Sn").stdout.splitlines()
    assert len(saved) == 20_000
    lone.ipvsadm("-C")
    assert table(lone.ipvsadm("-Ln").stdout) == {}


# ---- bpvs itself killed ----


@pytest.mark.parametrize("mode", ["xdp", "tc"])
def test_up_and_down_killed_at_random_instants(lone, mode):
    rng = random.Random(f"up {mode}")
    up = (lone.bpvs, "up", "--conns", "1k", "--mode", mode)
    took = []
    for _ in range(2):
        whole = durations(lone.host, *up, times=1)
        objects = lone.objects()
        assert objects[0]
        took.append(whole + durations(lone.host, lone.bpvs, "down", times=1))
        lone.assert_bare(objects)
    whole, down = map(min, zip(*took))
    killed = n = 0
    while n < 12 or (n < 40 and killed < 6):
        killed += kill_after(inside(lone.host, *up), rng.uniform(0, whole))
        if n % 3 == 0:
            # either it was too late and there is an instance, or this makes one
            done = lone.up("--mode", mode, check=False)
            assert done.returncode == 0 or "has an instance already" in done.stderr
        elif n % 3 == 1:
            lone.ipvsadm("-A", "-t", "192.168.1.111:80", "-s", "rr")
        else:
            lone.up("--mode", mode, check=False)
            process = inside(lone.host, lone.bpvs, "down")
            killed += kill_after(process, rng.uniform(0, down))
            lone.ipvsadm("-Ln")
        assert table(lone.ipvsadm("-Ln").stdout) in ({}, {"192.168.1.111:80": []})
        objects = lone.objects()
        assert objects[0] and (HOLD / str(lone.cookie)).exists()
        lone.down()
        lone.assert_bare(objects)
        n += 1
    print(f"{mode}: up takes {whole:.2f} s, down {down:.2f} s, killed {killed} in {n} rounds")
    assert killed >= 6


def killed_at(lone, build, call, *argv, after=False):
    """A tool that is killed in place of its call-th attaching of a TC filter, or right after it."""
    env = dict(os.environ, LD_PRELOAD=str(build / "tests" / "prog" / "libkill-at.so"),
               BPVS_KILL_AT=str(call), **({"BPVS_KILL_AFTER": "1"} if after else {}))
    process = inside(lone.host, *argv, env=env)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("after", [False, True], ids=["at", "after"])
@pytest.mark.parametrize("there", [False, True], ids=["none", "there"])
@pytest.mark.parametrize("looks", [0, 2])
def test_killed_between_qdisc_and_filter(lone, build, after, there, looks):
    """The qdisc goes by which it was made, whoever had a look since; that of others stays."""
    lone.up("--mode", "tc")
    netns.join(lone.host, "late0", lone.peer, "late0")
    if there:
        lone.host.run("tc", "qdisc", "add", "dev", "late0", "clsact")
    killed_at(lone, build, 1, lone.adm, "-Ln", after=after)
    assert "clsact" in lone.host.run("tc", "qdisc", "show", "dev", "late0").stdout
    assert ("bpvs_tc" in lone.filters("late0")) == after
    for _ in range(looks):
        lone.ipvsadm("-Ln")
        assert "bpvs_tc" in lone.filters("late0")
    lone.down()
    lone.assert_bare(but=("late0",))
    assert ("clsact" in lone.host.run("tc", "qdisc", "show", "dev", "late0").stdout) == there


@pytest.mark.parametrize("after", [False, True], ids=["at", "after"])
@pytest.mark.parametrize("what, call", [("service", 1), ("service", 2), ("service", 3),
                                        ("server", 1), ("server", 2)])
def test_killed_before_egress(lone, build, what, call, after):
    """The service is there, or its server is this host: its packets that leave here are seen."""
    lone.up("--mode", "tc")
    devices = ("lo", "eth0", "eth1")
    if what == "service":
        killed_at(lone, build, call, lone.adm, "-A", "-t", "10.99.0.1:80", after=after)
    else:
        lone.host.ip("link", "set", "lo", "up")
        lone.ipvsadm("-A", "-t", "192.168.1.111:80")
        lone.ipvsadm("-a", "-t", "192.168.1.111:80", "-r", "10.98.0.1:80", "-m")
        lone.host.ip("addr", "add", "10.98.0.1/32", "dev", "lo")
        killed_at(lone, build, call, lone.adm, "-e", "-t", "192.168.1.111:80", "-r",
                  "10.98.0.1:80", "-m", after=after)
    table = lone.ipvsadm("-Ln").stdout
    assert ("10.99.0.1:80" if what == "service" else "10.98.0.1:80") in table
    assert all("bpvs_out" in lone.filters(dev, "egress") for dev in devices)
    objects = lone.objects()
    lone.down()
    lone.assert_bare(objects)


@pytest.mark.parametrize("mode", ["xdp", "tc"])
def test_down_leaves_nothing(lone, mode):
    lone.up("--mode", mode)
    assert set(lone.xdp()) == ({"eth0", "eth1"} if mode == "xdp" else set())
    assert lone.sysctls() != lone.before
    objects = lone.objects()
    assert len(objects[0]) >= 3 and len(objects[1]) >= 10
    lone.down()
    lone.assert_bare(objects)
    done = lone.host.run(lone.bpvs, "down", check=False)
    assert done.returncode == 1 and "no instance in this network namespace" in done.stderr


def test_forwarding_that_was_on_stays_on(lone):
    lone.host.sysctl("net.ipv4.conf.lo.forwarding", 1)
    lone.before = lone.sysctls()
    lone.up()
    lone.down()
    lone.assert_bare()


# ---- devices ----


@pytest.mark.parametrize("mode", ["xdp", "tc"])
@pytest.mark.parametrize("tool", ["ipvsadm", "bpvs"])
def test_device_that_appears(lone, mode, tool):
    how = "xdp native + tc" if mode == "xdp" else "tc"
    lone.up("--mode", mode)
    netns.join(lone.host, "late0", lone.peer, "late0")
    assert lone.filters("late0") == ""
    lone.ipvsadm("-Ln") if tool == "ipvsadm" else lone.devices()
    assert "bpvs_tc" in lone.filters("late0") and lone.devices()["late0"] == how
    lone.host.ip("link", "del", "late0")
    lone.ipvsadm("-Ln")
    assert set(lone.devices()) == {"eth0", "eth1"}
    objects = lone.objects()
    lone.down()
    lone.assert_bare(objects)


def test_only_named_devices(lone):
    lone.up("--mode", "tc", "--dev", "eth0")
    netns.join(lone.host, "late0", lone.peer, "late0")
    lone.ipvsadm("-Ln")
    assert lone.devices() == {"eth0": "tc", "eth1": "none (not named)", "late0": "none (not named)"}


def test_device_that_is_down_and_knows_no_xdp(lone):
    """Such as come with a module (gretap0) and nobody uses: TC alone does, unless it was named."""
    lone.host.ip("link", "add", "idle0", "type", "bridge")
    done = lone.up("--mode", "xdp", "--dev", "idle0", check=False)
    assert done.returncode == 1 and "cannot attach XDP in the driver to idle0" in done.stderr
    lone.up("--mode", "xdp")
    native = "xdp native + tc"
    assert lone.devices() == {"eth0": native, "eth1": native,
                              "idle0": "tc (its driver took no XDP program)"}
    lone.down()
    lone.host.ip("link", "set", "idle0", "up")
    done = lone.up("--mode", "xdp", check=False)
    assert done.returncode == 1 and "cannot attach XDP in the driver to idle0" in done.stderr
    lone.assert_bare()


@pytest.mark.parametrize("mode", ["xdp", "tc"])
def test_device_that_left_and_came_back(lone, mode):
    """To another namespace and back: without our programs there, with them here."""
    lone.up("--mode", mode)
    lone.host.ip("link", "set", "eth1", "netns", lone.peer.name, "name", "guest")
    lone.ipvsadm("-Ln")
    assert set(lone.devices()) == {"eth0"}
    lone.peer.ip("link", "set", "guest", "netns", lone.host.name, "name", "eth1")
    lone.host.ip("link", "set", "eth1", "up")
    lone.ipvsadm("-Ln")
    assert "bpvs_tc" in lone.filters("eth1")
    assert set(lone.xdp()) == ({"eth0", "eth1"} if mode == "xdp" else set())
    objects = lone.objects()
    lone.down()
    lone.assert_bare(objects)


def ask(world, family=4):
    return world.client.curl(f"http://{at(VIP[family], 80)}/")


@pytest.fixture
def plain_service(world):
    for family in (4, 6):
        world.drop(family, 80) if at(VIP[family], 80) in world.ipvsadm("-Ln").stdout else None
        world.service(family, "nat", ["rs1"], port=80)
    yield
    for family in (4, 6):
        world.drop(family, 80)


def test_device_that_goes_down_and_up(world, plain_service):
    assert ask(world) == ask(world, 6) == "rs1\n"
    default = [world.director.ip(f"-{f}", "route", "show", "default").split()[2] for f in (4, 6)]
    for dev in ("eth0", "eth1"):
        world.director.ip("link", "set", dev, "down")
    world.ipvsadm("-Ln")
    done = world.client.run("curl", "-sS", "-m1", f"http://{at(VIP[4], 80)}/", check=False)
    assert done.returncode != 0
    for dev, net, last in (("eth0", "outer", "111"), ("eth1", "inner", "133")):
        world.director.ip("link", "set", dev, "up")
        # the kernel forgets IPv6 addresses and the routes of both families
        prefix = {"outer": "fd00:1::", "inner": "fd00:229::"}[net]
        world.director.ip("addr", "replace", f"{prefix}{last}/64", "dev", dev, "nodad")
    for via in default:
        world.director.ip("route", "replace", "default", "via", via)
    for family in (4, 6):
        world.director.ip("route", "replace", world.net("beyond", family),
                          "via", world.rip("c", family))
    for family in (4, 6):
        netns.wait_for(f"answers by IPv{family}", 30, lambda: world.client.run(
            "curl", "-sS", "-m3", f"http://{at(VIP[family], 80)}/",
            check=False).stdout == "rs1\n")


def test_device_renamed(world, plain_service):
    """Under traffic's feet: the kernel lets a device be renamed while it is up."""
    world.director.ip("link", "set", "eth1", "name", "wan7")
    try:
        assert ask(world) == ask(world, 6) == "rs1\n"
        status = world.director.run(world.bpvs, "status").stdout
        assert re.search(r"wan7 +" + ("xdp native" if world.mode == "xdp" else "tc"), status)
        assert "eth1" not in status
    finally:
        world.director.ip("link", "set", "wan7", "name", "eth1")
    assert ask(world) == "rs1\n"


@pytest.mark.parametrize("named", [False, True], ids=["all", "named"])
def test_device_with_a_new_mac(world, plain_service, named):
    """Requests are served at once, by XDP again after the next command."""
    world.director.run(world.bpvs, "down")
    world.director.run(world.bpvs, "up", "--mode", world.mode,
                       *(("--dev", "eth0", "--dev", "eth1") if named else ()))
    for family in (4, 6):
        world.service(family, "nat", ["rs1"], port=80)
    assert ask(world) == "rs1\n"
    old = world.director.mac("eth0")
    try:
        world.director.ip("link", "set", "eth0", "address", "02:00:00:00:be:ef")
        for router in (world.a, world.b):
            router.run("ip", "neigh", "flush", "dev", "eth1")
        for family in (4, 6):
            world.a.reach(VIP[family])
        assert ask(world) == ask(world, 6) == "rs1\n"
        world.ipvsadm("-Ln")
        before = world.counters()
        assert ask(world) == ask(world, 6) == "rs1\n"
        moved = world.moved(before)
        assert moved["nat-in"] and "not-for-host" not in moved, moved
    finally:
        world.director.ip("link", "set", "eth0", "address", old)
        for router in (world.a, world.b):
            router.run("ip", "neigh", "flush", "dev", "eth1")
        for family in (4, 6):
            world.a.reach(VIP[family])
        world.ipvsadm("-Ln")


# ---- other people's programs ----


@pytest.mark.parametrize("dev", ["eth0", "eth1"])
def test_foreign_xdp_program(lone, build, dev):
    lone.host.ip("link", "set", "dev", dev, "xdpdrv", "object", build / "bpf" / "pass.bpf.o",
                 "section", "xdp")
    foreign = lone.xdp()
    name = json.loads(netns.run("bpftool", "-j", "prog", "show", "id", foreign[dev]).stdout)["name"]
    done = lone.up("--mode", "xdp", check=False)
    assert done.returncode == 1
    assert dev in done.stderr and f"'{name}'" in done.stderr and f"id {foreign[dev]}" in done.stderr
    assert "--mode tc" in done.stderr and f"ip link set dev {dev} xdp off" in done.stderr
    assert lone.xdp() == foreign
    lone.assert_bare(but=(dev,))
    lone.up("--mode", "tc")
    assert lone.devices() == {"eth0": "tc", "eth1": "tc"} and lone.xdp() == foreign
    lone.down()
    assert lone.xdp() == foreign
    lone.assert_bare(but=(dev,))


ACCEPT = "1,6 0 0 4294967295,"  # classic BPF, as tc takes it by hand


def add_filter(lone, dev, side):
    lone.host.run("tc", "filter", "add", "dev", dev, side, "pref", "7", "bpf", "bytecode", ACCEPT)


@pytest.mark.parametrize("dev", ["lo", "eth0"])
def test_place_at_egress_is_taken(lone, dev):
    """By a filter of ours' priority, but of another protocol. What cannot be had, status tells."""
    lone.up("--mode", "tc")
    lone.host.run("tc", "filter", "add", "dev", dev, "egress", "pref", "185", "protocol", "ip", "bpf",
                  "bytecode", ACCEPT)
    assert lone.devices() == {"eth0": "tc", "eth1": "tc"}
    lone.ipvsadm("-A", "-t", "10.99.0.1:80")
    amiss = " (what this host sends by it is not seen: no program at egress)"
    assert lone.devices() == {
        "lo": {"lo": "none" + amiss, "eth0": "tc", "eth1": "tc"},
        "eth0": {"eth0": "tc" + amiss, "eth1": "tc"}}[dev]
    lone.host.run("tc", "filter", "del", "dev", dev, "egress", "pref", "185")
    if dev == "lo":
        lone.ipvsadm("-A", "-t", "10.99.0.2:80")
        assert lone.devices() == {"eth0": "tc", "eth1": "tc"}
        assert all("bpvs_out" in lone.filters(each, "egress") for each in ("lo", "eth0", "eth1"))


@pytest.mark.parametrize("order", ["before", "after"])
def test_foreign_tc_filters(lone, order):
    """On the qdisc that was there, or on the one that we made."""

    def add():
        for dev, side in (("eth0", "ingress"), ("eth1", "egress"), ("lo", "egress")):
            if order == "before":
                lone.host.run("tc", "qdisc", "add", "dev", dev, "clsact")
            add_filter(lone, dev, side)

    if order == "before":
        add()
    lone.up("--mode", "tc")
    if order == "after":
        add()
    lone.down()
    for dev, side in (("eth0", "ingress"), ("eth1", "egress"), ("lo", "egress")):
        assert "pref 7" in lone.filters(dev, side)
        assert "bpvs" not in lone.filters(dev, "ingress")
    lone.assert_bare(but=("eth0", "eth1", "lo"))


def test_clsact_that_was_there_before_stays(lone):
    lone.host.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
    lone.up("--mode", "tc")
    lone.down()
    assert "clsact" in lone.host.run("tc", "qdisc", "show", "dev", "eth0").stdout
    lone.assert_bare(but=("eth0",))


# ---- what is missing ----


def test_not_root(lone):
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    for argv in (("up",), ("down",), ("status",), ("sysctl",)):
        done = lone.host.run(*nobody, lone.bpvs, *argv, check=False)
        assert done.returncode == 1 and "you must be root" in done.stderr, done
    done = lone.host.run(*nobody, lone.adm, "-Ln", check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "Can't initialize ipvs: Permission denied (you must be root)\n"
        "Are you sure that IP Virtual Server is built in the kernel or as module?\n")
    lone.assert_bare()


@pytest.mark.parametrize("lacking, named", [
    ("all", "CAP_BPF"),
    ("sys_admin", "CAP_SYS_ADMIN"),
    ("bpf,-sys_admin", "CAP_BPF"),
    ("net_admin", "CAP_NET_ADMIN"),
], ids=["all", "sys_admin", "bpf", "net_admin"])
def test_root_without_capabilities(lone, lacking, named):
    bound = ("setpriv", f"--bounding-set=-{lacking}")
    done = lone.host.run(*bound, lone.bpvs, "up", "--conns", "1k", check=False)
    assert done.returncode == 1 and named in done.stderr, done
    lone.assert_bare()
    done = lone.host.run(*bound, lone.adm, "-A", "-t", "192.168.1.111:80", check=False)
    assert done.returncode == 2 and done.stderr.startswith("Can't initialize ipvs: "), done
    lone.assert_bare()


def test_no_place_for_pins(lone):
    """/run cannot be written, and no ancestor has another."""
    script = (f"mount -t tmpfs -o ro none /run; {lone.bpvs} up --conns 1k; echo status $?; "
              f"{lone.adm} -Ln; echo status $?")
    done = lone.host.run("unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script)
    assert done.stdout == "status 1\nstatus 2\n"
    for line in done.stderr.splitlines():
        assert "/run/bpvs" in line and "BPF file system" in line and "Read-only" in line
    lone.assert_bare()


def test_brought_up_by_an_orphan(lone, tmp_path):
    """
    A daemon started by `ip netns exec`, in a mount namespace that ends with it and without a parent
    but process 1, which lets nobody in who may do less: another process shows the way to where the
    pins last. Where those end, too, the words name the remedy.
    """
    done, orphan, parent = (tmp_path / name for name in ("done", "orphan", "parent"))
    orphan.write_text(f"sleep 0.3; {lone.bpvs} up --conns 1k --mode tc; echo up $?; touch {done}")
    parent.write_text(f"unshare --mount sh -c 'setsid sh {orphan} &'\n"
                      f"while ! [ -e {done} ]; do sleep 0.1; done")
    script = (f"mount -t tmpfs none /run; setpriv --bounding-set=-sys_ptrace sh {parent}; sleep 0.5; "
              f"{lone.bpvs} status >/dev/null; echo status $?; {lone.adm} -A -f 1; echo add $?")
    told = lone.host.run("unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script)
    assert (told.stdout, told.stderr) == ("up 0\nstatus 0\nadd 0\n", "")
    for *argv, status in ((lone.bpvs, "status", 1), (lone.adm, "-Ln", 2), (lone.bpvs, "up", 1),
                          (lone.bpvs, "run", "cat", "/proc/net/ip_vs", 1)):
        # mounts end when the kernel has time
        netns.wait_for(f"the words of {argv}", 10, lambda argv=argv: "bpvs down" in
                       lone.host.run(*argv, check=False).stderr)
        assert lone.host.run(*argv, check=False).returncode == status
    lone.down()
    lone.assert_bare()
    lone.up("--mode", "tc")
    assert table(lone.ipvsadm("-Ln").stdout) == {}


@pytest.fixture
def little_memory():
    """A memory cgroup of 64 MiB, of either version: the file that takes its processes."""
    for top, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                       ("/sys/fs/cgroup", "memory.max")):
        group = pathlib.Path(top, f"bpvs-t{os.getpid()}")
        try:
            group.mkdir()
            (group / limit).write_text("67108864")
        except OSError:
            group.exists() and group.rmdir()
            continue
        yield group / "cgroup.procs"
        group.rmdir()
        return
    pytest.skip("no memory cgroup can be made here")


def test_no_memory(lone, little_memory):
    """BPF maps count as the memory of who makes them; by default the table takes 250 MiB."""
    script = (f"echo $$ >{little_memory}; exec ip netns exec {lone.host.name} "
              f"{lone.bpvs} up --mode tc")
    done = netns.run("sh", "-c", script, check=False)
    assert done.returncode == 1 and "no memory for 1048576 connections" in done.stderr, done
    lone.assert_bare()


# ---- bad input ----


@pytest.mark.parametrize("argv, says", [
    ((), "Usage"),
    (("fly",), "no such verb: fly"),
    (("--fast",), "no such verb: --fast"),
    (("",), "no such verb"),
    (("up", "--mode", "warp"), "no such mode: warp"),
    (("up", "--mode", ""), "no such mode"),
    (("up", "--mode"), "--mode"),
    (("up", "--dev"), "--dev"),
    (("up", "--conns", "12x"), "12x"),
    (("up", "--conns", "-5"), "-5"),
    (("up", "--conns", ""), "number of connections"),
    (("up", "--conns", "99999999999999999999"), "number of connections"),
    (("up", "--conns", "70000000k"), "number of connections"),
    (("up", "--conns", "1k1"), "1k1"),
    (("up", "--bogus"), "bogus"),
    (("up", "eth0"), "unexpected argument: eth0"),
    (("down", "now"), "unexpected argument: now"),
    (("status", "--fully"), "--fully"),
], ids=lambda value: "-".join(value) or "none" if isinstance(value, tuple) else "")
def test_bpvs_misuse(lone, argv, says):
    done = lone.host.run(lone.bpvs, *argv, check=False)
    assert done.returncode == 2 and says in done.stderr, done
    lone.assert_bare()


def test_bpvs_mistakes(lone):
    """Well said, but not to be had."""
    done = lone.up("--dev", "nosuch0", check=False)
    assert done.returncode == 1 and "no such device: nosuch0" in done.stderr
    lone.assert_bare()
    lone.up()
    done = lone.up(check=False)
    assert done.returncode == 1 and "has an instance already" in done.stderr
    for arg in ("nosuch", "nosuch=1", "sloppy_tcp=", "sloppy_tcp=x", "drop_entry=7",
                "sloppy_tcp=1,", "=", "", "sloppy_tcp=99999999999999999999"):
        done = lone.host.run(lone.bpvs, "sysctl", arg, check=False)
        assert done.returncode == 1 and done.stderr.startswith("bpvs sysctl: "), (arg, done)
    assert lone.host.run(lone.bpvs, "sysctl", "sloppy_tcp").stdout.strip().endswith("= 0")


def test_ipvsadm_garbage(lone):
    """None of it may change anything or end other than by an error."""
    lone.up("--mode", "tc")
    lone.ipvsadm("-A", "-t", "192.168.1.111:80", "-s", "rr")
    before = lone.ipvsadm("-Sn").stdout
    service = ("-t", "192.168.1.111:80")
    for argv in (
        ("-X",), ("--frobnicate",), ("-A",), ("-a", *service), ("-a", *service, "-r"),
        ("-a", *service, "-r", "10.0.0.1:99999"), ("-a", *service, "-r", "10.0.0.256:80"),
        ("-a", *service, "-r", "10.0.0.1:80", "-w", "-1"),
        ("-a", *service, "-r", "10.0.0.1:80", "-w", "heavy"),
        ("-a", *service, "-r", "[fd00::1]:80", "-m"), ("-a", *service, "-r", "224.0.0.1:80"),
        ("-A", "-t", "192.168.1.111", "-s", "rr"), ("-A", "-t", ":80", "-s", "rr"),
        ("-A", "-t", "192.168.1.111:81", "-s", "A" * 300), ("-A", "-t", "A" * 5000, "-s", "rr"),
        ("-A", "-t", "[::1]:", "-s", "rr"), ("-A", "-f", "0"), ("-A", "-f", "-7"),
        ("--set", "1", "2"), ("--set", "a", "b", "c"), ("-D", *service, "-r", "10.0.0.1:80"),
        ("-A", *service, "-s", "rr"), ("-E", "-t", "192.168.1.111:81", "-s", "rr"),
        ("-D", "-t", "192.168.1.111:81"), ("-C", "now"), ("-Ln", "--sort", "up"),
        ("-t", "192.168.1.111:80", "-A", "-D"),
    ):
        done = lone.ipvsadm(*argv, check=False)
        assert 0 < done.returncode and done.stderr, (argv, done)
        assert lone.ipvsadm("-Sn").stdout == before, argv
    rng = random.Random("garbage")
    noise = bytes(rng.randrange(256) for _ in range(20_000)).replace(b"\0", b"") + b"\n" * 20
    process = inside(lone.host, lone.adm, "-R", stdin=subprocess.PIPE)
    process.communicate(noise, timeout=20)
    assert process.returncode >= 0
    assert lone.ipvsadm("-Sn").stdout == before
