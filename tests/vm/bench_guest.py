#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Instructions per packet of kernel IPVS and of BPVS; tests/vm/bench runs this in the icount guest.

One veth pair: frames are injected at `gen0` (namespace gen) and met at `lb0` (namespace lb) by what
is measured; what that forwards goes out of `lb0` again and is counted and dropped at `gen0`. Every
figure is net of the generator: the same frames dropped at `lb0` by the shortest XDP program.
"""

import argparse
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import time

A_MAC, B_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
B_ADDR = "10.9.0.1"
VIP = "10.9.0.100"
REAL = ["10.9.1.1", "10.9.1.2", "10.9.1.3", "10.9.1.4"]
REAL_MAC = [f"02:00:00:00:01:{n:02x}" for n in range(1, 5)]
GATEWAY = "10.9.0.254"
CLIENT = "10.1.0.1"
PORT = 80
FLOWS = 1000
ROUNDS = 8  # times a repeat goes through the established flows
METHODS = {"dr": "-g", "nat_in": "-m", "nat_out": "-m", "tun": "-i"}


class BenchError(Exception):
    pass


def sh(*args, ns=None, env=None):
    """Run a command, in a namespace if told, and return its output; a failure ends it all."""
    args = [str(a) for a in args]
    if ns:
        args = ["ip", "netns", "exec", ns, *args]
    done = subprocess.run(args, capture_output=True, text=True, env=env, timeout=300, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Lab:
    """The two namespaces; fresh ones for each case, so that no case finds another's connections."""

    def __init__(self, tools):
        self.tools = tools

    def __enter__(self):
        self.remove()
        for ns in ("gen", "lb"):
            sh("ip", "netns", "add", ns)
        sh("ip", "-n", "gen", "link", "add", "name", "gen0", "address", A_MAC, "type", "veth",
           "peer", "name", "lb0", "address", B_MAC, "netns", "lb")
        sh("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", ns="gen")
        sh("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv4.ip_forward=1",
           "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.lb0.rp_filter=0",
           "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.lb0.send_redirects=0", ns="lb")
        for ns, dev in (("gen", "gen0"), ("lb", "lb0"), ("lb", "lo")):
            sh("ip", "-n", ns, "link", "set", dev, "up")
        sh("ip", "-n", "lb", "addr", "add", f"{B_ADDR}/16", "dev", "lb0")
        sh("ip", "-n", "lb", "addr", "add", f"{VIP}/32", "dev", "lb0")
        sh("ip", "-n", "lb", "route", "add", "default", "via", GATEWAY)
        for addr, mac in zip([GATEWAY, *REAL], [A_MAC, *REAL_MAC]):
            sh("ip", "-n", "lb", "neigh", "add", addr, "lladdr", mac, "nud", "permanent",
               "dev", "lb0")
        return self

    def __exit__(self, *_):
        self.remove()

    @staticmethod
    def remove():
        for ns in ("gen", "lb"):
            subprocess.run(["ip", "netns", "del", ns], capture_output=True, check=False)

    def attach(self, program):
        """Put one of inject.bpf.c's programs on lb0."""
        sh(self.tools / "inject", "--dev", "lb0", "--attach", program, ns="lb")

    def to_stack(self):
        """Have frames go up the stack. XDP on veth brings GRO; it could merge none of these frames,
        and its search would only be charged to the stack."""
        self.attach("pass")
        sh("ethtool", "-K", "lb0", "gro", "off", ns="lb")

    @staticmethod
    def arrived():
        link = json.loads(sh("ip", "-n", "lb", "-s", "-j", "link", "show", "lb0"))
        return link[0]["stats64"]["rx"]["packets"]

    def inject(self, *options, server=VIP, count=FLOWS, repeats=1):
        before = self.arrived()
        out = sh(self.tools / "inject", "--dev", "gen0", "--src", A_MAC, "--dst", B_MAC, "--client",
                 CLIENT, "--server", server, "--port", PORT, "--count", count, "--repeats", repeats,
                 *options, ns="gen")
        return dict(json.loads(out), arrived=self.arrived() - before)


