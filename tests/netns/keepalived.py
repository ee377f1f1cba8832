# SPDX-License-Identifier: GPL-2.0-only
"""Debian's keepalived as it is, started by `bpvs run` in a network namespace; its configuration."""

import os
import pathlib
import re
import signal
import subprocess

from netns import wait_for

# One failed check more is wanted before a server goes, as is keepalived's own default. A server on
# a busy machine may be late with its answer.
RETRY = "connect_timeout 3\n retry 1\n delay_before_retry 1"
# The longest from a server's end to its removal, by the timers alone: the loop, then two checks
# that each wait for an answer, and what lies between them.
CHECK_TIME = 1 + 3 + 1 + 3


def block(head, *lines):
    """A block of the configuration, of lines and blocks."""
    return "\n".join([head + " {", *(x for x in lines if x), "}"])


def tcp_check():
    return block("TCP_CHECK", "connect_port 80", RETRY)


def http_get():
    url = block("url", "path /health", "status_code 200")
    return block("HTTP_GET", url, "connect_port 80", RETRY)


def misc_check(script, *argv):
    words = " ".join((str(script), *argv))
    return block("MISC_CHECK", f'misc_path "{words}"', "misc_timeout 4", "user root") + \
        "\nretry 1\ndelay_before_retry 1"


def real_server(addr, check, *lines, port=80, weight=1):
    return block(f"real_server {addr} {port}", f"weight {weight}", *lines, check)


def virtual_server(vip, method, servers, *lines, port=80, scheduler="rr"):
    """`servers`: blocks of real_server()."""
    return block(f"virtual_server {vip} {port}", "delay_loop 1", f"lvs_sched {scheduler}",
                 f"lvs_method {method}", "protocol TCP", *lines, *servers)


def global_defs(*lines):
    return block("global_defs", "script_user root", "enable_script_security", *lines)


class Keepalived:
    """Started, stopped and killed by the ids that it has; its log is a file."""

    def __init__(self, binary, bpvs, host, directory, name):
        self.binary, self.bpvs, self.host = binary, bpvs, host
        self.conf = directory / f"{name}.conf"
        self.log_file = directory / f"{name}.log"
        self.pid_files = [directory / f"{name}.{kind}.pid" for kind in ("main", "vrrp", "checkers")]
        self.process = None

    def start(self, *blocks, options=(), env=None):
        """With these blocks as configuration, or what was there before."""
        assert not self.running()
        if blocks:
            self.configure(*blocks)
        main, vrrp, checkers = self.pid_files
        words = ["ip", "netns", "exec", self.host.name, self.bpvs, "run", "--", self.binary,
                 "-n", "-l", "-D", "-G", "-f", self.conf, "-p", main, "-r", vrrp, "-c", checkers,
                 *options]
        with open(self.log_file, "a", encoding="utf-8") as log:
            # ip and bpvs become what they start, so the id is keepalived's
            self.process = subprocess.Popen(
                [str(w) for w in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env=dict(os.environ, **(env or {})))

    def configure(self, *blocks):
        self.conf.write_text("\n\n".join(blocks) + "\n")

    def children(self):
        pid = self.process.pid
        try:
            words = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            return []
        return [int(w) for w in words]

    def checker(self):
        """The id of the child that checks and drives the tables."""
        pid = int(self.pid_files[2].read_text())
        assert pid in self.children()
        return pid

    def log(self):
        return self.log_file.read_text(errors="replace")

    def logged(self, pattern, since=0):
        return re.search(pattern, self.log()[since:])

    def complaints(self, since=0):
        """What it says of IPVS and of itself that is no good news."""
        return [line for line in self.log()[since:].splitlines()
                if re.search("(?i)error|cannot|unable|BPVS:|respawn|exited", line)
                and "Error connecting" not in line]

    def wait_logged(self, pattern, seconds=20, since=0):
        return wait_for(f"{pattern!r} in {self.log_file}", seconds,
                        lambda: self.logged(pattern, since))

    def reload(self, *blocks):
        self.configure(*blocks)
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """As a service manager does."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self):
        """All of it at one instant: a parent would start children anew, and without a parent they
        would end in good order and clear the tables."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            for pid in self.children():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.kill()
        self.process.wait(20)
        # until init has noticed that the children are dead, the next one would take them for alive
        for file in self.pid_files:
            file.unlink(missing_ok=True)

    def running(self):
        return self.process is not None and self.process.poll() is None
