# SPDX-License-Identifier: GPL-2.0-only
"""A director in a network namespace of its own, whose two links end in this process.

The links are tap devices: what is written to one has been through the director's stack and engine
when the call returns, and what that sent lies ready to be read. So no event waits for packets, and
`nothing` is known at once.
"""

import ctypes
import fcntl
import itertools
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import time

import frames
import packets
import scenario

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x2, 0x1000
MAC = {"out": bytes.fromhex("0200000001fe"), "in": bytes.fromhex("0200000002fe")}
FORWARD = """\
net/ipv4/ip_forward 1
net/ipv4/icmp_ratemask 0
net/ipv4/conf/all/rp_filter 0
net/ipv4/conf/default/rp_filter 0
net/ipv4/conf/all/send_redirects 0
net/ipv4/conf/default/send_redirects 0
net/ipv6/icmp/ratelimit 0
net/ipv6/icmp/ratemask 200
net/ipv6/conf/all/forwarding 1
net/ipv6/conf/default/forwarding 1
net/ipv6/conf/default/accept_dad 0
net/ipv6/conf/default/router_solicitations 0
"""
LINKS = """\
link set lo up
link set out addrgenmode none
link set in addrgenmode none
link set out address 02:00:00:00:01:fe up
link set in address 02:00:00:00:02:fe up
addr add 10.0.1.254/24 dev out
addr add 10.2.255.254/16 dev in
addr add fd00:1::fe/64 dev out nodad
addr add fd00:2::fffe/64 dev in nodad
route add 10.9.0.0/16 via 10.0.1.99
route add 10.8.0.0/16 via 10.2.255.253
route add fd09::/16 via fd00:1::63
route add fd08::/16 via fd00:2::fffd
"""
MARK_RULES = """\
rule {verb} fwmark {mark} lookup 77
-6 rule {verb} fwmark {mark} lookup 77
"""
SUMMING = 2.15  # seconds in which the kernel has surely summed its statistics up
EVENT_TIMEOUT = 300
NAMES = re.compile(r"(?<![\w.])([cvrCVR])(\d+)(?:\.\.\1(\d+))?(?![\w.])")
EXPIRES = re.compile(r" \d\d+:\d\d ")
ALWAYS = {"c99", "C99", "o", "O"}
SMALL = "--conns 16k --services 256 --dests 4k".split()  # each call maps what there is room for
# What takes the sums as they are for a zero point, at once or when the service is made again.
ZEROES = re.compile(r" (-[ZDC]\b|--zero|--delete-service|--clear)")
SYSCTLS = "/proc/sys/net/ipv4/vs"
OF_THE_MACHINE = ("sync_qlen_max", "est_cpulist", "est_nice", "debug_level", "lblc_expiration",
                  "lblcr_expiration")


# Seconds until nothing has come: a busy CPU may have left it to ksoftirqd. The last look at what has
# differed twice can afford the longer ones.
SOON, LATE = 0.002, 0.05
# Where a connection is used again, the kernel ends the old one by a timer, in its next tick but one.
TICK = 0.01


class WorldError(Exception):
    """The harness failed, not an engine."""


def unshare_net():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise WorldError(f"unshare: {os.strerror(ctypes.get_errno())}")


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def spawn(argv, env=None, stdin=b"", program=None):
    """Run a program: exit status, output, errors. Much quicker here than subprocess."""
    files = [os.memfd_create(n) for n in ("in", "out", "err")]
    try:
        os.write(files[0], stdin)
        os.lseek(files[0], 0, os.SEEK_SET)
        actions = [(os.POSIX_SPAWN_DUP2, fd, n) for n, fd in enumerate(files)]
        path = program or shutil.which(argv[0])
        pid = os.posix_spawn(path, argv, env or os.environ, file_actions=actions)
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        out, err = (os.pread(fd, os.fstat(fd).st_size, 0).decode() for fd in files[1:])
        return status, out, err
    finally:
        for fd in files:
            os.close(fd)


