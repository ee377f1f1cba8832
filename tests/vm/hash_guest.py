#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""
dh, sh and mh beside kernel IPVS, in the guest: the same random services, the same changes, the same
clients to both, and each client has to be given the same real server, or none.

Nobody answers: a connection is there when its first packet has been scheduled, and the engines'
lists of connections (ipvsadm -Lnc) say which way it went.

    hash_guest.py BUILD IPVSADM LIBRARY_PATH SEED SERVICES
"""

import ipaddress
import os
import random
import socket
import struct
import subprocess
import sys
import time

PHASES = 3
CLIENTS = 30  # a service and phase


def run(*command, stdin="", env=None):
    done = subprocess.run(
        command, input=stdin, text=True, capture_output=True, env={**os.environ, **(env or {})}
    )
    assert done.returncode == 0 and not done.stderr, (command, done.stdout, done.stderr)
    return done.stdout


class Engine:
    """A director of its own: c0 towards everybody; frames are put in at the other end, `wire`."""

    def __init__(self, name, ipvsadm, env=None):
        self.ns, self.wire, self.ipvsadm, self.env = f"hash-{name}", f"wire-{name}", ipvsadm, env
        run("ip", "netns", "add", self.ns)
        run("ip", "link", "add", self.wire, "type", "veth", "peer", "name", "c0", "netns", self.ns)
        run("ip", "link", "set", self.wire, "up")
        self.inside("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
                    "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.c0.rp_filter=0")  # fmt: skip
        for command in (
            "link set lo up", "link set c0 up",
            "addr add 10.0.1.254/24 dev c0", "addr add 2001:db8:1::fe/64 dev c0 nodad",
            "neigh add 10.0.1.1 lladdr 02:00:00:00:00:01 dev c0",
            "neigh add 2001:db8:1::1 lladdr 02:00:00:00:00:01 dev c0",
            "route add default via 10.0.1.1", "-6 route add default via 2001:db8:1::1",
            "route add local 10.99.0.0/16 dev lo", "-6 route add local 2001:db8:99::/64 dev lo",
        ):  # fmt: skip
            self.inside("ip", *command.split())
        self.mac = self.inside("cat", "/sys/class/net/c0/address").strip().replace(":", "")
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind((self.wire, 0))

    def inside(self, *command, stdin=""):
        return run("ip", "netns", "exec", self.ns, *command, stdin=stdin, env=self.env)

    def rules(self, lines):
        self.inside(self.ipvsadm, "-R", stdin="".join(line + "\n" for line in lines))

    def send(self, packet):
        ethertype = "0800" if packet[0] >> 4 == 4 else "86dd"
        self.socket.send(bytes.fromhex(self.mac + "020000000001" + ethertype) + packet)

    def choices(self):
        """{(protocol, client, virtual): real server}"""
        rows = [r.split() for r in self.inside(self.ipvsadm, "-Lnc").splitlines()[2:]]
        return {(r[0], r[3], r[4]): r[5] for r in rows}


def settled():
    """Wait until no packet lies in a CPU's backlog (softnet_stat's twelfth column), which a busy
    one leaves to ksoftirqd."""
    end = time.monotonic() + 60
    while any(int(row.split()[11], 16) for row in open("/proc/net/softnet_stat", encoding="ascii")):
        assert time.monotonic() < end
        time.sleep(0.01)


def differing(engines, keys):
    """Both engines' choices, and the keys whose choices differ: still, when nothing changes any more."""
    settled()
    seen, both = None, [engine.choices() for engine in engines]
    while both != seen and any(both[0].get(k) != both[1].get(k) for k in keys):
        time.sleep(0.2)
        seen, both = both, [engine.choices() for engine in engines]
    return *both, [k for k in sorted(keys) if both[0].get(k) != both[1].get(k)]


# ---- packets ----


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(proto, src, sport, dst, dport, flags=2):
    number = 6 if proto == "TCP" else 17
    if proto == "TCP":
        l4 = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 0x50, flags, 1024, 0, 0)
    else:
        l4 = struct.pack("!HHHH", sport, dport, 8, 0)
    tail = struct.pack("!II", len(l4), number)
    sum_ = checksum(src.packed + dst.packed + tail + l4)
    at = 16 if proto == "TCP" else 6
    l4 = l4[:at] + struct.pack("!H", sum_) + l4[at + 2 :]
    if src.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(l4), number, 64) + src.packed + dst.packed + l4
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(l4), 1, 0x4000, 64, number, 0)
    sum_ = checksum(head + src.packed + dst.packed)
    return head[:10] + struct.pack("!H", sum_) + src.packed + dst.packed + l4


def endpoint(address, port):
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


# ---- services ----


