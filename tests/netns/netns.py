# SPDX-License-Identifier: GPL-2.0-only
"""Network namespaces for tests: make them, run commands in them, open sockets in them."""

import contextlib
import ctypes
import os
import select
import socket
import subprocess
import time

# How many times longer than on a plain host things may take; an emulated machine is set to more.
PATIENCE = float(os.environ.get("BPVS_PATIENCE", 1))

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def run(*argv, check=True, timeout=90, **kwargs):
    """Run a command; its output is in the failure's message."""
    done = subprocess.run(
        [str(a) for a in argv], capture_output=True, text=True, timeout=timeout * PATIENCE, **kwargs
    )
    if check:
        assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def wait_for(what, seconds, condition):
    """Wait until condition() is true, and return what it said; `what` is for the failure."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        said = condition()
        if said:
            return said
        assert time.monotonic() < end, f"waited {seconds * PATIENCE:g} s for {what}"
        time.sleep(0.05)


def heard(socks, seconds=10):
    """The one of these sockets that gets something; None if none does."""
    ready = select.select(socks, [], [], seconds * PATIENCE)[0]
    assert len(ready) <= 1, "more than one got it"
    return ready[0] if ready else None


def _enter(fd):
    if LIBC.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Host:
    """A network namespace by its name; make=False for one that a lab has made."""

    def __init__(self, name, make=True):
        self.name = name
        if make:
            run("ip", "netns", "add", name)
            self.ip("link", "set", "lo", "up")
            self.run("sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0",
                     "net.ipv6.conf.default.accept_dad=0")

    def delete(self):
        run("ip", "netns", "del", self.name, check=False)

    def run(self, *argv, **kwargs):
        return run("ip", "netns", "exec", self.name, *argv, **kwargs)

    def ip(self, *argv):
        return run("ip", "-n", self.name, *argv).stdout

    def sysctl(self, key, value):
        self.run("sysctl", "-qw", f"{key}={value}")

    def settle(self):
        """Wait for the link-local addresses, which become usable a little after their links."""
        for _ in range(100):
            links = self.ip("-o", "link", "show", "up").count("link/ether")
            usable = self.ip("-6", "-o", "addr", "show", "scope", "link", "-tentative")
            if usable.count("fe80::") >= links:
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.name}: link-local addresses stay tentative")

    def mac(self, dev="eth0"):
        return self.ip("-br", "link", "show", dev).split()[2]

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the namespace meanwhile."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        other = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            _enter(other)
            try:
                yield
            finally:
                _enter(own)
        finally:
            os.close(own)
            os.close(other)

    def socket(self, *args):
        """A socket stays in the namespace that it was opened in."""
        with self.inside():
            return socket.socket(*args)

    def bound(self, family, kind, addr, port):
        """A socket on an address of this host, with time for what is expected to come."""
        sock = self.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((addr, port))
        sock.settimeout(10 * PATIENCE)
        return sock

    def wire(self, dev="eth0"):
        return Wire(self, dev)

    def curl(self, url, *options):
        return self.run("curl", "-sS", "-m", f"{30 * PATIENCE:g}", *options, url).stdout

    def reach(self, addr):
        """Until it answers: whatever was lost meanwhile, now each knows the other's MAC."""
        wait_for(f"{addr} to answer {self.name}", 30, lambda: not self.run(
            "ping", "-c1", "-W1", addr, check=False).returncode)


class Wire:
    """Frames to and from one device, past the host's own stack."""

    def __init__(self, host, dev):
        self.sock = host.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.sock.bind((dev, 3))

    def send(self, packet):
        self.sock.send(bytes(packet))

    def frames(self, seconds):
        """The frames that come in during the time given."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                frame, (_, _, kind, _, _) = self.sock.recvfrom(65535)
            except TimeoutError:
                return
            if kind != socket.PACKET_OUTGOING:
                yield frame

    def expect(self, wanted, parse, seconds=10 * PATIENCE):
        """The first frame that, parsed, is as wanted; None if none comes."""
        for frame in self.frames(seconds):
            packet = parse(frame)
            if wanted(packet):
                return packet
        return None

    def close(self):
        self.sock.close()


def join(left, left_dev, right, right_dev):
    """A veth between two hosts."""
    left.ip("link", "add", left_dev, "type", "veth", "peer", "name", right_dev, "netns", right.name)
    left.ip("link", "set", left_dev, "up")
    right.ip("link", "set", right_dev, "up")
