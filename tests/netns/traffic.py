# SPDX-License-Identifier: GPL-2.0-only
"""Clients that go on while something happens: what they lost, when, and for how long."""

import random
import re
import socket
import threading
import time
from dataclasses import dataclass

from netns import PATIENCE
from world import AF


@dataclass
class Request:
    begun: float
    ended: float
    server: str = ""
    error: str = ""


def answer_of(sock):
    """The body of an answer, by its Content-Length."""
    data = b""
    while True:
        more = sock.recv(4096)
        if not more:
            raise ConnectionError("closed")
        data += more
        head, end, body = data.partition(b"\r\n\r\n")
        size = re.search(rb"Content-Length: (\d+)", head)
        if end and size and len(body) >= int(size.group(1)):
            return body.decode().strip()


class Client(threading.Thread):
    """Asks again and again, from start() to stop()."""

    QUESTION = b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n"

    def __init__(self, host, family, vip, *, port=80, pace=0.1, patience=10):
        super().__init__(daemon=True)
        self.host, self.family, self.where = host, family, (vip, port)
        self.pace, self.patience = pace, patience * PATIENCE
        self.requests = []
        self.ending = threading.Event()
        self.start()

    def connect(self):
        sock = self.host.socket(AF[self.family], socket.SOCK_STREAM)
        sock.settimeout(self.patience)
        try:
            sock.connect(self.where)
        except OSError:
            sock.close()
            raise
        return sock

    def ask(self, sock):
        sock.sendall(self.QUESTION)
        return answer_of(sock)

    def once(self):
        raise NotImplementedError

    def run(self):
        while not self.ending.is_set():
            request = Request(time.monotonic(), 0)
            try:
                request.server = self.once()
            except OSError as e:
                request.error = f"{type(e).__name__}: {e}"
            request.ended = time.monotonic()
            self.requests.append(request)
            # out of step with others, or who takes turns would serve one of them always the same
            self.ending.wait(self.pace * random.uniform(0.5, 1.5))

    def stop(self):
        self.ending.set()
        self.join(self.patience * 3 + 5)
        assert not self.is_alive()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # ---- what came of it; `since`: of what was begun after that ----

    def done(self, since=0.0):
        return [r for r in list(self.requests) if r.begun >= since]

    def lost(self, since=0.0):
        return [r for r in self.done(since) if r.error]

    def servers(self, since=0.0):
        return {r.server for r in self.done(since)} - {""}

    def gap(self, since=0.0):
        """The longest time without an answer."""
        ends = [r.ended for r in self.done(since) if not r.error]
        return max((b - a for a, b in zip(ends, ends[1:])), default=0.0)


class Requests(Client):
    """Each by a connection of its own."""

    def once(self):
        with self.connect() as sock:
            return self.ask(sock)


class Session(Client):
    """All by one connection; once that is broken, all are lost."""

    sock = None

    def once(self):
        if self.sock is None:
            self.sock = self.connect()
        return self.ask(self.sock)

    def stop(self):
        super().stop()
        if self.sock:
            self.sock.close()
