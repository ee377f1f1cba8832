# SPDX-License-Identifier: GPL-2.0-only
"""bpvs apply, drain and --json with the engine running: real connections go on across changes."""

import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

import jsonschema
import pytest
from common import ROOT

import netns
from test_faults import Traffic, durations, inside, kill_after
from world import AF, VIP, at

SCHEMA = json.loads((ROOT / "docs" / "bpvs.schema.json").read_text())
pytestmark = pytest.mark.parametrize("world", ["tc"], indirect=True, scope="module")
LARGE = 3_000_000


def check(name, text):
    document = json.loads(text)
    jsonschema.validate(document, SCHEMA | {"$ref": f"#/$defs/{name}"})
    return document


def bpvs(world, *argv, **kwargs):
    return world.director.run(world.bpvs, *argv, **kwargs)


def apply(world, text):
    return bpvs(world, "apply", "-f", "-", "--json", input=text).stdout


def farm(world, servers, family=4, port=80, more=""):
    """A service with these real servers, by NAT: (name, weight)."""
    return (f"- protocol: tcp\n  address: '{VIP[family]}'\n  port: {port}\n  scheduler: rr\n{more}"
            "  destinations:\n" + "".join(
                f"  - {{address: '{world.rip(n, family)}', port: 80, forwarding: masq, weight: {w}}}\n"
                for n, w in servers))


@pytest.fixture
def clean(world):
    """No services, no connections before and after; a file to download."""
    content = os.urandom(LARGE)
    (world.dir / "large").write_bytes(content)
    world.ipvsadm("-C")
    bpvs(world, "flush")
    yield hashlib.sha256(content).hexdigest()
    world.ipvsadm("-C")
    bpvs(world, "flush")


class Download(threading.Thread):
    """Of the large file: at a trickle for as long as it has to last, then at full speed."""

    def __init__(self, world, family=4, port=80):
        super().__init__(daemon=True)
        self.sock = world.client.socket(AF[family], socket.SOCK_STREAM)
        # what is not read yet waits at the server
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
        self.sock.settimeout(60 * netns.PATIENCE)
        self.where = (VIP[family], port)
        self.wanted = threading.Event()
        self.content, self.complete = b"", False
        self.start()

    def read(self):
        self.sock.connect(self.where)
        self.sock.sendall(b"GET /large HTTP/1.1\r\nHost: vip\r\n\r\n")
        data = b""
        while len(self.content) < LARGE:
            slow = not self.wanted.wait(0 if self.wanted.is_set() else 0.05)
            more = self.sock.recv(2000 if slow else 1 << 16)
            if not more:
                return
            data += more
            self.content = data.partition(b"\r\n\r\n")[2]
        self.complete = True
        self.wanted.wait()

    def run(self):
        with self.sock, contextlib.suppress(OSError):
            self.read()

    def digest(self):
        """Of what came; None if it was cut off."""
        self.wanted.set()
        self.join()
        return hashlib.sha256(self.content).hexdigest() if self.complete else None


def servers(world):
    """Server -> [weight, active, inactive, connections so far]."""
    found = {}
    for service in json.loads(world.ipvsadm("-L", "--json").stdout)["services"]:
        for d in service["destinations"]:
            found[d["address"]] = [d["weight"], d["active_connections"],
                                   d["inactive_connections"], d["statistics"]["connections"]]
    return found


def until(what, seconds=30):
    end = time.monotonic() + seconds * netns.PATIENCE
    while not what():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.05)


def downloads(world, num, **kwargs):
    """As many, with data flowing on each."""
    made = [Download(world, **kwargs) for _ in range(num)]
    until(lambda: sum(s[1] for s in servers(world).values()) == num)
    until(lambda: all(d.content for d in made))
    return made


# ---- apply ----


