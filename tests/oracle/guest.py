#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The guest's part of the oracle: runs scenarios in both worlds, several at a time.

Each worker process holds one world. For the most part scenarios wait (for the kernel's statistics,
for what is to expire), so there are more workers than CPUs. A scenario's judgement is a generator
that asks for runs and is given both engines' results, so that many are under way at once.
"""

import json
import os
import pathlib
import select
import shutil
import signal
import socket
import struct
import sys
import time
import traceback

import compare
import scenario
import world

TRIALS = 16  # runs to find the smallest failing form of a scenario


def send(sock, message):
    data = json.dumps(message).encode()
    sock.sendall(struct.pack("!I", len(data)) + data)


def receive(sock):
    size = sock.recv(4, socket.MSG_WAITALL)
    if len(size) < 4:
        return None
    return json.loads(sock.recv(struct.unpack("!I", size)[0], socket.MSG_WAITALL))


# In a worker


def late(_signal, _frame):
    raise world.WorldError("an event took too long")


def play(here, text, fresh):
    """Run a scenario in a world: the events' results, those of the last looks with them."""
    (read,) = scenario.parse(text)
    here.reset(text, fresh)
    results = [here.event(event) for event in read.events]
    if read.name != "reduced":
        looks = [scenario.Event(text) for text in scenario.LAST_LOOKS]
        results += [here.do_look(event, last=True) for event in looks]
    return results


def work(sock, engine, tools):
    signal.signal(signal.SIGALRM, late)
    here = world.WORLDS[engine](tools)
    while (task := receive(sock)) is not None:
        start = time.monotonic()
        answer = {}
        try:
            answer["results"] = play(here, task["text"], task["fresh"])
        except Exception:  # whatever it is, the run goes on and reports it
            answer["error"] = traceback.format_exc()
            here.used = None
        answer["seconds"] = time.monotonic() - start
        send(sock, answer)


class Worker:
    def __init__(self, engine, tools):
        self.engine = engine
        self.sock, far = socket.socketpair()
        self.task = None
        self.pid = os.fork()
        if self.pid == 0:
            self.sock.close()
            try:
                work(far, engine, tools)
            finally:
                os._exit(0)
        far.close()

    def start(self, task):
        self.task = task
        send(self.sock, {"text": task.text, "fresh": task.fresh})

    def finish(self):
        answer = receive(self.sock) or {"error": "the worker has died"}
        task, self.task = self.task, None
        return task, answer


class Task:
    """One engine's half of a run."""

    def __init__(self, judgement, engine, text, fresh):
        self.judgement = judgement
        self.engine = engine
        self.text = text
        self.fresh = fresh


# Judging


class Judgement:
    """A scenario's way from its first run to its verdict."""

    thorough = 10  # differences to reduce and to see in a new instance; of more, the start says enough

    def __init__(self, text):
        (self.scenario,) = scenario.parse(text)
        self.verdict = {"name": self.scenario.name, "seconds": {}}
        self.answers = {}
        self.steps = self.run()

    def run(self):
        """Yields (text, fresh); is sent both engines' answers."""
        text = self.scenario.source()
        answers = yield text, False
        if self.error(answers) or self.unlisted(answers) is not None:
            return (yield from self.again(text, answers))
        missing = self.not_met(answers)
        if missing:
            return dict(self.verdict, verdict="stale", ids=missing)
        return dict(self.verdict, verdict="listed" if self.met(answers) else "same")

    def again(self, text, answers):
        """It failed or differed: once more, and if that is no chance, in a new instance."""
        found = None if self.error(answers) else self.unlisted(answers)
        for fresh in (False, True):
            if fresh and Judgement.thorough <= 0:
                break  # so much differs that it is not worth the time
            answers = yield text, fresh
            if self.error(answers):
                continue
            at = self.unlisted(answers)
            if at is None:
                return dict(self.verdict, verdict="unsteady", in_new_instance=fresh,
                            event=None if found is None else self.event(found))
        if self.error(answers):
            return dict(self.verdict, verdict="failed", error=self.error(answers))
        return (yield from self.different(at, answers))

    def different(self, at, answers):
        verdict = dict(self.verdict, verdict="different", event=self.event(at),
                       kernel=compare.show(answers["kernel"]["results"][at]),
                       bpvs=compare.show(answers["bpvs"]["results"][at]))
        events = [*self.scenario.events[:at], scenario.Event(self.event(at))]
        if at < len(self.scenario.events):
            events[-1] = self.scenario.events[at]
        Judgement.thorough -= 1
        trials = TRIALS if Judgement.thorough >= 0 else 0
        verdict["reduced"] = yield from reduce(events, verdict, trials)
        return verdict

    def event(self, at):
        own = len(self.scenario.events)
        return self.scenario.events[at].source() if at < own else scenario.LAST_LOOKS[at - own]

    @staticmethod
    def error(answers):
        return "\n".join(f"{name}: {a['error']}" for name, a in answers.items() if "error" in a)

    def pairs(self, answers):
        """(number, ids that it may differ by, does it differ?) of each event."""
        ours, theirs = (answers[name]["results"] for name in ("kernel", "bpvs"))
        for number, (a, b) in enumerate(zip(ours, theirs)):
            own = self.scenario.events[number].differs if number < len(self.scenario.events) else []
            yield number, own + self.scenario.differs, compare.differs(a, b)

    def unlisted(self, answers):
        return next((n for n, ids, differs in self.pairs(answers) if differs and not ids), None)

    def met(self, answers):
        return [i for _, ids, differs in self.pairs(answers) if differs for i in ids]

    def not_met(self, answers):
        """Differences that it names and does not show. `ID?` is one that need not show."""
        met = self.met(answers)
        return [i for i in self.scenario.ids() if i not in met and not i.endswith("?")]


