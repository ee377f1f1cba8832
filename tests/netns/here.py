#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Clients and real servers on the director itself: the same steps for BPVS and for kernel IPVS.

    cl --- eth0 dir eth1 --- rs
                dir eth2 --- dr

`v` is an address of the director, `w` is one that it only has a route for (and dr has it, too), and
`d` its address on the servers' link. What came of each step is a list of strings, so that engines can be compared;
tests/golden/here.json has what kernel IPVS did. In its guest:

    here.py --ipvsadm IPVSADM --library PATH               # prints that as JSON, a line a step
    here.py --ipvsadm OURS --bpvs BPVS --mode tc --only ^nat    # BPVS there
"""

import argparse
import itertools
import json
import os
import re
import select
import socket
import struct
import subprocess
import threading
import time

import netns

AF = {4: socket.AF_INET, 6: socket.AF_INET6}
ADDRESS = {
    4: {"v": "192.168.1.111", "cl": "192.168.1.10", "w": "10.9.9.9", "d": "192.168.229.133",
        "r1": "192.168.229.132", "e": "192.168.230.133", "r2": "192.168.230.134",
        "lo": "127.0.0.1"},
    6: {"v": "fd00:1::111", "cl": "fd00:1::10", "w": "fd00:9::9", "d": "fd00:229::133",
        "r1": "fd00:229::132", "e": "fd00:230::133", "r2": "fd00:230::134", "lo": "::1"},
}
PROTO = {"tcp": "-t", "udp": "-u"}
SECONDS = 2  # until a client gives up; a SYN that was refused while it was being sent goes again after 1
# Of the clients, each once, and none that the host gives away: connections outlive their service,
# and by its port a client finds its own.
PORTS = range(10000, 30000)
BIG = 8 << 20
HOSTS = ("cl", "dir", "rs", "dr")


def at(family, name, port):
    addr = ADDRESS[family][name]
    return f"[{addr}]:{port}" if family == 6 else f"{addr}:{port}"


def named(family, addr):
    return next((n for n, a in ADDRESS[family].items() if a == addr), addr)


def ttl_of(ancillary):
    for _, kind, data in ancillary:
        if kind in (socket.IP_TTL, socket.IPV6_HOPLIMIT):
            return struct.unpack("i", data[:4])[0]
    return 0


def tell_ttl(sock, family):
    if family == 4:
        sock.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)


class Server(threading.Thread):
    """Tells each client who it is, and whom it sees: on all (family, address name, port)."""

    def __init__(self, host, where):
        super().__init__(daemon=True)
        self.host, self.open = host, {}
        self.ends, self.end = os.pipe()
        for family, name, port in where:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                sock = host.socket(AF[family], kind)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((ADDRESS[family][name], port))
                if kind == socket.SOCK_STREAM:
                    sock.listen(8)
                else:
                    tell_ttl(sock, family)
                self.open[sock] = (family, name, port, kind)
        self.start()

    def run(self):
        while True:
            for sock in select.select([*self.open, self.ends], [], [])[0]:
                if sock == self.ends:
                    return
                self.serve(sock, *self.open[sock])

    def serve(self, sock, family, name, port, kind):
        if kind == "talk":
            del self.open[sock]
            threading.Thread(target=self.talk, args=(sock,), daemon=True).start()
            return
        if kind == socket.SOCK_STREAM:
            talk, peer = sock.accept()
            self.open[talk] = (family, name, port, "talk")
            talk.sendall(f"{name}:{port} to {named(family, peer[0])}\n".encode())
            return
        data, more, _, peer = sock.recvmsg(65536, 128)
        answer = f"{name}:{port} to {named(family, peer[0])} ttl {ttl_of(more)} len {len(data)}"
        sock.sendto(answer.encode(), peer)

    @staticmethod
    def talk(sock):
        """BIG bytes for who sends `get`; for others how many they sent, once they have ended."""
        with sock:
            data = sock.recv(65536)
            if data == b"get":
                sock.sendall(bytes(BIG))
                return
            size = len(data)
            while data:
                data = sock.recv(65536)
                size += len(data)
            if size:
                sock.sendall(str(size).encode())

    def stop(self):
        os.write(self.end, b"x")
        self.join(5)
        for sock in self.open:
            sock.close()
        os.close(self.end)
        os.close(self.ends)


class World:
    def __init__(self, prefix, ipvsadm, env=None, bpvs=None, mode=None, conns="16k"):
        self.ipvsadm_path, self.env, self.bpvs, self.mode = ipvsadm, env, bpvs, mode
        self.size = conns
        self.prefix, self.servers = prefix, []
        self.seconds, self.ports = SECONDS, itertools.cycle(PORTS)

    def up(self):
        for name in HOSTS:
            setattr(self, name, netns.Host(f"{self.prefix}-{name}"))
        edge = (self.cl, self.rs, self.dr)
        for number, host in enumerate(edge):
            netns.join(host, "eth0", self.dir, f"eth{number}")
        if self.mode == "xdp":
            off = ("tx", "off", "tso", "off", "gso", "off")
            for number, host in enumerate(edge):
                host.run("ethtool", "-K", "eth0", *off)
                self.dir.run("ethtool", "-K", f"eth{number}", "gro", "on")
        for host, dev, name in ((self.cl, "eth0", "cl"), (self.dir, "eth0", "v"),
                                (self.dir, "eth1", "d"), (self.rs, "eth0", "r1"),
                                (self.dir, "eth2", "e"), (self.dr, "eth0", "r2")):
            for family, bits in ((4, 24), (6, 64)):
                host.ip("addr", "add", f"{ADDRESS[family][name]}/{bits}", "dev", dev,
                        *(["nodad"] if family == 6 else []))
        for family in (4, 6):
            self.dir.ip("route", "add", "default", "via", ADDRESS[family]["cl"])
            for host, via in ((self.rs, "d"), (self.dr, "e"), (self.cl, "v")):
                host.ip("route", "add", "default", "via", ADDRESS[family][via])
            self.dr.ip("addr", "add", f"{ADDRESS[family]['w']}/{32 if family == 4 else 128}",
                       "dev", "lo", *(["nodad"] if family == 6 else []))
        self.dir.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for name in HOSTS:
            getattr(self, name).settle()
        if self.bpvs:
            self.dir.run(self.bpvs, "up", "--mode", self.mode, "--conns", self.size,
                         "--services", "256", "--dests", "1k")
        self.servers = [
            Server(self.rs, [(f, "r1", 80) for f in (4, 6)]),
            Server(self.dr, [(f, "w", 80) for f in (4, 6)]),
            Server(self.dir, [(f, n, p) for f in (4, 6)
                              for n, p in (("d", 8080), ("d", 80), ("v", 81), ("lo", 8080))]),
        ]

    def down(self):
        for server in self.servers:
            server.stop()
        if self.bpvs and hasattr(self, "dir"):
            self.dir.run(self.bpvs, "down", check=False)
        for name in HOSTS:
            if hasattr(self, name):
                getattr(self, name).delete()

    def ipvsadm(self, *argv, **kwargs):
        """Straight into the namespace: an emulated machine is slow at starting programs."""
        env = {**os.environ, **(self.env or {})}
        with self.dir.inside():
            return netns.run(self.ipvsadm_path, *argv, env=env, **kwargs).stdout

    # ---- one client ----

    def ask_tcp(self, host, family, name, port, source=None, then=None):
        with host.socket(AF[family], socket.SOCK_STREAM) as sock:
            sock.settimeout(self.seconds * netns.PATIENCE)
            try:
                sock.bind((ADDRESS[family][source] if source else "", next(self.ports)))
                sock.connect((ADDRESS[family][name], port))
                said = sock.recv(100).decode().strip()
            except OSError as e:
                return type(e).__name__, then and then(sock)
            return said, then and then(sock)

    def ask_udp(self, host, family, name, port, source=None, then=None, size=32):
        with host.socket(AF[family], socket.SOCK_DGRAM) as sock:
            sock.settimeout(self.seconds * netns.PATIENCE)
            tell_ttl(sock, family)
            try:
                sock.bind((ADDRESS[family][source] if source else "", next(self.ports)))
                sock.connect((ADDRESS[family][name], port))
                sock.send(b"x" * size)
                said, more, _, _ = sock.recvmsg(100, 128)
            except OSError as e:
                return type(e).__name__, then and then(sock)
            return f"{said.decode()} back ttl {ttl_of(more)}", then and then(sock)

    def ask(self, proto, *args, **kwargs):
        return (self.ask_tcp if proto == "tcp" else self.ask_udp)(*args, **kwargs)

    # ---- what the engine says ----

    def conns(self, family, sock):
        """The client's row of -Lnc, without what is by chance: expiry and its port."""
        rows = []
        for row in self.ipvsadm("-Lnc").splitlines()[2:]:
            proto, _, state, *ends = row.split()
            ends = [e.rsplit(":", 1) for e in ends]
            ends = [(named(family, a.strip("[]")), p) for a, p in ends]
            if ends[0][1] == str(sock.getsockname()[1]):
                rows.append(
                    f"{proto} {state} {ends[0][0]} {':'.join(ends[1])} {':'.join(ends[2])}")
        return rows

    def stats(self, proto, service):
        """Connections, packets and bytes; of TCP, whose packets come as they come, whether."""
        # no line with the version is before those of one service
        rows = self.ipvsadm("-Ln", *service.split(), "--stats", "--exact").splitlines()
        row = rows[2].split()[2:]
        return " ".join(row if proto == "udp" else
                        [row[0], *("some" if int(n) else "none" for n in row[1:])])

    def settled(self):
        """The kernel sums up every 2 s."""
        if not self.bpvs:
            time.sleep(2.1)