@pytest.mark.parametrize("family", [4, 6])
def test_what_stays_is_not_disturbed(world, clean, family):
    rip = lambda name: world.rip(name, family)
    apply(world, "services:\n" + farm(world, [("rs1", 1), ("rs2", 1)], family))
    running = downloads(world, 4, family=family)
    before = servers(world)
    assert [before[rip(n)][1] for n in ("rs1", "rs2")] == [2, 2]
    # a server more, another weight, another scheduler
    said = check("changes", apply(world, "services:\n" + farm(
        world, [("rs1", 1), ("rs2", 5), ("far", 1)], family).replace("rr", "wlc")))
    assert [(c["action"], c["what"]) for c in said["changes"]] == [
        ("add", "destination"), ("edit", "destination"), ("edit", "service")]
    now = servers(world)
    assert now[rip("rs1")] == before[rip("rs1")]
    assert now[rip("rs2")] == [5, *before[rip("rs2")][1:]]
    # one less: its connections are cut, the others' go on; back again it has its counters
    apply(world, "services:\n" + farm(world, [("rs1", 1), ("far", 1)], family))
    assert servers(world)[rip("rs1")][1:] == before[rip("rs1")][1:]
    apply(world, "services:\n" + farm(world, [("rs1", 1), ("rs2", 1), ("far", 1)], family))
    assert servers(world)[rip("rs2")][3] == 2
    assert [d.digest() for d in running] == [clean] * 4
    assert servers(world)[rip("rs1")][3] == 2
    assert world.client.curl(f"http://{at(VIP[family], 80)}/") in ("rs1\n", "rs2\n", "far\n")


def big(world, seed):
    """A file of many services, among them one that has traffic, and the same as commands."""
    rng = random.Random(seed)
    dests = [("rs1", rng.randrange(1, 5)), ("rs2", rng.randrange(1, 5))]
    text = "services:\n" + farm(world, dests)
    lines = [f"-A -t {at(VIP[4], 80)} -s rr"]
    lines += [f"-a -t {at(VIP[4], 80)} -r {at(world.rip(n, 4), 80)} -m -w {w}" for n, w in dests]
    for n in rng.sample(range(200), 100):
        vip, sched = f"10.100.0.{n + 1}", rng.choice(["rr", "wlc", "sh", "mh"])
        text += (f"- protocol: tcp\n  address: {vip}\n  port: 80\n  scheduler: {sched}\n"
                 "  destinations:\n")
        lines.append(f"-A -t {vip}:80 -s {sched}")
        for d in rng.sample(range(1, 30), 10):
            weight = rng.randrange(3)
            text += f"  - {{address: 10.98.0.{d}, weight: {weight}}}\n"
            lines.append(f"-a -t {vip}:80 -r 10.98.0.{d}:80 -g -w {weight}")
    return text, sorted(lines)


def saved(world):
    return sorted(world.ipvsadm("-Sn").stdout.splitlines())


def test_killed_at_random_instants(world, clean, tmp_path):
    """Whatever was done, the same command completes it; the service in use never lacks a server."""
    rng = random.Random("apply killed")
    wishes = [big(world, seed) for seed in range(4)]
    for n, (text, _) in enumerate(wishes):
        (tmp_path / f"{n}.yaml").write_text(text)
    command = lambda n: (world.bpvs, "apply", "-f", tmp_path / f"{n}.yaml")
    whole = min(t for n in (0, 1, 2) for t in durations(world.director, *command(n), times=1))
    before = world.counters()
    traffic = Traffic(world, 4, 80)
    killed = rounds = 0
    wanted = int(os.environ.get("BPVS_APPLY_KILLS", 20))
    served = lambda: all(traffic.answers[r] > 10 for r in ("rs1", "rs2"))
    try:
        while rounds < wanted or (rounds < wanted + 300 and not (killed >= 5 and served())):
            rounds += 1
            n = rng.randrange(4)
            killed += kill_after(inside(world.director, *command(n)), rng.uniform(0, whole))
            if rng.random() < .5:
                world.director.run(*command(n))
                assert saved(world) == wishes[n][1]
                assert bpvs(world, "diff", "-f", tmp_path / f"{n}.yaml").stdout == ""
    finally:
        traffic.stop()
    print(f"{whole * 1e3:.0f} ms each, killed {killed} of {rounds}, answers "
          f"{dict(traffic.answers)}")
    assert killed >= 5, "hardly any was caught at work"
    assert not traffic.failures and served(), traffic.failures[:5]
    print(world.moved(before))
    assert world.kinds_moved(before) <= {"PASS", "SENT"}, world.moved(before)
    assert {world.client.curl(f"http://{at(VIP[4], 80)}/") for _ in range(2)} == {"rs1\n", "rs2\n"}