def reduce(events, verdict, trials):
    """Leave out what the last event needs not to differ; yields runs, returns the text left."""
    size = max(1, len(events) // 2)
    while size and trials:
        at = len(events) - 1 - size
        while at >= 0 and trials:
            fewer = events[:at] + events[at + size :]
            trials -= 1
            answers = yield reduced_text(fewer), False
            if not Judgement.error(answers):
                ours, theirs = (answers[name]["results"] for name in ("kernel", "bpvs"))
                if compare.first_difference(ours, theirs) == len(fewer) - 1:
                    events = fewer
                    verdict["kernel"], verdict["bpvs"] = (
                        compare.show(results[-1]) for results in (ours, theirs))
            at -= size
        size //= 2
    return reduced_text(events)


def reduced_text(events):
    return scenario.Scenario("reduced", "what is needed", events).source()


class Pool:
    """Hands halves of runs to idle workers; halves of runs under way go before new ones."""

    def __init__(self, workers, report):
        self.workers = workers
        self.report = report
        self.waiting = {"kernel": [], "bpvs": []}
        self.active = 0

    def begin(self, judgement):
        self.active += 1
        self.ask(judgement, next(judgement.steps), first=True)

    def ask(self, judgement, run, first=False):
        judgement.answers = {}
        for engine, queue in self.waiting.items():
            task = Task(judgement, engine, *run)
            if first:
                queue.append(task)
            else:
                queue.insert(0, task)

    def answered(self, task, answer):
        judgement = task.judgement
        judgement.answers[task.engine] = answer
        seconds = judgement.verdict["seconds"]
        seconds[task.engine] = seconds.get(task.engine, 0) + answer["seconds"]
        if len(judgement.answers) < 2:
            return
        try:
            self.ask(judgement, judgement.steps.send(judgement.answers))
        except StopIteration as done:
            self.active -= 1
            self.report(done.value)

    def run(self, judgements):
        ahead = len(self.workers)
        judgements = iter(judgements)
        more = True
        while more or self.active:
            while more and self.active < 2 * ahead:
                judgement = next(judgements, None)
                more = judgement is not None
                if more:
                    self.begin(judgement)
            self.hand_out()
            busy = [w for w in self.workers if w.task]
            ready = select.select([w.sock for w in busy], [], [], 600)[0] if busy else []
            if busy and not ready:
                raise world.WorldError("no worker has answered for ten minutes")
            for worker in busy:
                if worker.sock in ready:
                    self.answered(*worker.finish())

    def hand_out(self):
        for worker in self.workers:
            queue = self.waiting[worker.engine]
            if worker.task is None and queue:
                worker.start(queue.pop(0))


def copy_tools(tools):
    """Programs and libraries in memory: reading them over 9p is slow."""
    home = pathlib.Path("/dev/shm/oracle")
    home.mkdir()
    for name in ("bpvs", "bpvs_ipvsadm", "kernel_ipvsadm"):
        tools[name] = shutil.copy(tools[name], home / name)
    for directory in filter(os.path.isdir, tools["libs"].split(":")):
        for path in pathlib.Path(directory).glob("*.so*"):
            shutil.copy(path, home / path.name)
    tools["libs"] = str(home)


def show_only(job, tools):
    """Print what each event gives in the engines asked for, without comparing."""
    for text in job["scenarios"]:
        (read,) = scenario.parse(text)
        events = [e.source() for e in read.events] + scenario.LAST_LOOKS
        for engine in job["show"]:
            here = world.WORLDS[engine](tools)
            print(f"== {read.name} ({engine})", flush=True)
            signal.signal(signal.SIGALRM, late)
            for event, result in zip(events, play(here, text, True)):
                print(f"> {event}\n{compare.show(result)}", flush=True)
            if engine == "bpvs":
                here.bpvs("down")


def main():
    out = pathlib.Path(os.environ["BPVS_VM_OUT"])
    job = json.loads((out / "job.json").read_text())
    tools = job["tools"]
    world.load_modules()
    copy_tools(tools)
    if job["show"]:
        show_only(job, tools)
        return 0
    start, done = time.monotonic(), []
    log = open(out / "verdicts.jsonl", "w", encoding="utf-8")

    def report(verdict):
        done.append(verdict)
        print(json.dumps(verdict), file=log, flush=True)
        if verdict["verdict"] not in ("same", "listed"):
            print(f"{verdict['verdict']}: {verdict['name']}", flush=True)
        if len(done) % 25 == 0:
            print(f"{len(done)} of {len(job['scenarios'])}, {time.monotonic() - start:.0f} s",
                  flush=True)

    workers = [Worker(engine, tools) for engine, n in job["workers"].items() for _ in range(n)]
    deadline = start + job["seconds"]

    def judgements():
        for text in job["scenarios"]:
            if time.monotonic() > deadline:
                return
            yield Judgement(text)

    Pool(workers, report).run(judgements())
    log.close()
    (out / "done.json").write_text(json.dumps({
        "kernel": os.uname().release, "seconds": round(time.monotonic() - start, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