def must(argv, stdin=b""):
    status, out, err = spawn(argv, stdin=stdin)
    if status:
        raise WorldError(f"{' '.join(argv)}: exit {status}: {err.strip()}")
    return out


def ip_batch(lines):
    """Lines of ip. -6 is for ip itself and not for a batch."""
    lines = lines.splitlines()
    six = [line.removeprefix("-6 ") for line in lines if line.startswith("-6 ")]
    rest = [line for line in lines if not line.startswith("-6 ")]
    for options, batch in (([], rest), (["-6"], six)):
        if batch:
            must(["ip", *options, "-batch", "-"], "\n".join([*batch, ""]).encode())


def host_mac(name):
    """A host's MAC; far clients are behind c99, w addresses' owners behind o."""
    kind = name[0].lower()
    if kind == "f":
        return host_mac("c99")
    if kind in "ow":
        return bytes.fromhex("02020000fffd")
    number = int(name[1:])
    return bytes([2, 1 if kind == "c" else 2, 0, 0, number >> 8, number & 255])


def mac_host(link, mac):
    kind = {"out": b"\2\1\0\0", "in": b"\2\2\0\0"}[link]
    if mac[:4] != kind:
        return mac.hex(":")
    number = int.from_bytes(mac[4:], "big")
    if link == "in" and number == 0xFFFD:
        return "o"
    return f"{'c' if link == 'out' else 'r'}{number}"


def named(text):
    """The hosts that a scenario names."""
    names = set()
    for kind, first, last in NAMES.findall(text):
        for number in range(int(first), int(last or first) + 1):
            if 1 <= number <= scenario.LIMIT[kind.lower()]:
                names.add(f"{kind}{number}")
    return names


class Arrived:
    """A frame that the director sent."""

    def __init__(self, link, raw):
        self.link = link
        self.mac = raw[:6]
        self.host = mac_host(link, raw[:6])
        self.seen = frames.read(raw[14:])

    def noise(self):
        seen = self.seen
        return (seen.proto == frames.ICMP6 and seen.data[:1] and
                seen.data[0] in frames.NEIGHBOURS) or seen.proto == 0  # MLD behind hop-by-hop

    def line(self, idents):
        return f"{self.link} {self.host}: {frames.describe(self.seen, idents)}"


class Flow:
    """What the ends of a flow remember of it."""

    def __init__(self):
        self.server = None  # the last frame that a server got
        self.to_client = None  # the last datagram that the client got
        self.seq = {packets.CLIENT: 1000, packets.SERVER: 5000}
        self.moved = 0  # what the client saw of the server's numbers was so much further