def test_two_at_once_take_turns(world, clean, tmp_path):
    wishes = [big(world, seed) for seed in (7, 8)]
    for _ in range(3):
        for i in (0, 1):
            (tmp_path / f"{i}.yaml").write_text(wishes[i][0])
        both = [inside(world.director, world.bpvs, "apply", "-f", tmp_path / f"{i}.yaml")
                for i in (0, 1)]
        assert [(p.communicate(timeout=120), p.returncode) for p in both] == [((b"", b""), 0)] * 2
        assert saved(world) in [wishes[0][1], wishes[1][1]]


def test_a_service_that_was_left_unserved(world, clean):
    """A tool killed before the last word of an addition: the next one, whichever, completes it."""
    apply(world, "services:\n" + farm(world, [("rs1", 1)]))
    for n in range(12):
        adding = inside(world.director, world.bpvs, "apply", "-f", "-", stdin=subprocess.PIPE)
        adding.stdin.write(("services:\n" + farm(world, [("rs1", 1)]) + "".join(
            f"- {{protocol: tcp, address: {VIP[4]}, port: {1000 + i}, destinations: [{{address: "
            f"{world.rip('rs1', 4)}, port: 80, forwarding: masq}}]}}\n"
            for i in range(60))).encode())
        adding.stdin.close()
        adding.stdin = None
        kill_after(adding, 0.02 + n / 200)
        listed = json.loads(world.ipvsadm("-L", "--json").stdout)["services"]
        last = listed[-1]
        if last["destinations"]:
            assert world.client.curl(f"http://{at(VIP[4], last['port'])}/") == "rs1\n"
        apply(world, "services:\n" + farm(world, [("rs1", 1)]))


# ---- drain ----


def drain(world, *argv, **kwargs):
    return inside(world.director, world.bpvs, "drain", *argv, **kwargs)


def finish(process, status=0):
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, (process.returncode, out, err)
    return out.decode()


def test_drain_waits_for_what_is_open(world, clean):
    apply(world, "services:\n" + farm(world, [("rs1", 1), ("rs2", 1)]))
    running = downloads(world, 2)
    process = drain(world, world.rip("rs2", 4), "--deadline", "300s", "--json")
    until(lambda: servers(world)[world.rip("rs2", 4)][0] == 0)
    assert {world.client.curl(f"http://{at(VIP[4], 80)}/") for _ in range(4)} == {"rs1\n"}
    assert process.poll() is None
    assert [d.digest() for d in running] == [clean] * 2
    said = check("drain", finish(process))
    assert said["outcome"] == "drained" and said["services"] == 1
    assert said["before"]["active_connections"] == 1 and said["seconds"] < 300
    # what is over is not waited for, but gone
    assert servers(world)[world.rip("rs2", 4)][:3] == [0, 0, 0]
    assert servers(world)[world.rip("rs1", 4)][0] == 1


def test_drain_drops_what_is_left(world, clean):
    text = "services:\n" + farm(world, [("rs1", 1), ("rs2", 1)])
    apply(world, text + farm(world, [("rs2", 1)], port=81))
    running = [Download(world) for _ in range(2)] + [Download(world, port=81)]
    until(lambda: sum(int(" ESTABLISHED " in line)
                      for line in world.ipvsadm("-Lnc").stdout.splitlines()) == 3)
    # of one service only
    process = drain(world, world.rip("rs2", 4), "--service", f"tcp:{VIP[4]}:80", "--deadline", "1")
    said = finish(process)
    assert "weight 0: 1 active" in said and "dropped what was left: 1 active" in said
    weights = [d["weight"] for s in json.loads(world.ipvsadm("-L", "--json").stdout)["services"]
               for d in s["destinations"] if d["address"] == world.rip("rs2", 4)]
    assert sorted(weights) == [0, 1]
    lines = [line for line in world.ipvsadm("-Lnc").stdout.splitlines() if "ESTABLISHED" in line]
    assert len(lines) == 2 and sum(world.rip("rs2", 4) in line for line in lines) == 1
    assert sorted(d.digest() == clean for d in running) == [False, True, True]