class Ipvs:
    """Kernel IPVS. `bpvs up` has no counterpart: frames get to it by XDP_PASS."""

    name = "ipvs"

    def __init__(self, ipvsadm, libs):
        self.env = dict(os.environ, LD_LIBRARY_PATH=libs)
        self.ipvsadm = ipvsadm

    def up(self, lab):
        lab.to_stack()

    def down(self):
        pass

    def adm(self, *args):
        return sh(self.ipvsadm, *args, ns="lb", env=self.env)


class Bpvs(Ipvs):
    """Ours, by its own tools with the same words."""

    name = "bpvs"

    def __init__(self, build):
        self.env = None
        self.ipvsadm = build / "ipvsadm" / "ipvsadm"
        self.bpvs = build / "bpvs" / "bpvs"

    def up(self, lab):
        sh(self.bpvs, "up", "--mode", "xdp", "--dev", "lb0", ns="lb")

    def down(self):
        sh(self.bpvs, "down", ns="lb")


def check_sum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF


def check_frame(frame, method):
    """The forwarded frame must be what the method promises, or we would count something else."""
    dst_mac = ":".join(f"{b:02x}" for b in frame[:6])
    ip = frame[14:]
    if method == "tun":
        if ip[9] != 4 or ip[16:20] not in map(packed, REAL):
            raise BenchError(f"not an IPIP frame to a real server: {frame.hex()}")
        if not check_sum(ip[:20]):
            raise BenchError(f"wrong outer checksum: {frame.hex()}")
        ip = ip[20:]
    src, dst = ip[12:16], ip[16:20]
    right = {
        "dr": dst == packed(VIP) and dst_mac in REAL_MAC,
        "tun": dst == packed(VIP) and dst_mac in REAL_MAC,
        "nat_in": dst in map(packed, REAL) and dst_mac in REAL_MAC,
        "nat_out": src == packed(VIP) and dst_mac == A_MAC,
        "forward": dst in map(packed, REAL) and dst_mac in REAL_MAC,
    }
    if not right[method]:
        raise BenchError(f"not what {method} forwards: {frame.hex()}")
    l4 = ip[20 : struct.unpack("!H", ip[2:4])[0]]
    if not check_sum(ip[:20]):
        raise BenchError(f"wrong IP checksum: {frame.hex()}")
    if not check_sum(ip[12:20] + struct.pack("!HH", ip[9], len(l4)) + l4):
        raise BenchError(f"wrong TCP or UDP checksum: {frame.hex()}")


def packed(addr):
    return bytes(int(n) for n in addr.split("."))


def gather(result, expect, method=None):
    """The median of a run, once every frame has met the fate expected of it."""
    if result["arrived"] != result["sent"]:
        raise BenchError(f"{result['sent']} sent, {result['arrived']} arrived")
    if result["sunk"] != (result["sent"] if expect == "forwarded" else 0):
        raise BenchError(f"{result['sent']} sent, {result['sunk']} came back, not {expect}")
    if method:
        check_frame(bytes.fromhex(result["frame"]), method)
    return statistics.median(result["insns"]), len(result["insns"])