class World:
    """The director and its links. An engine's class says how it is set up and asked."""

    name = ""
    patient = False

    def __init__(self, tools):
        self.tools = tools
        self.fds = {}
        self.begin()

    def begin(self):
        """What a scenario starts with, world or not."""
        self.flows = {}
        self.marks = set()
        self.chains = set()  # an address of each family that iptables has rules for
        self.ident = 0x4000
        self.last_packet = 0.0
        self.start = time.monotonic()
        self.clock = []  # when each event ended
        self.zeroed = False

    def make(self, text):
        """A new namespace, which this process enters; the one before ends with its links."""
        for fd in self.fds.values():
            os.close(fd)
        unshare_net()
        for line in FORWARD.splitlines():
            path, value = line.split()
            with open(f"/proc/sys/{path}", "w", encoding="ascii") as knob:
                knob.write(value)
        self.fds = {link: tap(link) for link in ("out", "in")}
        self.known = set()
        ip_batch(LINKS + self.unknown(ALWAYS | named(text)))

    def unknown(self, names):
        """Commands of ip that make these hosts known to the director, where they are not."""
        lines = []
        for name in sorted(names - self.known):
            addr, kind = scenario.address(name), name[0].lower()
            if kind == "v":
                bits = "128 dev out nodad" if ":" in addr else "32 dev out"
                lines.append(f"addr add {addr}/{bits}\n")
            else:
                link = "out" if kind == "c" else "in"
                lines.append(f"neigh replace {addr} lladdr {host_mac(name).hex(':')} dev {link} "
                             "nud permanent\n")
        self.known |= names
        return "".join(lines)

    # Packets

    def drain(self):
        arrived = []
        for link, fd in self.fds.items():
            while True:
                try:
                    raw = os.read(fd, 70000)
                except BlockingIOError:
                    break
                if raw[12:14] in (b"\x08\x00", b"\x86\xdd"):
                    arrived.append(Arrived(link, raw))
        return [a for a in arrived if not a.noise()]

    def inject(self, link, mac, datagrams):
        """Send from a link's far end; what the director sent then."""
        arrived = []
        for datagram in datagrams:
            os.write(self.fds[link], frames.ether(MAC[link], mac, datagram))
            arrived += self.drain()
        if not arrived:
            time.sleep(LATE if self.patient else SOON)
            arrived = self.drain()
        self.last_packet = time.monotonic()
        return reassemble(arrived)

    # Events

    def event(self, event):
        """Run one event: a list of (kind, text), which compare.py knows how to compare."""
        signal.setitimer(signal.ITIMER_REAL, EVENT_TIMEOUT)
        try:
            if event.verb in scenario.PACKET_EVENTS:
                return self.packet_event(packets.plan(event))
            method = getattr(self, "do_" + event.verb.replace("-", "_"))
            return method(event)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.clock.append(time.monotonic() - self.start)

    def packet_event(self, plan):
        if plan.verb == "distribution":
            return [("shares", self.shares(plan))]
        lines = []
        for client, virtual in plan.flows:
            for step in plan.steps * plan.times:
                lines += self.step(plan, client, virtual, step)[0]
        return [("frames", "\n".join(lines))]

    def shares(self, plan):
        counts = {}
        for client, virtual in plan.flows:
            for step in plan.steps * plan.times:
                arrived = self.step(plan, client, virtual, step)[1]
                if step.by == packets.CLIENT and step is plan.steps[0]:
                    where = arrived[0].host if arrived else "nothing"
                    counts[where] = counts.get(where, 0) + 1
        return "\n".join(f"{host} {n}" for host, n in sorted(counts.items()))

    def step(self, plan, client, virtual, step):
        """One packet of a flow: the lines of the result, and what arrived."""
        flow = self.flows.setdefault((plan.proto, client, virtual), Flow())
        # Sent or not: a reply that only one engine's server sends may be a listed difference.
        self.ident = 0x4000 + (self.ident - 0x3FFF) % 0x7FFF
        if plan.icmp:
            title, sent = f"{step.by} reports", self.icmp_error(plan, flow, client)
        elif step.by == packets.CLIENT:
            title, sent = "client sends", self.from_client(plan, flow, client, virtual, step)
        else:
            title, sent = "server sends", self.from_server(plan, flow, client, virtual, step)
        port = lambda end: "" if end[1] is None else f":{end[1]}"
        title = (f"{scenario.host_name(client[0])}{port(client)} "
                 f"{scenario.host_name(virtual[0])}{port(virtual)} {title} {step.label}")
        if isinstance(sent, str):
            return [f"{title}: {sent}"], []
        link, mac, datagrams = sent
        known = flow.server is not None
        arrived = self.inject(link, mac, datagrams)
        if known and ("S" in step.flags or "INIT" in step.chunks):
            time.sleep(TICK)
        self.remember(plan, flow, link, arrived)
        idents = {frames.read(d).ident for d in datagrams}
        return [title, *(f"  {a.line(idents)}" for a in arrived or ())
                ] if arrived else [f"{title}: nothing"], arrived

    @staticmethod
    def remember(plan, flow, link, arrived):
        for a in arrived:
            if a.link == "in" and link == "out" and a.seen.last.proto == plan.proto:
                flow.server = a
            elif a.link == "out" and a.seen.proto == plan.proto:
                flow.to_client = a.seen.raw
                if plan.proto == frames.TCP and link == "in":  # not the director's own reset
                    flow.moved = frames.tcp_end(a.seen) - flow.seq[packets.SERVER]

    def packet(self, plan, flow, step, src, dst):
        """A packet of that step from one end to the other."""
        options, other = plan.options, packets.SERVER
        if step.by == other:
            other = packets.CLIENT
        ack = flow.seq[other] + (flow.moved if step.by == packets.CLIENT else 0)
        data = step.text or ((b"%04x" % self.ident) * (step.data // 4 + 1))[: step.data]
        packet = frames.Packet(
            src[0], dst[0], plan.proto, src[1] or 0, dst[1] or 0, step.flags, data,
            seq=flow.seq[step.by], ack=ack if "A" in step.flags else 0,
            chunks=step.chunks, icmp=(128, 0) if plan.proto == frames.ICMP6 else (8, 0),
            ident=self.ident, ttl=options.get("ttl", 64), tos=options.get("tos", 0),
            df=options.get("df", False), nosum=options.get("nosum", False),
            badsum=options.get("badsum", False))
        flow.seq[step.by] += len(data) + ("S" in step.flags) + ("F" in step.flags)
        return packet

    def from_client(self, plan, flow, client, virtual, step):
        packet = self.packet(plan, flow, step, client, virtual)
        mac = host_mac(scenario.host_name(client[0]))
        if plan.verb == "frag":
            return "out", mac, packet.fragments(packets.FRAGMENT)
        return "out", mac, [packet.datagram()]

    def from_server(self, plan, flow, client, virtual, step):
        source = virtual if plan.verb == "udp-from" else plan.source
        if source:
            packet = self.packet(plan, flow, step, source, client)
            return "in", host_mac(scenario.host_name(source[0])), [packet.datagram()]
        if flow.server is None:
            return "nobody"
        got = flow.server.seen.last
        through = got.dst != virtual[0] or flow.server.host == "o"
        source = (got.dst, got.ports[1]) if through else virtual
        packet = self.packet(plan, flow, step, source, client)
        if through:
            return "in", flow.server.mac, [packet.datagram()]
        flow.to_client = packet.datagram()
        return "straight"

    def icmp_error(self, plan, flow, client):
        """An ICMP error about the last packet that the one who reports it got."""
        if plan.by == packets.CLIENT:
            if flow.to_client is None:
                return "nobody"
            about, link, mac = flow.to_client, "out", host_mac(scenario.host_name(client[0]))
            source = client[0]
        else:
            if flow.server is None:
                return "nobody"
            about, link, mac = flow.server.seen.raw, "in", flow.server.mac
            source = flow.server.seen.dst
            if plan.by == "router":
                source, mac = scenario.address("O" if ":" in source else "o"), host_mac("o")
        read = frames.read(about)
        if link == "in" and read.inner is None and not self.is_nat(flow, plan, client):
            return "straight"
        kind, code = plan.icmp
        mtu = plan.options.get("mtu", 0)
        packet = frames.Packet(source, read.src, frames.ICMP6 if ":" in source else frames.ICMP,
                               icmp=(kind, code), rest=struct.pack("!I", mtu), data=about[:128],
                               ident=self.ident, ttl=plan.options.get("ttl", 64))
        return link, mac, [packet.datagram()]

    def is_nat(self, flow, plan, client):
        """Was the flow's address rewritten? A DR server's packets do not come back here."""
        got = flow.server.seen.last
        keys = [v for p, c, v in self.flows if p == plan.proto and c == client]
        return flow.server.host == "o" or got.dst not in [v[0] for v in keys]

    # The rest

    def do_wait(self, event):
        time.sleep(float(event.words[0]))
        return []

    def settle(self, rounds=1):
        """Wait until the kernel has summed its statistics up; BPVS waits for as long, and for the
        rates of new services needs two rounds."""
        time.sleep(max(0.0, self.last_packet + rounds * SUMMING - time.monotonic()))

    def do_ipvsadm(self, event):
        if ZEROES.search(event.text):
            self.settle()
            self.zeroed = True
        argv = ["ipvsadm", *shlex.split(scenario.expand(event.text))[1:]]
        return self.adm(argv, scenario.expand(event.stdin or ""))

    def do_ipvsadm_restore(self, event):
        return self.adm(["ipvsadm", "-R", *event.words], scenario.expand(event.stdin or ""))

    def adm(self, argv, stdin=""):
        program, env = self.ipvsadm()
        status, out, err = spawn(argv, env, stdin.encode(), program)
        result = [("text", f"exit {status}{chr(10) if err else ''}{err}")]
        kind = listing_kind(out)
        if kind == "conns":  # how old they may be, to compare their expiry by
            now = time.monotonic() - self.start
            out = f"#clock {' '.join(f'{now - t:.2f}' for t in self.clock)}\n{out}"
        return [*result, (kind, out)] if out else result

    def do_look(self, event, last=False):
        """`last`: nothing comes after this look, so only an engine that has to will wait."""
        result = []
        for what, args in scenario.looks(event):
            if args is None:
                result.append(("text", self.all_sysctls()))
                continue
            if what in ("stats", "rate") and not (last and self.sums_at_once):
                self.settle(2 if what == "rate" else 1)
            result += self.adm(["ipvsadm", *args])
        return result

    def do_sysctl(self, event):
        name, eq, value = event.text.split(None, 1)[1].partition("=")
        return [("text", self.sysctl(name.strip(), value.strip() if eq else None))]

    def do_mtu(self, event):
        link, value = event.words
        must(["ip", "link", "set", link, "mtu", value])
        return []

    def do_mark(self, event):
        if not self.tools["nft"]:
            return self.do_mark_iptables(event)
        mark, rules = mark_rules(event)
        table = "table inet oracle {\n\tchain pre {\n\t\ttype filter hook prerouting priority " \
                "mangle;\n\t}\n}\n"
        must(["nft", "-f", "-"], (table + "".join(
            f"add rule inet oracle pre {rule} meta mark set {mark}\n" for rule in rules)).encode())
        return self.deliver(mark)

    def do_mark_iptables(self, event):
        mark, proto, addrs, ports = mark_words(event)
        protos = ("tcp", "udp", "sctp") if proto == "any" and ports else (proto,)
        for addr, proto in itertools.product(addrs, protos):
            words = f"-t mangle -A PREROUTING -d {addr}"
            words += "" if proto == "any" else f" -p {proto}"
            words += f" --dport {ports.replace('-', ':')}" if ports else ""
            self.iptables(addr, f"{words} -j MARK --set-mark {mark}")
        return self.deliver(mark)

    def iptables(self, addr, words):
        name = "ip6tables" if ":" in addr else "iptables"
        env = dict(os.environ, **self.tools["iptables_env"])
        status, _, err = spawn([name, *words.split()], env, program=self.tools["iptables"])
        if status:
            raise WorldError(f"{name} {words}: {err}")
        self.chains.add(addr)

    def deliver(self, mark):
        """Marked packets are the director's own, whatever their address."""
        lines = "" if self.marks else "route replace local default dev lo table 77\n" \
                                      "-6 route replace local default dev lo table 77\n"
        if mark not in self.marks:
            ip_batch(lines + MARK_RULES.format(verb="add", mark=mark))
            self.marks.add(mark)
        return []

    def do_unmark(self, _event):
        if self.marks:
            spawn(["nft", "delete", "table", "inet", "oracle"])
            for addr in self.chains:
                self.iptables(addr, "-t mangle -F PREROUTING")
            self.chains.clear()
            ip_batch("".join(MARK_RULES.format(verb="del", mark=mark) for mark in self.marks))
            self.marks = set()
        return []


def mark_words(event):
    """A mark, the protocol, addresses and ports of what gets it."""
    mark, proto, where = event.words
    hosts, _, ports = where.partition(":")
    addrs = [scenario.address(name) for part in hosts.split(",") for name in scenario.hosts(part)]
    return int(mark, 0), proto, addrs, ports


def mark_rules(event):
    """A mark, and the matches of nftables for it."""
    mark, proto, addrs, ports = mark_words(event)
    rules = []
    for six, key in ((True, "ip6"), (False, "ip")):
        mine = [a for a in addrs if (":" in a) == six]
        if not mine:
            continue
        rule = f"{key} daddr {{ {', '.join(mine)} }}"
        if ports:
            rule += f" {'th' if proto == 'any' else proto} dport {ports}"
        elif proto != "any":
            rule += f" meta l4proto {proto}"
        rules.append(rule)
    return mark, rules


def listing_kind(out):
    if out.startswith("IPVS connection entries"):
        return "conns"
    if out.startswith("IP Virtual Server"):
        return "rate" if " CPS " in out[:200] else "services"
    return "save" if out.startswith("-A ") else "text"


def reassemble(arrived):
    """Join fragments as their receiver would; what stays incomplete is left as it is."""
    for level in ("outer", "inner"):
        parts = {}
        for a in arrived:
            seen = a.seen if level == "outer" else a.seen.last
            if seen.fragment is not None:
                key = (a.link, a.mac, seen.src, seen.dst, seen.proto, seen.ident)
                parts.setdefault(key, []).append((a, seen))
        for group in parts.values():
            joined = join([seen for _, seen in group])
            if joined is None:
                continue
            for a, _ in group[1:]:
                arrived.remove(a)
            first, was = group[0]
            if first.seen is was:
                first.seen = joined
            else:
                outer = first.seen
                while outer.inner is not was:
                    outer = outer.inner
                outer.inner = joined
    return arrived


def join(fragments):
    """The datagram of these fragments, or None if some are missing."""
    fragments = sorted(fragments, key=lambda f: f.fragment[0])
    data = b""
    for fragment in fragments:
        if fragment.fragment[0] != len(data):
            return None
        data += fragment.data
    if fragments[-1].fragment[1]:
        return None
    first = fragments[0]
    if ":" in first.src:
        head = first.raw[:4] + struct.pack("!HBB", len(data), first.proto, first.ttl)
        return frames.read(head + first.raw[8:40] + data)
    head = bytearray(first.raw[:20])
    head[2:4] = struct.pack("!H", 20 + len(data))
    head[6:8] = struct.pack("!H", frames.DONT_FRAGMENT if first.df else 0)
    head[10:12] = b"\0\0"
    head[10:12] = struct.pack("!H", frames.sum16(bytes(head)))
    return frames.read(bytes(head) + data)


class KernelWorld(World):
    """Kernel IPVS and its own ipvsadm. Each scenario has a namespace of its own: the kernel has no
    other way to forget connections and removed servers."""

    name = "kernel"
    sums_at_once = False

    def reset(self, text, _fresh):
        self.make(text)
        self.begin()

    def settle(self, rounds=1):
        """A busy machine's timers are late, so look whether the sums are up to date."""
        super().settle(rounds)
        for _ in range(0 if self.zeroed else 100):
            with open("/proc/net/ip_vs_stats_percpu", encoding="ascii") as table:
                rows = [line.split() for line in table]
            packets = {row[0]: int(row[2], 16) for row in rows if len(row) == 6 and row[0] != "CPU"}
            if packets.pop("~", 0) == sum(packets.values()):
                return
            time.sleep(0.1)

    def end(self):
        """The namespace goes with the process."""

    def adm(self, argv, stdin=""):
        """The kernel counts its way through one table of all namespaces to where the reader was, so
        what other worlds do meanwhile makes it list a connection twice or not at all: look thrice."""
        result = super().adm(argv, stdin)
        if result[-1][0] != "conns":
            return result
        rows = {EXPIRES.sub("", line, count=1): line for line in result[-1][1].splitlines()}
        for _ in range(2):
            kind, more = super().adm(argv, stdin)[-1]
            for line in more.splitlines() if kind == "conns" else []:
                if not line.startswith("#clock"):
                    rows.setdefault(EXPIRES.sub("", line, count=1), line)
        return [*result[:-1], ("conns", "\n".join([*rows.values(), ""]))]

    def ipvsadm(self):
        return self.tools["kernel_ipvsadm"], dict(os.environ, LD_LIBRARY_PATH=self.tools["libs"])

    def sysctl(self, name, value):
        try:
            with open(f"{SYSCTLS}/{name}", "r+" if value else "r", encoding="ascii") as knob:
                if value is not None:
                    knob.write(value)
                    knob.flush()
                    knob.seek(0)
                return f"{name} = {' '.join(knob.read().split())}"
        except OSError as error:
            return f"error: {error.strerror}"

    def all_sysctls(self):
        names = sorted(set(os.listdir(SYSCTLS)) - set(OF_THE_MACHINE))
        return "\n".join(self.sysctl(name, None) for name in names)


class BpvsWorld(World):
    """BPVS. To bring it up takes ten seconds in the guest, so it stays for many scenarios."""

    name = "bpvs"
    sums_at_once = True
    used = None  # the scenario before; None: nobody knows what state this is in

    def reset(self, text, fresh):
        """Ready for a scenario: as new, but for what forgetting may have left."""
        if fresh or not self.fds or not self.forget():
            if self.fds:
                self.bpvs("down")
            self.make(text)
            self.bpvs("up", "--mode", self.tools["mode"], *SMALL)
            listed = self.bpvs("sysctl").replace("net.ipv4.vs.", "").replace(" = ", "=")
            self.defaults = [line for line in listed.splitlines() if line]
        elif lines := self.unknown(named(text)):
            ip_batch(lines)
        self.begin()
        self.used = text

    def forget(self):
        """Make the instance as new; False where it cannot do that."""
        if self.used is None or "\nmtu " in self.used:
            return False
        self.do_unmark(None)
        program, env = self.ipvsadm()
        if spawn(["ipvsadm", "-C"], env, program=program)[0] or spawn(
                [self.tools["bpvs"], "flush"])[0]:
            return False
        if "\nsysctl" in self.used:
            self.bpvs("sysctl", *self.defaults)
        if "--set" in self.used:
            spawn(["ipvsadm", "--set", "900", "120", "300"], env, program=program)
        return True

    def end(self):
        if self.fds:
            self.bpvs("down")

    def bpvs(self, *args):
        return must([self.tools["bpvs"], *args])

    def ipvsadm(self):
        return self.tools["bpvs_ipvsadm"], None

    def sysctl(self, name, value):
        word = name if value is None else f"{name}={value}"
        status, out, err = spawn([self.tools["bpvs"], "sysctl", word])
        if status:
            why = err.strip().rpartition(": ")[2]
            return "error: " + {"no such knob": os.strerror(2)}.get(why, why)
        return " ".join(out.split()).removeprefix("net.ipv4.vs.")

    def all_sysctls(self):
        lines = self.bpvs("sysctl").replace("net.ipv4.vs.", "").replace("\t", " ").splitlines()
        return "\n".join(sorted(l for l in lines if l.split(" = ")[0] not in OF_THE_MACHINE))


WORLDS = {world.name: world for world in (KernelWorld, BpvsWorld)}


def load_modules():
    for module in ("tun", "ip_vs", "ip_vs_ftp"):
        subprocess.run(["modprobe", "-q", module], check=False)