def test_drain_waits_for_templates(world, clean):
    more = "  persistence: {timeout: 300}\n"
    apply(world, "services:\n" + farm(world, [("rs1", 1)], more=more))
    assert world.client.curl(f"http://{at(VIP[4], 80)}/") == "rs1\n"
    process = drain(world, world.rip("rs1", 4), "--deadline", "2", "--json")
    said = check("drain", finish(process))
    assert said["outcome"] == "dropped" and said["left"]["persistent_connections"] == 1
    lines = world.ipvsadm("-Lnc").stdout.splitlines()
    assert not [line for line in lines if world.rip("rs1", 4) in line]


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_drain_interrupted(world, clean, sig):
    apply(world, "services:\n" + farm(world, [("rs1", 1)]))
    running = downloads(world, 1)
    process = drain(world, at(world.rip("rs1", 4), 80))
    until(lambda: servers(world)[world.rip("rs1", 4)][0] == 0)
    time.sleep(0.5)
    process.send_signal(sig)
    said = finish(process, 128 + sig)
    assert "interrupted" in said and "weight stays 0" in said
    assert servers(world)[world.rip("rs1", 4)][:2] == [0, 1]
    assert running[0].digest() == clean


def test_drain_overruled(world, clean):
    apply(world, "services:\n" + farm(world, [("rs1", 1)]))
    running = downloads(world, 1)
    process = drain(world, world.rip("rs1", 4))
    until(lambda: servers(world)[world.rip("rs1", 4)][0] == 0)
    apply(world, "services:\n" + farm(world, [("rs1", 1)]))
    assert "somebody else" in finish(process, 1)
    assert running[0].digest() == clean


def remove(world, rip):
    world.ipvsadm("-d", "-t", at(VIP[4], 80), "-r", at(rip, 80))


def test_drain_waits_for_connections_of_a_removed_server(world, clean):
    apply(world, "services:\n" + farm(world, [("rs1", 1)]))
    running, rip = downloads(world, 1), world.rip("rs1", 4)
    process = drain(world, rip, "--deadline", "300", "--json")
    until(lambda: servers(world)[rip][0] == 0)
    remove(world, rip)
    time.sleep(1.5)
    assert process.poll() is None
    # back without a weight, as keepalived's inhibit_on_failure has it
    world.ipvsadm("-a", "-t", at(VIP[4], 80), "-r", at(rip, 80), "-m", "-w", "0")
    assert running[0].digest() == clean
    said = check("drain", finish(process))
    assert said["outcome"] == "drained" and said["left"]["active_connections"] == 0


@pytest.mark.parametrize("clear", [False, True], ids=["one", "all"])
def test_drain_drops_what_a_removed_server_has_left(world, clean, clear):
    apply(world, "services:\n" + farm(world, [("rs1", 1)]))
    running, rip = downloads(world, 1), world.rip("rs1", 4)
    process = drain(world, rip, "--deadline", "3", "--json")
    until(lambda: servers(world)[rip][0] == 0)
    if clear:
        world.ipvsadm("-C")
    else:
        remove(world, rip)
    said = check("drain", finish(process))
    assert said["outcome"] == "dropped" and said["left"]["active_connections"] == 1
    assert running[0].digest() != clean and rip not in world.ipvsadm("-Lnc").stdout


def test_drain_overruled_by_who_removed_it(world, clean):
    apply(world, "services:\n" + farm(world, [("rs1", 1)]))
    running, rip = downloads(world, 1), world.rip("rs1", 4)
    process = drain(world, rip)
    until(lambda: servers(world)[rip][0] == 0)
    remove(world, rip)
    world.ipvsadm("-a", "-t", at(VIP[4], 80), "-r", at(rip, 80), "-m")
    assert "somebody else" in finish(process, 1)
    assert running[0].digest() == clean