class Service:
    def __init__(self, rng, number):
        self.rng = rng
        self.version = rng.choice((4, 4, 6))
        vip = f"10.99.{number >> 8}.{number & 255}" if self.version == 4 else f"2001:db8:99::{number:x}"
        self.vip = ipaddress.ip_address(vip)
        self.proto, self.port = rng.choice(("TCP", "UDP")), rng.randint(1, 65000)
        self.name = ("-t " if self.proto == "TCP" else "-u ") + endpoint(self.vip, self.port)
        self.most = rng.choice((1, 3, 10, 70, 1000, 65535))
        self.dests = []

    def kind(self):
        sched = self.rng.choice(("dh", "sh", "sh", "mh", "mh"))
        flags = [f"{sched}-{f}" for f in ("fallback", "port") if sched != "dh" and self.rng.random() < 0.5]
        return f"-s {sched}" + (f" -b {','.join(flags)}" if flags else "")

    def weight(self):
        return 0 if self.rng.random() < 0.2 else self.rng.randint(1, self.most)

    def dest_options(self, how):
        upper = f" -x {self.rng.randint(1, 9)}" if self.rng.random() < 0.15 else ""
        return f"{how} -w {self.weight()}{upper}"

    def add(self):
        version = self.version if self.rng.random() < 0.9 else 10 - self.version
        how = "-i" if version != self.version else self.rng.choice(("-m", "-g", "-i"))
        host = self.rng.randint(1, 60000)
        real = f"10.2.{host >> 8}.{host & 255}" if version == 4 else f"2001:db8:2::{host:x}:{host:x}"
        # Without NAT the port is the service's, whatever ipvsadm is told.
        own = how == "-m" and self.rng.random() < 0.5
        port = self.rng.randint(1, 65000) if own else self.port
        dest = (endpoint(ipaddress.ip_address(real), port), how)
        if dest[0] in (d[0] for d in self.dests):
            return []
        self.dests.append(dest)
        return [f"-a {self.name} -r {dest[0]} {self.dest_options(how)}"]

    def begin(self):
        lines = [f"-A {self.name} {self.kind()}"]
        for _ in range(self.rng.choice((0, 1, 2, 3, 5, 8, 30))):
            lines += self.add()
        return lines

    def change(self):
        lines = []
        for _ in range(self.rng.randint(0, 5)):
            what = self.rng.randint(0, 9)
            dest = self.rng.choice(self.dests) if self.dests else None
            if what == 0:
                lines.append(f"-E {self.name} {self.kind()}")
            elif what < 4 or not dest:
                lines += self.add()
            elif what < 6:
                self.dests.remove(dest)
                lines.append(f"-d {self.name} -r {dest[0]}")
            else:
                lines.append(f"-e {self.name} -r {dest[0]} {self.dest_options(dest[1])}")
        return lines

    def client(self):
        if self.version == 4:
            return ipaddress.ip_address(self.rng.randint(11 << 24, (100 << 24) - 1))
        return ipaddress.ip_address((0x20010DB8FFFF << 80) + self.rng.getrandbits(80))


def main(build, ipvsadm, libraries, seed, number):
    start = time.monotonic()
    rng = random.Random(seed)
    run("modprobe", "ip_vs")
    run("sysctl", "-qw", "net.core.netdev_max_backlog=100000")
    os.sched_setaffinity(0, {0})  # frames sent by one CPU arrive in their order
    kernel = Engine("kernel", ipvsadm, {"LD_LIBRARY_PATH": libraries})
    ours = Engine("ours", f"{build}/ipvsadm/ipvsadm")
    ours.inside(f"{build}/bpvs/bpvs", "up", "--mode", "tc", "--conns", "256k")
    engines = (kernel, ours)
    for engine in engines:
        engine.inside(engine.ipvsadm, "--set", "3000", "0", "3000")
    services = [Service(rng, n + 1) for n in range(int(number))]
    flows = {}  # (protocol, client, virtual) -> what was done to the service so far
    history = {s.name: [] for s in services}
    for phase in range(PHASES):
        lines = []
        for s in services:
            change = s.change() if phase else s.begin()
            history[s.name] += [f"phase {phase}", *change]
            lines += change
        for engine in engines:
            engine.rules(lines)
        sent = set()
        for s in services:
            for _ in range(CLIENTS):
                client, port = s.client(), rng.randint(1024, 65000)
                key = (s.proto, endpoint(client, port), endpoint(s.vip, s.port))
                if key in flows:
                    continue
                flows[key] = s.name
                sent.add(key)
                # SYN, then ACK: half-open connections would expire before they are listed.
                for flags in (2, 16) if s.proto == "TCP" else (0,):
                    frame = packet(s.proto, client, port, s.vip, s.port, flags)
                    for engine in engines:
                        engine.send(frame)
        want, got, wrong = differing(engines, sent)
        refused = sum(k not in want for k in sent)
        print(f"{time.monotonic() - start:.0f} s: phase {phase}, {len(lines)} commands, "
              f"{len(sent)} flows, {refused} refused, {len(wrong)} differ")  # fmt: skip
        for key in wrong[:5]:
            print(*key, "kernel:", want.get(key), "ours:", got.get(key))
            print(*history[flows[key]], sep="\n    ")
        if wrong:
            return 1
        assert 0 < refused < len(sent) // 2
    ours.inside(f"{build}/bpvs/bpvs", "down")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
