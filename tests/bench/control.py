#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Seconds and peak memory of the control side at scale: 1,000 services with 100 servers each.

ipvsadm's -R, -Ln, -S, an -e while packets come in, and -C; `bpvs apply` of the same; Debian's
keepalived from its start until all is in the tables, and a reload that changes one weight. With --vm
the original ipvsadm on kernel IPVS and ours on BPVS take turns in one virtual machine: what counts
there is the ratio. Results go to build/bench.json.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "vm")]

from common import BUILD  # noqa: E402
from vm import kernel_ipvsadm, unpacked  # noqa: E402

NS = f"bn-control-{os.getpid()}"
IPVSADM, BPVS = BUILD / "ipvsadm" / "ipvsadm", BUILD / "bpvs" / "bpvs"


def service(n):
    return f"10.{100 + n // 250}.{n % 250}.1:80"


def rules(services, servers):
    lines = []
    for s in range(services):
        lines.append(f"-A -t {service(s)} -s wlc")
        lines += [f"-a -t {service(s)} -r 10.2.{d // 250}.{d % 250 + 1}:80 -g -w 1"
                  for d in range(servers)]
    return "\n".join(lines) + "\n"


def config(services, servers):
    lines = ["services:"]
    for s in range(services):
        addr, port = service(s).split(":")
        lines.append(f"- {{protocol: tcp, address: {addr}, port: {port}, scheduler: wlc, "
                     "destinations: [")
        lines.append(",\n".join(
            f"    {{address: 10.2.{d // 250}.{d % 250 + 1}, port: 80, forwarding: route, weight: 1}}"
            for d in range(servers)) + "]}")
    return "\n".join(lines) + "\n"


def timed(argv, stdin=None, env=None):
    """Seconds, and the peak of its memory in KiB."""
    with tempfile.TemporaryFile() as sink:
        start = time.monotonic()
        proc = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=sink,
                                stderr=subprocess.PIPE, env=env)
        if stdin:
            proc.stdin.write(stdin)
        proc.stdin.close()
        err = proc.stderr.read()
        _, status, usage = os.wait4(proc.pid, 0)
        proc.returncode = os.waitstatus_to_exitcode(status)
    if proc.returncode:
        raise SystemExit(f"{argv}: exit {proc.returncode}: {err.decode()[:500]}")
    return time.monotonic() - start, usage.ru_maxrss


class Engine:
    """An ipvsadm in a namespace of its own."""

    def __init__(self, name, program, env=None):
        self.name, self.program = name, program
        self.env = dict(os.environ, **(env or {}))
        self.inside = ["ip", "netns", "exec", f"{NS}-{name}"]

    def ipvsadm(self, *argv, stdin=None):
        return timed([*self.inside, self.program, *argv], stdin, self.env)

    def up(self, services, servers):
        net = f"{NS}-{self.name}"
        for line in (f"ip netns add {net}", f"ip -n {net} link set lo up",
                     f"ip -n {net} link add c0 type veth peer name c1",
                     f"ip -n {net} link set c0 up", f"ip -n {net} link set c1 up",
                     f"ip -n {net} addr add 10.1.0.1/16 dev c0",
                     f"ip -n {net} addr add 10.2.255.254/16 dev c0"):
            subprocess.run(line.split(), check=True)
        if self.name == "bpvs":
            room = ["--services", str(2 * services), "--dests", str(2 * services * servers)]
            subprocess.run([*self.inside, BPVS, "up", "--mode", "tc", "--dev", "c0", *room],
                           check=True, stdout=subprocess.DEVNULL)

    def down(self):
        if self.name == "bpvs":
            subprocess.run([*self.inside, BPVS, "down"], check=False)
        subprocess.run(["ip", "netns", "del", f"{NS}-{self.name}"], check=False)