def steps():
    """name, family, protocol, client, service, destinations, options of the client."""
    for f in (4, 6):
        for proto in PROTO:
            for vip in "vw":
                yield f"nat {vip}", f, proto, "dir", vip, [("r1", 80, "-m")], {}
                yield f"dr {vip}", f, proto, "dir", vip, [("r2", 80, "-g")], {}
                yield f"nat {vip} here", f, proto, "dir", vip, [("d", 8080, "-m")], {}
                yield f"dr {vip} here", f, proto, "dir", vip, [("d", 80, "-g")], {}
                yield f"nobody {vip}", f, proto, "dir", vip, [], {}
                yield f"refused {vip}", f, proto, "dir", vip, [("r1", 7, "-m")], {}
                yield f"loopback {vip} away", f, proto, "dir", vip, [("r1", 80, "-m")], \
                    {"source": "lo"}
            yield "server here", f, proto, "cl", "v", [("d", 8080, "-m")], {}
            yield "server here, same port", f, proto, "cl", "v", [("d", 80, "-m")], {}
            yield "server here refuses", f, proto, "cl", "v", [("d", 7, "-m")], {}
            yield "served here", f, proto, "cl", "v", [("d", 81, "-g")], {"port": 81}
            yield "vip is server", f, proto, "cl", "v", [("v", 81, "-g")], {"port": 81}
            yield "vip is server, client here", f, proto, "dir", "v", [("v", 81, "-g")], \
                {"port": 81}
            yield "loopback here", f, proto, "dir", "lo", [("lo", 8080, "-m")], {}
            # services that all that comes to the client's own address could be to
            for port in (21, 0) if proto == "tcp" else (0,):
                beside = {"beside": port}
                yield f"nat v beside {port}", f, proto, "dir", "v", [("r1", 80, "-m")], beside
                yield f"nat v here beside {port}", f, proto, "dir", "v", [("d", 8080, "-m")], \
                    beside
                yield f"vip is server, client here, beside {port}", f, proto, "dir", "v", \
                    [("v", 81, "-g")], {"port": 81, **beside}
        yield "large", f, "udp", "dir", "v", [("r1", 80, "-m")], {"size": 3000}


