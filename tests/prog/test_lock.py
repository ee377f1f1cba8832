# SPDX-License-Identifier: GPL-2.0-only
"""The lock of the tables: who waits for whom, and what becomes of it when its holder stops or dies."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from common import BUILD, lone_namespace
from test_shim import program  # noqa: F401

NAME = f"lock-{os.getpid()}"
BPVS, IPVSADM = BUILD / "bpvs" / "bpvs", BUILD / "ipvsadm" / "ipvsadm"
PATIENCE = 30
SOON = 15  # on a busy machine; who waits for what is held waits for good


@pytest.fixture(scope="module")
def words():
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and BPF")
    with lone_namespace(NAME) as inside:
        subprocess.run([*inside, BPVS, "up", "--mode", "tc", "--conns", "1k"], check=True,
                       capture_output=True)
        yield inside


def adm(words, *argv):
    return subprocess.run([*words, IPVSADM, *argv], capture_output=True, text=True, check=False,
                          timeout=PATIENCE)


class Holder:
    """A program that has the instance open, and takes the lock when it is told."""

    def __init__(self, words):
        self.process = subprocess.Popen([*words, BUILD / "tests" / "prog" / "bpvs-run"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def holder(words):
    holder = Holder(words)
    yield holder
    holder.process.kill()
    holder.process.communicate(timeout=PATIENCE)


@contextlib.contextmanager
def waiting(words):
    """An ipvsadm that cannot go on yet; when it does, it has to succeed soon."""
    process = subprocess.Popen([*words, IPVSADM, "-C"])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    yield process
    start = time.monotonic()
    assert process.wait(PATIENCE) == 0
    assert time.monotonic() - start < SOON, "it waited on"


def test_waits_for_the_holder(words, holder):
    assert holder.ask("lock") == "ok"
    with waiting(words):
        assert holder.ask("unlock") == "ok"


def test_a_stopped_holder_is_waited_for(words, holder):
    assert holder.ask("lock") == "ok"
    holder.process.send_signal(signal.SIGSTOP)
    with waiting(words):
        holder.process.send_signal(signal.SIGCONT)
        assert holder.ask("unlock") == "ok"


def test_a_killed_holder_is_not(words, holder):
    assert holder.ask("lock") == "ok"
    with waiting(words):
        holder.process.kill()
    assert adm(words, "-Ln").returncode == 0


def test_a_killed_holder_s_child_is_not(words, holder):
    """It has what its parent had but for the lock."""
    assert holder.ask("lock") == "ok"
    child = int(holder.ask("fork"))
    try:
        with waiting(words):
            holder.process.kill()
    finally:
        os.kill(child, signal.SIGKILL)


def test_down_waits_and_tells_who_comes_later(words, holder):
    """Not a change under way is taken down, and none begins in what is gone."""
    other = Holder(words)
    assert holder.ask("lock") == "ok"
    down = subprocess.Popen([*words, BPVS, "down"])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            down.wait(0.5)
        assert holder.ask("unlock") == "ok"
        assert down.wait(PATIENCE) == 0
        assert "taken down" in holder.ask("lock")
        assert "taken down" in other.ask("lock")
    finally:
        other.process.communicate(timeout=PATIENCE)
        down.wait(PATIENCE)
        subprocess.run([*words, BPVS, "up", "--mode", "tc", "--conns", "1k"], check=True,
                       capture_output=True)


def test_flush_of_a_server_sleeps_without_it(words):
    """It asks the sweep and waits for that; a second flush of one waits for the first."""
    for argv in (["-C"], ["-A", "-t", "10.0.0.1:80"],
                 ["-a", "-t", "10.0.0.1:80", "-r", "10.9.9.1"], ["-a", "-t", "10.0.0.1:80", "-r", "10.9.9.2"]):
        assert adm(words, *argv).returncode == 0
    flush = [*words, BPVS, "flush", "--dest"]
    env = dict(os.environ, LD_PRELOAD=str(BUILD / "tests" / "prog" / "libkill-at.so"),
               BPVS_STOP_ASLEEP="1")
    first = subprocess.Popen([*flush, "10.9.9.1"], env=env)
    second = None
    try:
        _, status = os.waitpid(first.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert adm(words, "-A", "-t", "10.0.0.2:80").returncode == 0
        second = subprocess.Popen([*flush, "10.9.9.2"])
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(1)
        first.send_signal(signal.SIGCONT)
        assert [process.wait(PATIENCE) for process in (first, second)] == [0, 0]
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.wait(PATIENCE)
    assert adm(words, "-C").returncode == 0


def test_apply_prints_without_it(words, tmp_path):
    """What it says may go to a pager, which reads no more than it shows."""
    text = tmp_path / "rules.yaml"
    text.write_text("services:\n" + "".join(
        f"- {{protocol: tcp, address: 10.{n // 250}.{n % 250}.1, port: 80}}\n" for n in range(4000)))
    apply = subprocess.Popen([*words, BPVS, "apply", "-f", text, "-v"], stdout=subprocess.PIPE)
    try:
        assert apply.stdout.read(1)
        with pytest.raises(subprocess.TimeoutExpired):
            apply.wait(1)
        assert adm(words, "-A", "-f", "7").returncode == 0
        assert len(apply.stdout.read()) > 1 << 16
        assert apply.wait(PATIENCE) == 0
    finally:
        apply.kill()
        apply.communicate(timeout=PATIENCE)
    assert adm(words, "-C").returncode == 0


# ---- devices, which are entered and erased under both locks ----

HOLDS_UP_AND_DOWN = ("import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0bpvs-tables');"
                     "s.listen(); print('ok', flush=True); input(); s.close();"
                     "print('ok', flush=True); input()")


class UpAndDown(Holder):
    def __init__(self, words):
        self.process = subprocess.Popen([*words, sys.executable, "-c", HOLDS_UP_AND_DOWN],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        """It has the lock from the beginning."""
        return super().ask(line) if line == "unlock" else self.process.stdout.readline().strip()


def bpftool(*argv):
    return json.loads(subprocess.run(["bpftool", "-j", *map(str, argv)], check=True,
                                     capture_output=True).stdout)


def entries(words):
    """The numbers of the devices that the engine knows of."""
    shown = subprocess.run([*words, "tc", "filter", "show", "dev", "d0", "ingress"], check=True,
                           capture_output=True, text=True).stdout
    prog = bpftool("prog", "show", "id", re.search(r"bpvs_tc.* id (\d+)", shown).group(1))
    for number in prog["map_ids"]:
        if bpftool("map", "show", "id", number)["name"] == "bpvs_devs":
            values = (bytes(int(b, 16) for b in e["value"])
                      for e in bpftool("map", "dump", "id", number))
            return {int.from_bytes(v[:4], sys.byteorder) for v in values} - {0}
    raise AssertionError("no bpvs_devs")


def number_of(words, dev):
    shown = subprocess.run([*words, "ip", "-j", "link", "show", "dev", dev], check=True,
                           capture_output=True).stdout
    return json.loads(shown)[0]["ifindex"]


@pytest.mark.parametrize("verb", ["status", "watch"])
@pytest.mark.parametrize("kind", [Holder, UpAndDown])
def test_devices_wait_for_either_lock(words, kind, verb):
    """Whoever sets flags in an entry has the one, and whoever covers a device the other."""
    run = lambda *argv: subprocess.run([*words, *argv], check=True, capture_output=True)
    run("ip", "link", "add", "old0", "type", "veth", "peer", "name", "old1")
    run(BPVS, "status")
    old = number_of(words, "old0")
    assert old in entries(words)
    holder = kind(words)
    process = None
    try:
        assert holder.ask("lock") == "ok"
        run("ip", "link", "del", "old0")
        run("ip", "link", "add", "new0", "type", "veth", "peer", "name", "new1")
        new = number_of(words, "new0")
        process = subprocess.Popen([*words, BPVS, verb], stdout=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        assert {old, new} & entries(words) == {old}
        assert holder.ask("unlock") == "ok"
        end = time.monotonic() + PATIENCE
        while {old, new} & entries(words) != {new} and time.monotonic() < end:
            time.sleep(0.1)
        assert {old, new} & entries(words) == {new}
    finally:
        for each in filter(None, (holder.process, process)):
            each.kill()
            each.communicate(timeout=PATIENCE)
        run("ip", "link", "del", "new0")


# ---- the preloaded library ----


@pytest.fixture
def restore(words, program):  # noqa: F811
    """Debian's ipvsadm -R, which is given lines one by one."""
    assert adm(words, "-C").returncode == 0
    process = subprocess.Popen([*words, BPVS, "run", "--", "ipvsadm", "-R"], env=program,
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=PATIENCE)