SENDER = """
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
mac = bytes.fromhex(sys.argv[2].replace(":", ""))
head = bytes.fromhex("4500002800004000400600000a0100020a6400010000005000000001000000005002200000000000")
def summed(b):
    t = sum(int.from_bytes(b[i:i + 2], "big") for i in range(0, 20, 2))
    t = (t & 0xffff) + (t >> 16)
    return (~((t & 0xffff) + (t >> 16)) & 0xffff).to_bytes(2, "big")
n, end = 0, time.monotonic() + 60  # whoever starts this ends it; if not, it ends itself
while time.monotonic() < end:
    p = bytearray(head)
    p[20:22] = (1024 + n % 60000).to_bytes(2, "big")
    p[10:12] = summed(p)
    s.send(mac + b"\\x02\\0\\0\\0\\0\\1\\x08\\0" + bytes(p))
    n += 1
    if n % 100 == 0:
        time.sleep(0.005)
"""


class Traffic:
    """SYNs to the first service, some thousand a second, until end()."""

    def __init__(self, engine):
        net = f"{NS}-{engine.name}"
        mac = json.loads(subprocess.run(["ip", "-n", net, "-j", "link", "show", "dev", "c0"],
                                        check=True, capture_output=True).stdout)[0]["address"]
        self.proc = subprocess.Popen([*engine.inside, "/usr/bin/python3", "-c", SENDER, "c1", mac])

    def end(self):
        self.proc.terminate()
        self.proc.wait()


PATIENCE = 900  # seconds for keepalived to have set up everything


def keepalived_program():
    return unpacked("keepalived") / "usr" / "sbin" / "keepalived"


def keepalived_config(services, servers, last_weight=1):
    """No checks: what is measured is the setting up, and what a reload finds changed."""
    lines = ["global_defs {\nscript_user root\nenable_script_security\n}"]
    for s in range(services):
        lines.append(f"virtual_server {service(s).replace(':', ' ')} {{\nlvs_sched wlc\n"
                     "lvs_method DR\nprotocol TCP")
        for d in range(servers):
            weight = last_weight if (s, d) == (services - 1, servers - 1) else 1
            lines.append(f"real_server 10.2.{d // 250}.{d % 250 + 1} 80 {{\nweight {weight}\n}}")
        lines.append("}")
    return "\n".join(lines) + "\n"


