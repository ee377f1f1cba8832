# SPDX-License-Identifier: GPL-2.0-only
"""A worker process holds one world and runs scenarios in it, in the guest or on the host.

For the most part scenarios wait (for the kernel's statistics, for what is to expire), so there are
more workers than CPUs.
"""

import json
import os
import signal
import socket
import struct
import time
import traceback

import scenario
import arena


PACE = 1.0  # seconds from event to event, where time is to be no difference
LIMIT = 900  # seconds that a task may take; an event that hangs is cut off long before


def send(sock, message):
    data = json.dumps(message).encode()
    sock.sendall(struct.pack("!I", len(data)) + data)


def receive(sock):
    size = sock.recv(4, socket.MSG_WAITALL)
    if len(size) < 4:
        return None
    return json.loads(sock.recv(struct.unpack("!I", size)[0], socket.MSG_WAITALL))


def late(_signal, _frame):
    raise arena.WorldError("an event took too long")


def paced(events, fresh):
    """The events; in a new instance no sooner than the other engine's, which may be a slow one's:
    what expires between two events shall expire in both."""
    start = time.monotonic()
    for number, event in enumerate(events):
        if fresh:
            time.sleep(max(0.0, start + number * PACE - time.monotonic()))
        yield event


def play(here, text, fresh):
    """Run a scenario in a world: the events' results, those of the last looks with them."""
    (read,) = scenario.parse(text)
    here.patient = fresh
    here.reset(text, fresh)
    results = [here.event(event) for event in paced(read.events, fresh)]
    # Where chance decides, what each has and which connections there are is its own affair.
    if read.name != scenario.REDUCED and " twos" not in text:
        looks = [scenario.Event(text) for text in scenario.LAST_LOOKS]
        results += [here.do_look(event, last=True) for event in looks]
    return results


def work(sock, engine, tools):
    signal.signal(signal.SIGALRM, late)
    here = arena.WORLDS[engine](tools)
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
    here.end()


class Worker:
    def __init__(self, engine, tools):
        self.engine = engine
        self.sock, far = socket.socketpair()
        self.tools = tools
        self.task = None
        self.since = 0
        self.pid = os.fork()
        if self.pid == 0:
            self.sock.close()
            try:
                work(far, engine, tools)
            finally:
                os._exit(0)
        far.close()

    def start(self, task):
        """`task` is the caller's number for it, and what to do."""
        self.task = task
        self.since = time.monotonic()
        send(self.sock, task[1])

    def overdue(self):
        return self.task is not None and time.monotonic() - self.since > LIMIT

    def replaced(self):
        """Where a signal could not end its task: another worker, the task, and the error."""
        os.kill(self.pid, signal.SIGKILL)
        self.sock.close()
        return (Worker(self.engine, self.tools), self.task,
                {"error": f"the worker hung for {LIMIT} s", "seconds": LIMIT})

    def finish(self):
        answer = receive(self.sock) or {"error": "the worker has died", "seconds": 0}
        task, self.task = self.task, None
        return task, answer

    def end(self):
        """Its instance goes with it. A close alone is none while workers made later live."""
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        os.waitpid(self.pid, 0)


def replace_overdue(workers):
    """Pairs of task and answer of those that hang; others stand in their places."""
    ended = []
    for at, worker in enumerate(workers):
        if worker.overdue():
            workers[at], task, answer = worker.replaced()
            ended.append((task, answer))
    return ended