def test_drain_misuse(world, clean):
    apply(world, "services:\n" + farm(world, [("rs1", 1)]))
    rip = world.rip("rs1", 4)
    for argv, status in (((), 2), (("rubbish",), 2), ((rip, rip), 2), ((rip, "--deadline"), 2),
                         ((rip, "--deadline", "5x"), 2), ((rip, "--deadline", "-1"), 2),
                         ((rip, "--deadline", "99999999h"), 2), ((rip, "--service", "80"), 2),
                         ((rip, "--service", "tcp:rubbish"), 2), (("::ffff:" + rip,), 2),
                         ((f"[::ffff:{rip}]:80",), 2), (("[fd00::1]x",), 2), (("[fd00::1]",), 1),
                         (("10.77.0.1",), 1), ((f"{rip}:81",), 1),
                         ((rip, "--service", f"udp:{VIP[4]}:80"), 1),
                         ((rip, "--service", "fwmark:7"), 1)):
        done = bpvs(world, "drain", *argv, check=False)
        assert done.returncode == status and done.stderr and not done.stdout, (argv, done)
    assert servers(world)[rip][0] == 1
    for verb, argv, words in (("drain", (rip, "--deadline", "5x"), "not a time: 5x"),
                              ("drain", (rip, "--service", "tcp:rubbish"), "not a service: tcp:rubbish"),
                              ("drain", ("rubbish",), "not an address or endpoint: rubbish"),
                              ("flush", ("--dest", "::ffff:" + rip),
                               f"not an address or endpoint: ::ffff:{rip}")):
        assert f"bpvs {verb}: {words}\n" in bpvs(world, verb, *argv, check=False).stderr


# ---- output that does not arrive ----


@pytest.mark.parametrize("words", ["status", "status -v", "status --json", "sysctl", "sysctl -v",
                                   "sysctl --json", "sysctl sloppy_tcp=1", "flush --json", "drain",
                                   "drain --json", "dump", "proc ip_vs"])
def test_what_does_not_arrive_is_told(world, clean, words):
    """What was done stays done."""
    apply(world, "services:\n" + farm(world, [("rs1", 1)]))
    rip = world.rip("rs1", 4)
    argv = words.split() + [rip] * words.startswith("drain")
    for where, why in (">/dev/full", "No space left on device"), (">&-", "Bad file descriptor"):
        done = world.director.run("sh", "-c", f'exec "$0" "$@" {where}', world.bpvs, *argv, check=False)
        assert (done.returncode, done.stderr) == (1, f"bpvs {argv[0]}: {why}\n"), done
    assert servers(world)[rip][0] == (0 if "drain" in words else 1)
    assert bpvs(world, "sysctl", "sloppy_tcp").stdout.endswith(" = 1\n" if "=1" in words else " = 0\n")
    # Who goes away is not written to.
    done = world.director.run("bash", "-c", '"$0" "$@" | true; echo ${PIPESTATUS[0]}', world.bpvs, *argv)
    bpvs(world, "sysctl", "sloppy_tcp=0")
    assert done.stdout in ("0\n", "141\n") and not done.stderr


# ---- options that are given twice ----