class Keepalived:
    """Driving an engine, with the last service as the sign of how far it is."""

    def __init__(self, engine, program, services, servers):
        self.engine, self.services, self.servers = engine, services, servers
        self.dir = tempfile.TemporaryDirectory()
        self.conf = pathlib.Path(self.dir.name, "keepalived.conf")
        words = [program, "-n", "-l", "-C", "-G", "-f", self.conf]
        words += ["-p", f"{self.dir.name}/main.pid", "-c", f"{self.dir.name}/checkers.pid"]
        shim = [BPVS, "run", "--"] if engine.name == "bpvs" else []
        self.words = [str(w) for w in [*engine.inside, *shim, *words]]
        self.process = None

    def last(self):
        """Lines of the last service's servers, of its last server's weight."""
        done = subprocess.run([*map(str, self.engine.inside), str(self.engine.program), "-Ln", "-t",
                               service(self.services - 1)], capture_output=True, text=True,
                              env=self.engine.env, check=False)
        rows = re.findall(r"-> (\S+) +Route +(\d+)", done.stdout)
        weight = dict(rows).get(f"10.2.{(self.servers - 1) // 250}.{(self.servers - 1) % 250 + 1}:80")
        return len(rows), weight

    def wait(self, state):
        start = time.monotonic()
        while self.last() != state:
            if self.process.poll() is not None or time.monotonic() - start > PATIENCE:
                raise SystemExit(f"keepalived: {self.last()} is not {state}")
            time.sleep(0.05)
        return time.monotonic() - start, self.peak()

    def peak(self):
        """Of the child that holds the configuration and drives the tables, in KiB."""
        pid = int(pathlib.Path(self.dir.name, "checkers.pid").read_text())
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1])

    def measure(self):
        self.conf.write_text(keepalived_config(self.services, self.servers))
        with open(f"{self.dir.name}/log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            yield "keepalived-start", self.wait((self.servers, "1"))
            self.conf.write_text(keepalived_config(self.services, self.servers, 7))
            self.process.send_signal(signal.SIGHUP)
            yield "keepalived-reload", self.wait((self.servers, "7"))
        finally:
            self.process.terminate()
            self.process.wait(PATIENCE)


def measure(engine, services, servers, repeats, keepalived):
    """{what: (median seconds, peak KiB)}"""
    text = rules(services, servers).encode()
    found = {}

    def note(what, pair):
        found.setdefault(what, []).append(pair)

    for _ in range(repeats):
        engine.ipvsadm("-C")
        note("restore", engine.ipvsadm("-R", stdin=text))
        note("list", engine.ipvsadm("-L", "-n"))
        note("save", engine.ipvsadm("-S", "-n"))
        traffic = Traffic(engine)
        for n in range(5):
            note("edit-one", engine.ipvsadm("-e", "-t", service(services // 2), "-r", "10.2.0.1:80",
                                            "-g", "-w", str(n + 2)))
        traffic.end()
        if engine.name == "bpvs":
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(config(services, servers))
                file.flush()
                note("apply-one-changed", timed([*engine.inside, BPVS, "apply", "-f", file.name]))
        note("clear", engine.ipvsadm("-C"))
    for what, pair in Keepalived(engine, keepalived, services, servers).measure():
        note(what, pair)
    return {what: (statistics.median(s for s, _ in pairs), max(m for _, m in pairs))
            for what, pairs in found.items()}


def report(prefix, found):
    results = []
    for what, (seconds, peak) in found.items():
        print(f"  {prefix}/{what:<20} {seconds:9.3f} s   {peak / 1024:7.1f} MiB")
        results.append({"name": f"{prefix}/{what}", "value": round(seconds, 4), "unit": "s"})
        results.append({"name": f"{prefix}/{what}/peak", "value": peak, "unit": "KiB"})
    return results


def keep(results):
    """Our names replace those of an earlier run; all others stay."""
    path = BUILD / "bench.json"
    old = json.loads(path.read_text()) if path.exists() else []
    new = {r["name"] for r in results}
    path.write_text(json.dumps([r for r in old if r["name"] not in new] + results, indent=1) + "\n")


def engines(guest, original, libs):
    made = [Engine("bpvs", IPVSADM)]
    if guest:
        subprocess.run(["modprobe", "ip_vs"], check=True)
        subprocess.run(["modprobe", "ip_vs_wlc"], check=True)
        made.insert(0, Engine("kernel", original, {"LD_LIBRARY_PATH": libs}))
    return made


def run(args):
    results, figures = [], {}
    place = "vm.control" if args.guest else "control"
    print(f"\ncontrol side, {args.services} services with {args.servers} servers each")
    for engine in engines(args.guest, args.original, args.libs):
        engine.up(args.services, args.servers)
        try:
            figures[engine.name] = measure(engine, args.services, args.servers, args.repeats,
                                           args.keepalived or keepalived_program())
        finally:
            engine.down()
        results += report(f"{place}/{engine.name}", figures[engine.name])
    if args.guest:
        for what, (seconds, _) in figures["kernel"].items():
            ratio = figures["bpvs"][what][0] / seconds
            print(f"  {place}/ratio/{what:<20} {ratio:9.2f}")
            results.append({"name": f"{place}/ratio/{what}", "value": round(ratio, 3), "unit": "x"})
    return results


def in_vm(args):
    original, libs = kernel_ipvsadm()
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [str(w) for w in (
                HERE.parent / "vm" / "run", "--timeout", 3000, "--out", out, "--", HERE / "control.py",
                "--guest", "--original", original, "--libs", libs, "--keepalived",
                keepalived_program(), "--services", args.services,
                "--servers", args.servers, "--repeats", args.repeats)], check=False)
        path = pathlib.Path(out, "results.json")
        if not path.exists():
            raise SystemExit(done.returncode or 1)
        keep(json.loads(path.read_text()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--servers", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--vm", action="store_true", help="beside kernel IPVS, in a guest")
    parser.add_argument("--guest", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--original", help=argparse.SUPPRESS)
    parser.add_argument("--libs", help=argparse.SUPPRESS)
    parser.add_argument("--keepalived", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.vm:
        in_vm(args)
        return
    results = run(args)
    if args.guest:
        pathlib.Path(os.environ["BPVS_VM_OUT"], "results.json").write_text(json.dumps(results))
    else:
        keep(results)


if __name__ == "__main__":
    main()