def give(process, *lines):
    process.stdin.write("".join(f"{line}\n" for line in lines))
    process.stdin.flush()


def services(words):
    return set(re.findall(r"^TCP +(\S+)", adm(words, "-Ln").stdout, re.M))


def until(words, want):
    end = time.monotonic() + PATIENCE
    while services(words) != want and time.monotonic() < end:
        time.sleep(0.1)
    assert services(words) == want


def test_stopped_between_messages(words, restore):
    """Nothing is held from one message to the next."""
    give(restore, "-A -t 10.0.0.1:80")
    until(words, {"10.0.0.1:80"})
    restore.send_signal(signal.SIGSTOP)
    start = time.monotonic()
    assert adm(words, "-A", "-t", "10.0.0.2:80").returncode == 0
    assert time.monotonic() - start < SOON
    restore.send_signal(signal.SIGCONT)
    give(restore, "-A -t 10.0.0.3:80", "-a -t 10.0.0.2:80 -r 10.9.9.1")
    until(words, {f"10.0.0.{n}:80" for n in (1, 2, 3)})


def test_engine_restarted_beneath(words, restore):
    """What comes later is in the new instance, also within the second for which one is kept."""
    give(restore, "-A -t 10.0.0.1:80")
    until(words, {"10.0.0.1:80"})
    for verb in (["down"], ["up", "--mode", "tc", "--conns", "1k"]):
        subprocess.run([*words, BPVS, *verb], check=True, capture_output=True)
    give(restore, "-A -t 10.0.0.2:80", "-a -t 10.0.0.2:80 -r 10.9.9.1:80")
    until(words, {"10.0.0.2:80"})
    assert "10.9.9.1:80" in adm(words, "-Ln").stdout


def test_who_waits_gets_in(words, program):  # noqa: F811
    """Beside two programs that change something all the time."""
    feeds = [subprocess.Popen(["yes", "--", f"-A -t 10.{n}.0.1:80\n-D -t 10.{n}.0.1:80"],
                              stdout=subprocess.PIPE) for n in (1, 2)]
    runs = ([IPVSADM], [BPVS, "run", "--", "ipvsadm"])
    busy = [subprocess.Popen([*words, *run, "-R"], env=program, stdin=feed.stdout)
            for run, feed in zip(runs, feeds)]
    try:
        for _ in range(5):
            start = time.monotonic()
            assert adm(words, "-A", "-f", "7").returncode == 0
            assert adm(words, "-D", "-f", "7").returncode == 0
            assert time.monotonic() - start < SOON
        assert [process.poll() for process in busy] == [None, None]
    finally:
        for process in busy + feeds:
            process.kill()
            process.wait(PATIENCE)
    assert adm(words, "-C").returncode == 0