@pytest.mark.parametrize("words, option", [
    ("drain {rip} --service fwmark:1 --service tcp:{vip}:80", "--service"),
    ("drain {rip} --deadline 1 --serv fwmark:1 --deadline=1", "--deadline"),
    ("flush --dest {rip} --json --dest {rip}", "--dest"), ("up --mode tc --dev eth0 -m xdp", "--mode"),
    ("up --conns 1k --conns 2k", "--conns"), ("up -s 1k --services 1k", "--services"),
    ("up --dests 1k -r1k", "--dests"),
    ("realserver up --mode dr --vip 10.0.0.1 --vip 10.0.0.2 --mode nat", "--mode"),
    ("realserver up --mode dr --vip 10.0.0.1 --dev lo --dev eth0", "--dev"),
    ("realserver up --mode tun --vip 10.0.0.1 --tun-type gue --tun-port 1 --tun-port 2", "--tun-port"),
    ("lab nat up --mode xdp --mode=tc", "--mode"),
])
def test_no_value_is_dropped(world, clean, words, option):
    """Of two values neither is taken for the other."""
    apply(world, "services:\n" + farm(world, [("rs1", 1)]))
    rip = world.rip("rs1", 4)
    argv = words.format(rip=rip, vip=VIP[4]).split()
    done = bpvs(world, *argv, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith(f"bpvs {argv[0]}: {option} is given twice\n"), done
    assert servers(world)[rip][0] == 1


# ---- the other verbs' JSON ----


def test_flush_says_how_many(world, clean):
    apply(world, "services:\n" + farm(world, [("rs1", 1), ("rs2", 1)]))
    running = downloads(world, 4)
    rip = at(world.rip("rs1", 4), 80)
    said = check("flush", bpvs(world, "flush", "--dest", rip, "--json").stdout)
    assert said == {"destination": rip, "ended": 2}
    assert servers(world)[world.rip("rs1", 4)][:2] == [1, 0]
    assert check("flush", bpvs(world, "flush", "--json").stdout)["ended"] >= 2
    assert [d.digest() for d in running] == [None] * 4


def test_status_and_sysctls(world, clean):
    status = check("status", bpvs(world, "status", "--json").stdout)
    assert status["mode"] == "tc" and status["services"]["now"] == 0
    assert {d["name"] for d in status["devices"]} >= {"eth0", "eth1"}
    labels = {label: (kind, n) for label, (kind, n) in world.counters().items()}
    assert {k: c["kind"] for k, c in status["counters"].items()} == {
        k: kind for k, (kind, _) in labels.items()}
    apply(world, farm(world, [("rs1", 1)]).join(["services:\n", ""]))
    assert check("status", bpvs(world, "status", "--json").stdout)["services"]["now"] == 1
    everything = check("sysctl", bpvs(world, "sysctl", "--json").stdout)["sysctls"]
    text = bpvs(world, "sysctl").stdout
    assert everything == dict(line[len("net.ipv4.vs."):].split(" = ") for line in text.splitlines())
    one = bpvs(world, "sysctl", "--json", "sloppy_tcp=1", "net.ipv4.vs.sloppy_tcp").stdout
    assert check("sysctl", one) == {"sysctls": {"sloppy_tcp": "1"}}
    bpvs(world, "sysctl", "sloppy_tcp=0")
    done = bpvs(world, "sysctl", "--json", "nosuch", check=False)
    assert done.returncode == 1 and json.loads(done.stdout) == {"sysctls": {}}


HERE = "services: [{fwmark: 1, destinations: [{address: 10.1.0.1}]}]\n"


def test_without_an_instance(world, clean):
    """apply makes one, as ipvsadm does; diff compares with none; the others say that there is none."""
    host = netns.Host(f"{world.prefix}-bare")
    give = lambda text, *argv: host.run(world.bpvs, *argv, "-f", "-", input=text, check=False)
    try:
        for argv in (("dump",), ("drain", "10.0.0.1")):
            done = host.run(world.bpvs, *argv, check=False)
            assert done.returncode == 1 and "no instance" in done.stderr, done
        # What can be known without one is told without one.
        for text, why in (("services: [", "did not find"),
                          ("sysctls: {expire_nodest_conn: abc}", "1:31: expire_nodest_conn does"),
                          ("sysctls: {sync_refresh_period: 2147483647}", "Invalid argument"),
                          ("sysctls: {est_cpulist: 0-1023}", "est_cpulist does not take"),
                          (HERE.replace("10.1", "224.1"), "not an address that a destination")):
            for verb, status in ("diff", 2), ("apply", 1):
                done = give(text, verb)
                assert done.returncode == status and why in done.stderr, done
        assert give("services: []", "diff").returncode == 0
        done = give("timeouts: {tcp: 900, udp: 7}\nsysctls: {drop_entry: 1, sloppy_tcp: 0}\n" + HERE, "diff")
        assert (done.returncode, done.stderr, done.stdout) == (1, "", """\
~ bpvs sysctl drop_entry=1  # was 0
~ ipvsadm --set 900 120 7  # was 900 120 300
+ ipvsadm -A -f 1 -s wlc
+ ipvsadm -a -f 1 -r 10.1.0.1:0 -g -w 1
"""), done
        assert host.run(world.bpvs, "status", check=False).returncode == 1
        host.run(world.bpvs, "apply", "-f", "-", input="services: [{fwmark: 1}]")
        assert "fwmark: 1" in host.run(world.bpvs, "dump").stdout
    finally:
        host.run(world.bpvs, "down", check=False)
        host.delete()


def test_refused_by_the_engine_that_was_brought_up(world, clean):
    """The reason is not that there was none before."""
    host = netns.Host(f"{world.prefix}-bare")
    try:
        done = host.run(world.bpvs, "apply", "-f", "-", check=False, input="services:\n" + "".join(
            f"- {{protocol: tcp, address: 10.0.0.1, port: {n}}}\n" for n in range(1, 16500)))
        assert done.returncode == 1 and "no room in the tables" in done.stderr, done
        assert "nothing is changed" in done.stderr
    finally:
        host.run(world.bpvs, "down", check=False)
        host.delete()
