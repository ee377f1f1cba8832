# SPDX-License-Identifier: GPL-2.0-only
"""Where scenarios are run: in a virtual machine, on this host (BPVS only), or not at all, when the
kernel's answer is known from before."""

import hashlib
import json
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

import work
from vm import HERE as VM

POLL = 0.02
BOOT = 900  # seconds to wait for the guest
QUICKER = "mitigations=off init_on_alloc=0 apparmor=0 audit=0"  # a third less for each process
# What a stored answer depends on beside the scenario and the kernel.
RUNNER = ("scenario.py", "packets.py", "frames.py", "arena.py", "work.py")


class PlaceError(Exception):
    pass


class Machine:
    """A virtual machine with workers; it boots when the first task comes."""

    def __init__(self, kernel, tools, workers, timeout):
        self.kernel, self.tools, self.workers, self.timeout = kernel, tools, workers, timeout
        self.out = None
        self.release = None
        self.running = {}
        self.count = 0

    def boot(self):
        self.out = pathlib.Path(tempfile.mkdtemp(prefix="bpvs-oracle."))
        (self.out / "config.json").write_text(
            json.dumps({"tools": self.tools, "workers": self.workers}))
        # should we be killed outright, the machine ends, and takes its directory with it
        self.machine = subprocess.Popen([
            "setpriv", "--pdeathsig", "TERM", *self.command(), "--timeout", str(self.timeout),
            "--out", self.out, "--", "/usr/bin/python3", "tests/oracle/guest.py"])
        deadline = time.monotonic() + BOOT
        while not (self.out / "ready.json").exists():
            self.check()
            if time.monotonic() > deadline:
                raise PlaceError("the guest is not ready")
            time.sleep(0.2)
        self.release = json.loads((self.out / "ready.json").read_text())["kernel"]

    def command(self):
        return [VM / "run", "--kernel", self.kernel, "--remove-out", "--append", QUICKER]

    def check(self):
        if self.machine.poll() is not None:
            raise PlaceError(f"the guest has ended with status {self.machine.returncode}")

    def room(self, engine):
        return sum(t["engine"] == engine for _, t in self.running.values()) < self.workers[engine]

    def start(self, number, task):
        if self.out is None:
            self.boot()
        path = self.out / f"task-{self.count}.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(task))
        fresh.rename(path)
        self.running[self.count] = (number, task)
        self.count += 1

    def answers(self):
        if not self.running:
            return
        time.sleep(POLL)
        self.check()
        for at in list(self.running):
            path = self.out / f"answer-{at}.json"
            if path.exists():
                answer = json.loads(path.read_text())
                path.unlink()
                yield self.running.pop(at)[0], answer

    def end(self):
        if self.out is None:
            return
        (self.out / "stop").touch()
        try:
            self.machine.wait(30)
        except subprocess.TimeoutExpired:
            self.machine.terminate()
            self.machine.wait()
        shutil.rmtree(self.out, ignore_errors=True)


class UserMode(Machine):
    """Kernel IPVS under user-mode Linux: several times as fast, on one CPU, and without BPVS, as it
    has no BTF."""

    def command(self):
        return [VM / "uml"]


class Host:
    """Workers on this host. It has no kernel IPVS, but runs BPVS ten times as fast as the guest."""

    def __init__(self, tools, count):
        self.workers = [work.Worker("bpvs", tools) for _ in range(count)]

    def room(self, _engine):
        return any(w.task is None for w in self.workers)

    def start(self, number, task):
        next(w for w in self.workers if w.task is None).start((number, task))

    def answers(self):
        busy = [w for w in self.workers if w.task]
        for sock in select.select([w.sock for w in busy], [], [], POLL)[0] if busy else []:
            (number, _), answer = next(w for w in busy if w.sock is sock).finish()
            yield number, answer
        for (number, _), answer in work.replace_overdue(self.workers):
            yield number, answer

    def end(self):
        for worker in self.workers:
            worker.end()


class Sieve:
    """Asks a quick place first. What fails or differs there is asked again, and everything asked again
    goes to the judge: the quick one may lack something, or be of an older kernel."""

    def __init__(self, quick, judge):
        self.quick, self.judge = quick, judge
        self.asked = set()

    @property
    def hits(self):
        return self.quick.hits + self.judge.hits

    def place(self, task):
        return self.judge if task["text"] in self.asked or task["fresh"] else self.quick

    def room(self, engine):
        return self.quick.room(engine) and self.judge.room(engine)

    def start(self, number, task):
        place = self.place(task)
        self.asked.add(task["text"])
        place.start(number, task)

    def answers(self):
        for place in (self.quick, self.judge):
            yield from place.answers()

    def end(self):
        for place in (self.quick, self.judge):
            place.end()


class Stored:
    """The kernel's answers from before, and a machine for those that are not there.

    Stored by scenario, kernel and runner. A run that is to be in a new instance, to look once more at
    a difference, is always made.
    """

    def __init__(self, machine, release, directory):
        self.machine = machine
        home = pathlib.Path(__file__).resolve().parent
        runner = hashlib.sha256(b"".join((home / name).read_bytes() for name in RUNNER))
        self.directory = directory / f"{release}-{runner.hexdigest()[:12]}"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.known, self.paths = [], {}
        self.hits = 0

    def room(self, engine):
        return self.machine.room(engine)

    def start(self, number, task):
        path = self.directory / hashlib.sha256(task["text"].encode()).hexdigest()
        if path.exists() and not task["fresh"]:
            self.known.append((number, json.loads(path.read_text())))
            self.hits += 1
            return
        self.paths[number] = path
        self.machine.start(number, task)

    def answers(self):
        known, self.known = self.known, []
        yield from known
        for number, answer in self.machine.answers():
            path = self.paths.pop(number)
            if "error" not in answer:
                fresh = path.with_suffix(".new")
                fresh.write_text(json.dumps(dict(answer, seconds=0)))
                fresh.rename(path)
            yield number, answer

    def end(self):
        self.machine.end()
