# SPDX-License-Identifier: GPL-2.0-only
"""Drive the loaded programs: a namespace to do it in, bpvs-run as co-process, packets by scapy."""

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess

from scapy.all import IP, SCTP, TCP, UDP, Ether, IPv6, Raw

# What the kernel makes of the programs' return values.
XDP_FATES = {0: "aborted", 1: "drop", 2: "pass", 3: "sent", 4: "sent"}
TC_FATES = {-1: "pass", 0: "pass", 3: "pass", 2: "drop", 4: "drop", 7: "sent"}

MAC_C0 = "02:00:00:00:01:fe"
MAC_S0 = "02:00:00:00:02:fe"
MAC_BPVS0 = "02:62:70:76:73:00"


def mac_client(n=1):
    return f"02:00:00:00:01:{n:02x}"


def mac_real(n=1):
    return f"02:00:00:00:02:{n:02x}"


def sh(*argv, check=True, **kwargs):
    done = subprocess.run(argv, text=True, capture_output=True, **kwargs)
    if check and done.returncode:
        raise RuntimeError(f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


# ---- addresses of the two families ----


@dataclasses.dataclass(frozen=True)
class Family:
    """One family's addresses in the test network, and how its header is written."""

    version: int
    client: str
    vip: str
    host_c: str
    host_s: str
    stranger: str
    real_net: str

    def real(self, n=1):
        return f"{self.real_net}{n}"

    def ip(self, src, dst, ttl=64, **kwargs):
        if self.version == 4:
            return IP(src=src, dst=dst, ttl=ttl, **{"id": 7, "flags": "DF", **kwargs})
        return IPv6(src=src, dst=dst, hlim=ttl, **kwargs)

    def endpoint(self, addr, port):
        return f"{addr}:{port}" if self.version == 4 else f"[{addr}]:{port}"


V4 = Family(4, "10.0.1.1", "10.0.1.100", "10.0.1.254", "10.0.2.254", "10.0.9.9", "10.0.2.")
V6 = Family(
    6,
    "2001:db8:1::1",
    "2001:db8:1::100",
    "2001:db8:1::fe",
    "2001:db8:2::fe",
    "2001:db8:9::9",
    "2001:db8:2::",
)
FAMILIES = [V4, V6]

# ---- the namespace ----


class Namespace:
    """
    A director: c0 towards clients, s0 towards real servers, and s9, which stands for a VLAN device.
    The other ends lie silent in a namespace of their own; neighbours are permanent, so that
    look-ups succeed and nothing but the tests' packets is counted.
    """

    serial = itertools.count()

    def __init__(self, build):
        self.build = build
        self.name = f"bn-prog-{os.getpid()}-{next(self.serial)}"
        self.peer = self.name + "-peer"
        for ns in (self.peer, self.name):
            sh("ip", "netns", "add", ns)
        self.exec("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1", ns=self.peer)
        self.exec("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.ip("link", "set", "lo", "up")
        self.side("c0", "10.0.1", "2001:db8:1", "02:00:00:00:01")
        self.side("s0", "10.0.2", "2001:db8:2", "02:00:00:00:02")
        self.side("s9", "10.0.99", "2001:db8:99", "02:00:00:00:02")
        self.ip("addr", "add", "10.0.1.100/32", "dev", "c0")
        self.ip("addr", "add", "2001:db8:1::100/128", "dev", "c0", "nodad")
        for clients in ("10.64.0.0/10", "10.128.0.0/10"):
            self.ip("route", "add", clients, "via", "10.0.1.1")
        # Real server 4 is behind a narrow path. A router minds the MTU of a locked route only.
        for real in ("10.0.2.4/32", "2001:db8:2::4/128"):
            self.ip("route", "add", real, "dev", "s0", "mtu", "lock", "1400")

    def side(self, dev, v4, v6, mac):
        self.ip("link", "add", dev, "address", f"{mac}:fe", "type", "veth",
                "peer", "name", dev, "netns", self.peer)  # fmt: skip
        sh("ip", "-n", self.peer, "link", "set", dev, "up")
        self.ip("link", "set", dev, "up")
        self.addresses(dev, v4, v6, mac)

    def addresses(self, dev, v4, v6, mac):
        self.ip("addr", "add", f"{v4}.254/24", "dev", dev)
        self.ip("addr", "add", f"{v6}::fe/64", "dev", dev, "nodad")
        for n in range(1, 5):
            for addr in (f"{v4}.{n}", f"{v6}::{n}"):
                self.ip("neigh", "add", addr, "lladdr", f"{mac}:{n:02x}", "nud", "permanent",
                        "dev", dev)  # fmt: skip

    def ip(self, *argv):
        return sh("ip", "-n", self.name, *argv)

    def exec(self, *argv, ns=None, **kwargs):
        return sh("ip", "netns", "exec", ns or self.name, *argv, **kwargs)

    def run_tool(self, *argv):
        return self.exec(self.build / "tests/prog/bpvs-run", *argv)

    def ipvsadm(self, line):
        """One ipvsadm command, or several lines of them, by the product's own tool."""
        for cmd in line.strip().splitlines():
            self.exec(self.build / "ipvsadm/ipvsadm", *cmd.split())

    def ifindex(self, dev):
        return json.loads(self.ip("-j", "link", "show", "dev", dev).stdout)[0]["ifindex"]

    def close(self):
        with contextlib.suppress(RuntimeError):
            self.run_tool("down")
        for ns in (self.name, self.peer):
            sh("ip", "netns", "del", ns, check=False)


# ---- the programs ----


class Result:
    """A program's verdict and the frame that it left."""

    def __init__(self, hook, verdict, raw):
        self.hook = hook
        self.verdict = verdict
        self.raw = raw
        self.fate = (XDP_FATES if hook == "xdp" else TC_FATES).get(verdict, f"unknown {verdict}")

    @property
    def pkt(self):
        return Ether(self.raw)

    def __repr__(self):
        return f"<{self.hook} {self.fate} ({self.verdict}) {self.raw.hex()} {self.pkt.summary()}>"


class RunError(Exception):
    """bpvs-run's `ERR ...`."""


class Prog:
    """The two programs of one namespace's instance."""

    def __init__(self, ns):
        self.ns = ns
        self.devs = {}
        self.proc = subprocess.Popen(
            ["ip", "netns", "exec", ns.name, ns.build / "tests/prog/bpvs-run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.events = json.loads(self.cmd("events"))

    def cmd(self, line):
        self.proc.stdin.write(line + "\n")
        self.proc.stdin.flush()
        answer = self.proc.stdout.readline().rstrip("\n")
        if not answer or answer.startswith("ERR"):
            raise RunError(answer or f"bpvs-run died on: {line[:80]}")
        return answer

    def close(self):
        self.proc.stdin.close()
        self.proc.wait(60)

    def ifindex(self, dev):
        if dev not in self.devs:
            self.devs[dev] = self.ns.ifindex(dev)
        return self.devs[dev]

    def pretend_vlan(self, dev, lower, tag):
        """Describe `dev` to the data path as a VLAN device: not every kernel can make one."""
        self.cmd(f"vlan {self.ifindex(dev)} {self.ifindex(lower)} {tag}")

    def run(self, hook, pkt, dev="c0", **options):
        extra = "".join(f" {k}={v}" for k, v in options.items())
        answer = self.cmd(f"{hook} {self.ifindex(dev)} {bytes(pkt).hex()}{extra}").split(" ")
        result = Result(hook, int(answer[0]), bytes.fromhex(answer[2]))
        assert len(result.raw) == int(answer[1])
        return result

    def xdp(self, pkt, dev="c0"):
        return self.run("xdp", pkt, dev)

    def tc(self, pkt, dev="c0", **options):
        return self.run("tc", pkt, dev, **options)

    def mark(self, pkt, mark):
        """As routing brings a packet that netfilter has marked. The device goes with the service."""
        self.devs.pop("bpvs0", None)
        return self.run("mark", pkt, "bpvs0", mark=mark)

    def deliver(self, hook, pkt, dev="c0"):
        """As the kernel does: what XDP leaves goes on to TC. Hook says where it starts."""
        result = self.run(hook, pkt, dev)
        if hook == "xdp" and result.fate == "pass":
            assert result.raw == bytes(pkt)
            result = self.tc(pkt, dev)
        return result

    def forward(self, hook, pkt, dev="c0"):
        """
        The hook's own work on a packet. XDP sends one packet in a while up to have its neighbour
        confirmed; then it is the next one that XDP shows its work on.
        """
        with self.counting() as grown:
            result = self.run(hook, pkt, dev)
        if hook == "xdp" and grown.get("up-neighbour") == 1:
            assert result.fate == "pass" and result.raw == bytes(pkt)
            self.tc(pkt, dev)
            result = self.run(hook, pkt, dev)
        return result

    # ---- what the packets did ----

    def counters(self):
        return json.loads(self.cmd("counters"))

    @contextlib.contextmanager
    def counting(self, events=False):
        """Yields a dict that holds, at the end, the packets' fates counted meanwhile."""
        grown = {}
        before = self.counters()
        yield grown
        for label, n in self.counters().items():
            if n != before[label] and (events or label not in self.events):
                grown[label] = n - before[label]

    def conns(self, client=None, port=None):
        found = json.loads(self.cmd("conns"))
        return [c for c in found if client is None or c["client"] == [client, port]]

    def services(self):
        return json.loads(self.cmd("services"))

    def service(self, addr, port, proto=6):
        for s in self.services():
            if s["virtual"] == [addr, port] and s["proto"] == proto:
                return s
        raise KeyError((addr, port, proto))

    def fuzz(self, seed, count, hook, dev):
        return json.loads(self.cmd(f"fuzz {seed} {count} {hook} {self.ifindex(dev)}"))

    def stats(self, what="total", number=0):
        return json.loads(self.cmd(f"stats {what} {number}"))


# ---- judging frames ----


def same(result, pkt):
    """Left to the stack, with not a byte changed."""
    assert result.fate == "pass", result
    assert result.raw == bytes(pkt), f"changed\n{bytes(pkt).hex()}\n{result.raw.hex()}"


def sent(result, expected, given):
    """
    Sent, exactly as `expected` says. In TC the kernel may be left to write the link header, when
    the program wants it to resolve the neighbour: then it is still that of `given`.
    """
    assert result.fate == "sent", result
    want = bytes(expected)
    if result.hook == "tc" and result.raw[:12] == bytes(given)[:12]:
        assert result.raw[14:] == want[14:], diff(result.raw, want)
    else:
        assert result.raw == want, diff(result.raw, want)


def diff(got, want):
    show = lambda raw: Ether(raw).show(dump=True)
    return f"\ngot  {got.hex()}\nwant {want.hex()}\n--- got\n{show(got)}--- want\n{show(want)}"


def checksums_hold(raw):
    """Every checksum outside quoted packets is what scapy computes."""
    pkt = Ether(raw)
    for layer in pkt.iterpayloads():
        if layer.name.endswith("in ICMP") or layer.name.endswith("in ICMPv6"):
            break
        for field in ("chksum", "cksum"):
            if field in layer.fields:
                delattr(layer, field)
    assert bytes(pkt) == raw, diff(raw, bytes(pkt))


# How a service of each protocol is named to ipvsadm, and the protocol's number.
SERVICE_OPTIONS = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}
NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}

# The chunk that is to SCTP what these flags are to TCP.
CHUNKS = {"S": 1, "SA": 2, "R": 6, "FA": 7, "A": 0, "PA": 0, "": 0}


def chunk(kind, body=b"", length=None):
    """A chunk of SCTP, padded to words; of a wrong length if one is given."""
    length = len(body) + 4 if length is None else length
    return bytes([kind, 0]) + length.to_bytes(2, "big") + body + bytes(-len(body) % 4)


def sctp(sport, dport, *chunks):
    return SCTP(sport=sport, dport=dport, tag=1) / Raw(b"".join(chunks))


def l4(proto, sport, dport, flags="S", payload=b"", seq=1000, ack=0):
    if proto == "sctp":
        return sctp(sport, dport, chunk(CHUNKS[flags], payload))
    if proto == "tcp":
        return TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, window=512) / payload
    return UDP(sport=sport, dport=dport) / payload