def play_one(world, family, proto, client, vip, dests, options):
    options = dict(options)
    port, beside = options.pop("port", 80), options.pop("beside", None)
    service = f"{PROTO[proto]} {at(family, vip, port)}"
    lines = [f"-A {service} -s rr\n"]
    lines += [f"-a {service} -r {at(family, name, rport)} {flag}\n" for name, rport, flag in dests]
    if beside is not None:
        other = f"{PROTO[proto]} {at(family, vip, beside)}"
        lines += [f"-A {other} -s rr{' -p' * (not beside)}\n",
                  f"-a {other} -r {at(family, 'r2', beside)} -m\n"]
    world.ipvsadm("-R", input="".join(lines))
    said, during = world.ask(proto, getattr(world, client), family, vip, port,
                             then=lambda sock: world.conns(family, sock), **options)
    world.settled()
    result = [said, *during, world.stats(proto, service)]
    world.ipvsadm("-C")
    return result


def play(world, only=""):
    """key, result"""
    for name, family, proto, *rest in steps():
        if re.search(only, key := f"{name} {proto}{family}"):
            yield key, play_one(world, family, proto, *rest)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--ipvsadm", required=True)
    parser.add_argument("--library", default="")
    parser.add_argument("--bpvs")
    parser.add_argument("--mode", default="tc")
    parser.add_argument("--only", default="", help="steps that this expression is found in")
    args = parser.parse_args()
    if not args.bpvs:
        subprocess.run(["modprobe", "ip_vs"], check=False)
    env = {"LD_LIBRARY_PATH": args.library} if args.library else None
    world = World("here", args.ipvsadm, env, args.bpvs, args.mode)
    try:
        world.up()
        for key, result in play(world, args.only):
            print(json.dumps([key, result]), flush=True)
    finally:
        world.down()


if __name__ == "__main__":
    main()