class Bench:
    def __init__(self, tools, repeats):
        self.tools = tools
        self.repeats = repeats
        self.base = {}
        self.results = []

    def add(self, name, value, n, unit="insn"):
        self.results.append({"name": name, "value": value, "unit": unit, "n": n})
        print(f"{name:36} {value:8} {unit}", flush=True)

    def baseline(self):
        """The generator, the least XDP and skb programs, and forwarding by the stack."""
        frames = {"established": [], "new_tcp": ["--syn"], "new_udp": ["--udp"]}
        for kind, options in frames.items():
            with Lab(self.tools) as lab:
                lab.attach("drop")
                value, n = gather(self.measure(lab, kind, options), "dropped")
            self.base[kind] = value
            self.add(f"vm.base.generator.{kind}", value, n)
        for name, program, server, expect in (
            ("xdp_tx", "reflect", VIP, "forwarded"),
            ("tc_drop", "tc_drop", VIP, "dropped"),
            ("tc_redirect", "tc_reflect", VIP, "forwarded"),
            ("ip_forward", None, REAL[0], "forwarded"),
        ):
            with Lab(self.tools) as lab:
                if name != "xdp_tx":
                    lab.to_stack()
                if program:
                    lab.attach(program)
                result = self.measure(lab, "established", [], server=server)
                method = "forward" if name == "ip_forward" else None
                self.net(f"vm.base.{name}", "established", gather(result, expect, method))

    def net(self, name, kind, measured):
        value, n = measured
        self.add(name, value - self.base[kind], n)

    def measure(self, lab, kind, options, server=VIP):
        if kind == "established":
            options = [*options, "--flows", FLOWS]
            lab.inject(*options, server=server)
            return lab.inject(*options, server=server, count=FLOWS * ROUNDS, repeats=self.repeats)
        lab.inject(*options, "--flows", 0, server=server)
        return lab.inject(*options, "--flows", 0, "--first", FLOWS, server=server,
                          repeats=self.repeats)

    def engine(self, engine):
        for method in METHODS:
            self.established(engine, method)
        for method in ("dr", "nat_in", "tun"):
            for kind, options in (("new_tcp", ["--syn"]), ("new_udp", ["--udp"])):
                self.new(engine, method, kind, options)

    def serve(self, engine, lab, method, proto="-t"):
        engine.up(lab)
        engine.adm("-A", proto, f"{VIP}:{PORT}", "-s", "rr")
        # A reply names its real server, and the generator knows only one.
        for addr in REAL[:1] if method == "nat_out" else REAL:
            engine.adm("-a", proto, f"{VIP}:{PORT}", "-r", f"{addr}:{PORT}", METHODS[method])

    def established(self, engine, method):
        with Lab(self.tools) as lab:
            self.serve(engine, lab, method)
            forward = "nat_in" if method == "nat_out" else method
            gather(lab.inject("--syn", "--flows", FLOWS), "forwarded", forward)
            if method == "nat_out":
                reply = lab.inject("--syn", "--ack", "--reply", "--flows", FLOWS, server=REAL[0])
                gather(reply, "forwarded", method)
            gather(lab.inject("--flows", FLOWS), "forwarded", forward)
            listed = engine.adm("-L", "-n", "-c").count("ESTABLISHED")
            if listed != FLOWS:
                raise BenchError(f"{engine.name} {method}: {listed} of {FLOWS} are ESTABLISHED")
            if method == "nat_out":
                result = self.measure(lab, "established", ["--reply"], server=REAL[0])
            else:
                result = self.measure(lab, "established", [])
            name = f"vm.{engine.name}.{method}.established"
            self.net(name, "established", gather(result, "forwarded", method))
            engine.down()

    def new(self, engine, method, kind, options):
        with Lab(self.tools) as lab:
            self.serve(engine, lab, method, "-u" if kind == "new_udp" else "-t")
            result = self.measure(lab, kind, options)
            value = gather(result, "forwarded", method)
            time.sleep(3)  # the kernel adds its statistics up every two seconds
            made = sum(int(f.split()[2]) for f in engine.adm("-L", "-n", "--stats", "--exact")
                       .splitlines() if f.startswith(("TCP", "UDP")))
            if made != result["sent"] + FLOWS:
                raise BenchError(f"{engine.name} {method} {kind}: {made} connections were made")
            self.net(f"vm.{engine.name}.{method}.{kind}", kind, value)
            engine.down()

    def ratios(self):
        value = {r["name"]: r for r in self.results}
        for name, ours in list(value.items()):
            theirs = value.get(name.replace("vm.bpvs.", "vm.ipvs.", 1))
            if theirs and theirs is not ours:
                ratio = round(ours["value"] / theirs["value"], 4)
                self.add(name.replace("bpvs", "ratio", 1), ratio, ours["n"], "ratio")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--ipvsadm", required=True)
    parser.add_argument("--libs", required=True)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    args = parser.parse_args()

    bench = Bench(args.tools, args.repeats)
    bpvs = Bpvs(args.build)
    try:
        bench.baseline()
        bench.engine(Ipvs(args.ipvsadm, args.libs))
        if bpvs.ipvsadm.exists():
            bench.engine(bpvs)
            bench.ratios()
        else:
            print(f"SKIPPED: BPVS is not measured, for there is no {bpvs.ipvsadm}", file=sys.stderr)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        Lab.remove()
        args.output.write_text(json.dumps(bench.results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
