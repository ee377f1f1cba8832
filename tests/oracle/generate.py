#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Random scenarios for the oracle (README.md), out of a grammar that knows what it has set up.

    generate.py --seed 7 --count 20

A scenario has a theme, which weighs the actions: what is chosen next depends on what there is by then (services,
servers, flows, marks), so that most of it means something and states are reached that lie deep: edits between flows,
ports used again, servers that come back. A part is nonsense on purpose, for the messages.

The same seed gives the same texts, scenario k of a seed is the same however many are asked for.

What the kernel leaves to chance or to the phase of its timers cannot be compared and is not generated: twos is asked for
shares only; after a defence is set its timer is given a second; connections expire only in phases made of packets,
well after the time that they were given; a scenario ends soon after it has made a state of seconds (CLOSE, INIT1), for
the two worlds' commands do not take equally long; drop_entry meets nothing half open.
"""

import argparse
import random
import re

SCHEDULERS = "rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh".split()
TCP_FLAGS = "S F A R SA FA RA PA - SF SR U FR PU SFRAPU".split()
CHUNKS = """DATA INIT INIT_ACK SACK HEARTBEAT HEARTBEAT_ACK ABORT SHUTDOWN SHUTDOWN_ACK ERROR COOKIE_ECHO COOKIE_ACK
SHUTDOWN_COMPLETE""".split()
PORTS = {"t": [80, 443, 8080, 21], "u": [53, 5060, 500], "s": [9, 80]}
WORD = {"t": "-t", "u": "-u", "s": "--sctp-service"}
PROTO = {"t": "tcp", "u": "udp", "s": "sctp"}

# name: values that are taken, values that are refused. What belongs to synchronisation is set and read only.
SYSCTLS = {
    "am_droprate": ([1, 2, 3, 10], ["x"]),
    "amemthresh": ([0, 1024, 4096], ["x"]),
    "backup_only": ([0, 1], [2, -1]),
    "cache_bypass": ([0, 1], [2]),
    "conn_reuse_mode": ([0, 1, 2, 3], ["x"]),
    "conntrack": ([0, 1], [2, -1]),
    "drop_entry": ([0, 1, 2, 3], [4, -1]),
    "drop_packet": ([0, 1, 2, 3], [4, -1]),
    "expire_nodest_conn": ([0, 1], [2, "x"]),
    "expire_quiescent_template": ([0, 1], [2]),
    "ignore_tunneled": ([0, 1], [2]),
    "lblc_expiration": ([1, 86400], ["x"]),
    "lblcr_expiration": ([1, 86400], ["x"]),
    "nat_icmp_send": ([0, 1], [-1]),
    "pmtu_disc": ([0, 1], [2]),
    "run_estimation": ([1], [2]),  # 0: uncounted-without-estimation
    "schedule_icmp": ([0, 1], [2]),
    "secure_tcp": ([0, 1, 2, 3], [4, -1]),
    "sloppy_sctp": ([0, 1], [2]),
    "sloppy_tcp": ([0, 1], [2]),
    "snat_reroute": ([0, 1], [2]),
    "sync_persist_mode": ([0, 1], [2]),
    "sync_ports": ([1, 2, 64], [3, 65]),
    "sync_qlen_max": ([100], ["x"]),
    "sync_refresh_period": ([0, 10], ["x"]),
    "sync_retries": ([0, 3], [4]),
    "sync_sock_size": ([0, 100000], ["x"]),
    "sync_threshold": (["2 10", "3 50"], ["9 5"]),
    "sync_version": ([0, 1], [2]),
    # Not on every kernel: RELEASES.
    "conn_lfactor": ([-4, 8], [9]),
    "conn_max": ([1, 3, 8, 1073741824], [-1]),
    "est_cpulist": ([0], ["x"]),
    "est_nice": ([0, 19], [20]),
    "svc_lfactor": ([-3, 8], [9]),
}
RELEASES = {"est_cpulist": ">=6.12", "est_nice": ">=6.12", "conn_lfactor": ">=7", "conn_max": ">=7", "svc_lfactor": ">=7"}
DEFENCES = {"drop_entry", "drop_packet", "secure_tcp", "am_droprate", "amemthresh"}
# Those that change what happens to packets, and so are worth setting before there are any.
TELLING = """cache_bypass conn_reuse_mode expire_nodest_conn expire_quiescent_template nat_icmp_send pmtu_disc
schedule_icmp sloppy_sctp sloppy_tcp conn_reuse_mode expire_nodest_conn""".split()

PACKETS = ("udp", "tcp", "syn", "open", "send", "recv", "shut", "sshut", "close", "rst", "srst", "sctp", "icmp", "frag")

# What is refused, or said otherwise, by every version of the command. {v}: a virtual end, {r}: a server.
NONSENSE = """
-A -t {v}:80 -s nosuch
-A -t {v} -s rr
-A -t {v}:0
-A -t {v}:65536
-A -t {v}:80 -p 0
-A -t {v}:80 -p 2678401
-A -u {v}:53 -o -o
-A -t {v}:80 -o
-A -t {v}:80 -w 1
-A -f 0 -s rr
-A -f 4294967296
-A -t {v}:80 --pe nosuch -p 60
-A -t {v}:80 -s sh -b mh-port
-A -t {v}:80 -s rr -b nosuch
-A -t {v}:80 --netmask x -p
-A
-E -t {v}:99 -s rr
-D -t {v}:99
-D -t {v}:80 -s rr
-C -t {v}:80
-a -t {v}:99 -r {r}
-a -t {v}:80
-a -t {v}:80 -r {r} -m -g
-a -t {v}:80 -r {r} -w -1
-a -t {v}:80 -r {r} -w 2147483648
-a -t {v}:80 -r {r} -x 3 -y 9
-a -t {v}:80 -r {r} -x x
-a -t {v}:80 -r 224.0.0.1
-a -t {v}:80 -r {r} -i --tun-type nosuch
-a -t {v}:80 -r {r} -i --tun-port 6080
-a -t {v}:80 -r {r} -i --tun-type ipip --tun-csum
-a -t {v}:80 -r {r} -i --tun-type ipip --tun-nocsum
-a -t {v}:80 -r {r} -i --tun-type gue --tun-remcsum
-a -t {v}:80 -r {r} -m --tun-type gre
-e -t {v}:80 -r {r}:99
-d -t {v}:80 -r {r}:99
-d -t {v}:80
-L --stats --rate -c
-L -n --timeout --daemon
-L -w 5
-L -n -t {v}:99
-S -t {v}:80
-Z -t {v}:99
-R junk
--set 1 2
--set x 1 1
--set 2678401 1 1
--start-daemon nosuch
--start-daemon master --mcast-interface nosuch --syncid 256
--start-daemon backup --mcast-interface out --mcast-group 10.0.0.1
--start-daemon master --mcast-interface out --mcast-port 0
--start-daemon master --mcast-interface out --mcast-ttl 256
--start-daemon master --mcast-interface out --sync-maxlen 0
--stop-daemon nosuch
--nosuch
junk
-A -D
-h
-v
""".strip().splitlines()

LISTINGS = """-L -n
-l -n
--list --numeric
-L -n --sort
-L -n --nosort
-L -n --exact
-L -n -X --thresholds
-L -n --tun-info
-L -n --persistent-conn
-L -n --thresholds
-L -n --timeout
-L -n --daemon
-L -n -c
-L -n --connection --persistent-conn
-S -n
--save -n""".splitlines()

# theme: its weight, weights of actions (default 1 where an action is named in COMMON, else 0).
COMMON = {"traffic": 30, "follow": 22, "edit_dest": 8, "add_dest": 7, "del_dest": 5, "readd": 5, "look": 8,
          "add_svc": 2, "edit_svc": 3, "del_svc": 1, "sysctl": 2, "nonsense": 1, "icmp": 2, "odd_packet": 2,
          "zero": 1, "restore": 1, "listing": 1, "reuse": 5, "stray": 1, "stray_error": 1}
THEMES = {
    "mixed": (10, {}),
    "sched": (16, {"edit_dest": 16, "readd": 8, "edit_svc": 5, "icmp": 0, "odd_packet": 0, "traffic": 40}),
    "persist": (14, {"edit_dest": 12, "expire": 1}),
    "tcp": (12, {"follow": 50, "reuse": 14}),
    "sctp": (8, {"follow": 40, "reuse": 8}),
    "conn_max": (3, {"follow": 30, "reuse": 14, "sysctl": 0}),
    "fwmark": (12, {"mark": 6, "unmark": 1}),
    "ops": (4, {}),
    "threshold": (7, {"edit_dest": 14, "follow": 30, "look": 12}),
    "nodest": (8, {"del_dest": 14, "readd": 12, "del_svc": 5, "add_svc": 5, "clear": 2, "reuse": 8}),
    "expire": (4, {"expire": 6}),
    "defence": (4, {"icmp": 0, "stray_error": 0}),
    "drop_entry": (1, {"reuse": 0, "sysctl": 0, "stray_error": 0}),
    "icmp": (5, {"icmp": 25, "odd_packet": 12, "stray": 10, "stray_error": 12}),
    "errors": (7, {"nonsense": 30, "listing": 10, "sysctl": 45, "restore": 4}),
    "sizes": (3, {"odd_packet": 30}),
    "twos": (2, {}),
}


TUNNEL_TYPES = [
    "ipip", "gue --tun-port 6080", "gue --tun-port 6081 --tun-nocsum", "gue --tun-port 6080 --tun-csum",
    "gue --tun-port 6082 --tun-remcsum", "gre", "gre --tun-nocsum", "gre --tun-csum",
]
TUNNEL = r"(?m)^(ipvsadm )?(-[ae]|--add-server|--edit-server) .* (-i|--ipip)( |$)"
CALLS = [" call one@host", " call two@host", " call 3"]
NAT = r"^(ipvsadm )?(-[ae]|--add-server|--edit-server) .* (-m|--masquerading)( |$)"
# What is listed in docs/differences.md and may be met: an id, and what of the text (all of these) may meet it.
LISTED = {
    "bypass-answers": [r"cache_bypass=1", r"(?m)^mark"],
    "ftp-untracked": [r":21 .* badsum"],
    "fragments-counted": [r"(?m)^frag"],
    "newer-sysctls": [r"look sysctl"],
    "no-ipsec": [r"(?m)^raw .* 5[01]$", r":500\b"],
    "oversize-cut": [TUNNEL, r" len 14\d\d"],
    "marked-errors-unscheduled": [r"schedule_icmp=1", r"(?m)^mark\S* \d+ any ", r"(?m)^icmp-error "],
    "marked-errors-hop": [r"(?m)^mark\S* \d+ \S+ [wW]", r"(?m)^icmp-error "],
    "marked-passed-on": [r"(?m)^mark\S* \d+ \S+ [wW]"],
    "nodest-at-once": [r"expire_nodest_conn=1", r"(?m)^ipvsadm (-[dDC]|--delete|--clear)"],
    "refused-not-local": [r"(?m)^mark\S* \d+ \S+ [wW]"],
    "tunnel-pmtu-told": [TUNNEL, r"icmp-error-by .* mtu "],
    "tunnel-pmtu-v6": [TUNNEL, r"icmp-error-by .* mtu "],
    "wrong-sum-tunnelled": [TUNNEL, r" --tun-(rem)?csum", r" badsum"],
}


class Service:
    """What the scenario has added: kind is t, u, s (SCTP) or f (a mark's)."""

    def __init__(self, kind, six, host=None, port=0, mark=0):
        self.kind, self.six, self.host, self.port, self.mark = kind, six, host, port, mark
        self.dests = {}  # server's name and port -> forwarding option
        self.methods = {}  # the same of all that ever were
        self.of_host = {}  # and by name alone: without NAT ipvsadm takes the service's port
        self.gone = []  # servers that were deleted
        self.persistent = self.ops = self.calls = False
        self.sched = "wlc"

    def had_other(self, dest, how):
        """Was that server ever reached by another method?"""
        return self.of_host.setdefault(dest.split(":")[0], how) != how

    def name(self):
        if self.kind == "f":
            return f"-f {self.mark}" + (" -6" if self.six else "")
        return f"{WORD[self.kind]} {self.host}:{self.port}"


class Generator:
    def __init__(self, rng, theme):
        self.rng, self.theme = rng, theme
        self.lines, self.services, self.flows, self.marks = [], [], [], []
        self.ends = []  # virtual ends that had traffic
        self.releases = set()
        self.patience = 1000
        self.edited = False  # has a server's method changed?
        self.unsummed = False  # packets that the kernel may not have summed up
        self.taken = {}  # (service, server) -> how many lines there were when it was taken away
        self.families = rng.choices([(False,), (True,), (False, True)], [6, 3, 1])[0]
        self.weights = {**COMMON, **THEMES[theme][1]}
        self.kinds = {"tcp": "t", "sctp": "s", "ops": "u", "fwmark": "f", "drop_entry": "tu",
                      "twos": "u"}.get(theme, "ttuufs" if theme == "mixed" else "ttuuf")
        self.scheds = SCHEDULERS
        if theme in ("nodest", "threshold"):
            self.scheds = ["rr", "wrr", "wlc", "lc", "sh", "fo"]

    # -- small things ------------------------------------------------------------------------------

    def say(self, line):
        self.lines.append(line)
        verb = line.split(" ", 1)[0]
        if verb == "look" and ("stats" in line or "rate" in line):
            self.unsummed = False
        elif verb.startswith(PACKETS):
            self.unsummed = True
        if line.startswith(("ipvsadm", "look", "sysctl", "mark", "unmark")):
            self.patience -= 1
        elif line.startswith("wait"):
            self.patience -= 2 * float(line.split()[1])

    def settle(self):
        """The kernel sums statistics up every two seconds; what is not summed up is not zeroed, by -Z or with a service."""
        if self.unsummed:
            self.say("look stats")

    def brief(self, commands):
        """A state that lasts some seconds: no more than that many commands from here on."""
        self.patience = min(self.patience, commands)

    def ipvsadm(self, words):
        self.say("ipvsadm " + words)

    def chance(self, percent):
        return self.rng.random() * 100 < percent

    def host(self, kind, top, six):
        name = f"{kind}{self.rng.randint(1, top)}"
        return name.upper() if six else name

    def family(self):
        return self.rng.choice(self.families)

    def service(self):
        return self.rng.choice(self.services) if self.services else None

    def with_dests(self):
        return self.rng.choice([s for s in self.services if s.dests] or [None])

    # -- services ----------------------------------------------------------------------------------

    def sched_words(self, svc):
        rng = self.rng
        svc.sched = rng.choice(self.scheds)
        words = f" {rng.choice(['-s', '-s', '-s', '--scheduler'])} {svc.sched}"
        if self.chance(2):
            svc.sched, words = "wlc", ""
        if self.chance(1):
            svc.sched, words = "", " -s ''"
        if svc.sched in ("sh", "mh") and self.chance(60):
            flags = rng.sample([f"{svc.sched}-fallback", f"{svc.sched}-port", "flag-3"], rng.randint(1, 2))
            words += rng.choice([" -b ", " -b ", " --sched-flags "]) + ",".join(flags)
        elif self.chance(4):
            words += " -b " + rng.choice(["flag-1", "flag-2", "flag-1,flag-2,flag-3"])
        return words

    def service_words(self, svc):
        """Everything of -A and -E behind the service."""
        rng, words = self.rng, self.sched_words(svc)
        must = svc.kind != "f" and svc.port == 0
        likely = {"persist": 85, "drop_entry": 0}.get(self.theme, 12)
        svc.persistent = must or self.chance(likely)
        if svc.persistent:
            words += rng.choice([" -p", f" -p {rng.choice([20, 60, 300])}", " --persistent=40"])
        if self.chance(45 if svc.persistent else 2):
            masks = ["-M 64", "-M 120", "--netmask 126"] if svc.six else [
                "-M 255.255.255.0", "-M 255.255.255.252", "--netmask 255.255.0.255"]
            words += " " + rng.choice(masks)
        svc.calls = svc.kind == "u" and self.chance(15 if svc.persistent else 2)
        if svc.calls:
            words += " --pe sip"
        svc.ops = svc.kind in "uf" and self.chance(80 if self.theme == "ops" else 3)
        if svc.ops:
            words += rng.choice([" -o", " --ops"])
        return words

    def new_service(self):
        rng, six, kind = self.rng, self.family(), self.rng.choice(self.kinds)
        if kind == "f":
            return Service("f", six, mark=rng.choice([1, 7, 7, 7, 99]))
        port = rng.choice(PORTS[kind])
        if self.chance(25 if self.theme == "persist" else 3):
            port = rng.choice([0, 21] if kind == "t" else [0])
        return Service(kind, six, self.host("v", 3, six), port)

    def do_add_svc(self, dests=None):
        svc = self.new_service()
        words = self.service_words(svc)
        first = {"t": "--tcp-service", "u": "--udp-service", "f": "--fwmark-service"}
        name = svc.name()
        if svc.kind in first and self.chance(5):
            name = name.replace(f"-{svc.kind}", first[svc.kind], 1).replace("-6", "--ipv6")
        self.ipvsadm(f"{self.rng.choice(['-A', '-A', '-A', '--add-service'])} {name}{words}")
        known = [s for s in self.services if s.name() == svc.name()]
        if known:  # refused; now and then on purpose
            return
        self.services.append(svc)
        if svc.kind == "f" and not any(m[0] == svc.mark and m[3] == svc.six for m in self.marks):
            self.do_mark(svc)
        for _ in range(self.rng.randint(1, 4) if dests is None else dests):
            self.do_add_dest(svc)

    def do_edit_svc(self):
        svc = self.service()
        if svc:
            self.ipvsadm(f"{self.rng.choice(['-E', '-E', '--edit-service'])} {svc.name()}{self.service_words(svc)}")

    def take(self, svc, dests):
        self.taken |= {(svc.name(), dest): len(self.lines) for dest in dests}

    def do_del_svc(self):
        svc = self.service()
        if svc:
            self.take(svc, svc.dests)
            back = self.chance(60)
            if back:
                self.settle()
            self.ipvsadm(f"{self.rng.choice(['-D', '--delete-service'])} {svc.name()}")
            self.services.remove(svc)
            if back:
                self.do_follow()
                self.ipvsadm(f"-A {svc.name()}{self.service_words(svc)}")
                back, svc.gone, svc.dests = list(svc.dests), svc.gone + list(svc.dests), {}
                self.services.append(svc)
                for dest in back:
                    if self.chance(70):
                        self.put_dest(svc, dest)

    def do_clear(self):
        self.settle()
        self.ipvsadm(self.rng.choice(["-C", "--clear"]))
        for svc in self.services:
            self.take(svc, svc.dests)
        self.services = []
        if self.chance(70):
            self.do_follow()
        self.do_add_svc()

    # -- servers -----------------------------------------------------------------------------------

    def weight(self):
        return self.rng.choices([0, 1, 2, 3, self.rng.randint(4, 100), 65535], [12, 40, 18, 14, 14, 2])[0]

    def method(self, svc):
        # A server of the other family is possible through tunnels. FTP under NAT is tracked, and what
        # tracking takes for invalid is lost (ftp-untracked), so that all else differs after it; written
        # scenarios have it.
        tracked = svc.kind == "t" and svc.port == 21
        return self.rng.choice(["-g", "-i"] if tracked else ["-m", "-m", "-g", "-i"])

    def method_again(self, svc, dest):
        """Mostly what it was: the kernel's cached route makes a difference of a change (edited-method)."""
        return self.method(svc) if dest not in svc.methods or self.chance(4) else svc.methods[dest]

    def dest_words(self, svc, how):
        rng = self.rng
        words = "" if how == "-g" and self.chance(20) else " " + {"-m": rng.choice(["-m", "-m", "--masquerading"]),
                                                 "-g": rng.choice(["-g", "-g", "--gatewaying"]),
                                                 "-i": rng.choice(["-i", "-i", "--ipip"])}[how]
        how = how if words else "-g"
        if how == "-i" and self.chance(25):
            words += " --tun-type " + rng.choice(TUNNEL_TYPES)
        if not self.chance(15):
            words += f" {rng.choice(['-w', '-w', '--weight'])} {self.weight()}"
        if self.chance(70 if self.theme == "threshold" else 8):
            upper = rng.choice([1, 2, 3, 4, 8])
            words += f" {rng.choice(['-x', '--u-threshold'])} {upper}"
            if self.chance(40):
                words += f" {rng.choice(['-y', '--l-threshold'])} {rng.randint(0, upper)}"
        return words, how

    def put_dest(self, svc, dest):
        words, how = self.dest_words(svc, self.method_again(svc, dest))
        if dest[0] in "rRdD" and dest[0].isupper() != svc.six:
            words, how = " -i", "-i"
        since = self.lines[self.taken.get((svc.name(), dest), len(self.lines)):]
        if how != "-m" and "sysctl expire_nodest_conn=1" in since:
            return  # it begins with other connections (nodest-at-once)
        svc.methods.setdefault(dest, how)
        self.edited |= svc.had_other(dest, how)
        self.ipvsadm(f"{self.rng.choice(['-a', '-a', '-a', '--add-server'])} {svc.name()} -r {dest}{words}")
        svc.dests.setdefault(dest, how)

    def do_add_dest(self, svc=None):
        svc = svc or self.service()
        if not svc:
            return self.do_add_svc()
        dest = self.host("r", 6, svc.six if self.chance(97) else not svc.six)
        if self.chance(0.5) and svc.kind != "f":  # marked-passed-on
            dest = "D" if svc.six else "d"
        if svc.kind != "f":
            dest += f":{svc.port}" if self.chance(75) else f":{self.rng.choice([8080, 53, 9])}" if self.chance(60) else ""
        elif self.chance(10):
            dest += ":8080"
        return self.put_dest(svc, dest)

    def do_edit_dest(self):
        svc = self.with_dests()
        if svc:
            dest = self.rng.choice(list(svc.dests))
            words, how = self.dest_words(svc, self.method_again(svc, dest))
            self.edited |= svc.had_other(dest, how)
            svc.dests[dest] = svc.methods[dest] = how
            server = self.rng.choice(["-r", "--real-server"])
            self.ipvsadm(f"{self.rng.choice(['-e', '-e', '--edit-server'])} {svc.name()} {server} {dest}{words}")

    def do_del_dest(self):
        svc = self.with_dests()
        if svc:
            dest = self.rng.choice(list(svc.dests))
            del svc.dests[dest]
            svc.gone.append(dest)
            self.take(svc, [dest])
            self.ipvsadm(f"{self.rng.choice(['-d', '-d', '--delete-server'])} {svc.name()} -r {dest}")

    def do_readd(self):
        gone = [s for s in self.services if s.gone]
        if gone:
            svc = self.rng.choice(gone)
            self.put_dest(svc, svc.gone.pop(self.rng.randrange(len(svc.gone))))

    def do_restore(self):
        lines = []
        kept, self.lines = self.lines, lines
        self.do_add_svc()
        self.lines = kept
        marks = [l for l in lines if not l.startswith("ipvsadm ")]
        for line in marks:
            self.say(line)
        rules = [l.removeprefix("ipvsadm ") if self.chance(60) else l for l in lines if l.startswith("ipvsadm ")]
        self.say(self.rng.choice(["ipvsadm-restore <<END", "ipvsadm -R <<END", "ipvsadm --restore <<END"]))
        for rule in rules:
            self.say(rule)
        if self.chance(10):
            self.say("-a -t v9:1 -r r1")
        self.say("END")

    # -- marks -------------------------------------------------------------------------------------

    def do_mark(self, svc=None):
        marked = [s for s in self.services if s.kind == "f"]
        svc = svc or (self.rng.choice(marked) if marked else None)
        number = svc.mark if svc else 5
        six = svc.six if svc else self.family()
        proto = self.rng.choice(["udp", "udp", "tcp", "tcp", "sctp", "any"])
        # Not the addresses that services have: address-before-mark.
        kind, least, most = self.rng.choice([("v", 4, 6), ("v", 4, 6), ("w", 1, 12)])
        numbers = {self.rng.randint(least, most) for _ in range(self.rng.choice([1, 1, 3, 6]))}
        names = [f"{kind}{n}".upper() if six else f"{kind}{n}" for n in sorted(numbers)]
        port = self.rng.choice([None, None, 80, "80-90"]) if proto != "any" else None
        verb = "mark-iptables" if self.chance(25) else "mark"
        if port == "80-90" and verb == "mark-iptables":
            port = 80
        self.say(f"{verb} {number} {proto} {','.join(names)}" + (f":{port}" if port else ""))
        self.marks.append((number, proto, names, six, 80 if port else None))

    def do_unmark(self):
        if self.marks:
            self.say("unmark")
            self.marks = []
            # What goes on to an address that is not the director's is served on (vip-not-local), and
            # what is over, or bypassed, goes on otherwise (marks-gone).
            self.flows = [f for f in self.flows if f[2][0] not in "wW"]
            again = self.chance(70)
            if again:
                self.do_follow()
            self.flows = []
            if again:
                self.do_mark()

    # -- packets -----------------------------------------------------------------------------------

    def target(self):
        """Protocol (t, u, s) and the virtual end of a new flow: mostly one that a service is for."""
        rng, svc = self.rng, self.service()
        if svc and svc.kind == "f":
            marks = [m for m in self.marks if m[0] == svc.mark and m[3] == svc.six]
            if marks:
                _, proto, names, _, port = rng.choice(marks)
                kind = {"udp": "u", "tcp": "t", "sctp": "s", "any": rng.choice("tus")}[proto]
                if svc.ops or self.theme == "drop_entry":
                    kind = kind if kind == "t" else "u"
                return kind, rng.choice(names), port or rng.choice(PORTS[kind]), names
        if svc and svc.kind != "f" and not self.chance(4):
            odd = svc.port == 0 or (svc.port == 21 and self.chance(40))
            port = rng.choice(PORTS[svc.kind] + [30000, 20]) if odd else svc.port
            return svc.kind, svc.host, port, None
        kind = rng.choice("tu")
        return kind, self.host("v", 3, self.family()), rng.choice(PORTS[kind]), None

    def clients(self, six, many, virtual):
        """One client end, or a range of them. Few of them, so that they meet again; but each virtual end
        has ports of its own, for replies of two connections that are alike differ (replies-alike)."""
        rng = self.rng
        if virtual not in self.ends:
            self.ends.append(virtual)
        base = 2000 + 40 * self.ends.index(virtual)
        if many:
            if self.chance(50):
                first = base + rng.choice([0, 0, 10])
                return f"{self.host('c', 4, six)}:{first}..{first + rng.randint(2, 14)}"
            kind, top = rng.choice([("c", 12), ("f", 30)])
            first = rng.randint(1, top // 2)
            last = first + rng.randint(1, top // 2)
            names = [f"{kind}{first}", f"{kind}{last}"]
            return "..".join(n.upper() if six else n for n in names) + f":{base + rng.randint(0, 4)}"
        return f"{self.host(rng.choice('ccf'), 4, six)}:{base + rng.randint(0, 5)}"

    def do_traffic(self):
        rng = self.rng
        kind, host, port, names = self.target()
        six = host[0].isupper()
        virtual = f"{host}:{port}"
        client = self.clients(six, self.chance(55), virtual)
        ordered = sorted(names, key=lambda n: int(n[1:])) if names else []
        alike = any(re.search(NAT, line) for line in self.lines)
        if len(ordered) > 1 and self.chance(30) and ".." not in client and not alike:
            low, high = int(ordered[0][1:]), int(ordered[-1][1:])
            if high - low < 12:
                virtual = f"{ordered[0]}..{ordered[-1]}:{port}"
        flow = (kind, client, virtual)
        if kind == "u":
            calls = any(s.calls for s in self.services) and self.chance(85)
            self.say(f"udp {client} {virtual}" + (rng.choice(CALLS) if calls else rng.choice(
                ["", "", "", " x3", " len 100", " x2 len 700"])))
        elif kind == "t":
            half_open = self.theme != "drop_entry" and self.chance(25)
            verb = "syn" if half_open else "open"
            if self.chance(6) and self.theme != "drop_entry":
                self.say(f"tcp {client} {virtual} {rng.choice(TCP_FLAGS)}")
            self.say(f"{verb} {client} {virtual}")
        else:
            self.say(f"sctp {client} {virtual} {'INIT' if self.chance(85) else self.chunks(25)}")
            if self.chance(60):
                self.say(f"sctp-reply {client} {virtual} INIT_ACK")
                self.say(f"sctp {client} {virtual} COOKIE_ECHO")
                self.say(f"sctp-reply {client} {virtual} COOKIE_ACK")
            elif self.chance(85):
                self.say(f"sctp {client} {virtual} INIT")
            else:
                self.brief(3)
        self.remember(flow)

    def chunks(self, bundles):
        """A chunk, or of so many in a hundred two: an ABORT behind others counts, but not for everything."""
        if not self.chance(bundles):
            return self.rng.choice(CHUNKS)
        first = self.rng.choice(["COOKIE_ECHO", "COOKIE_ACK", self.rng.choice(CHUNKS)])
        return f"{first},{'ABORT' if self.chance(50) else self.rng.choice(CHUNKS)}"

    def remember(self, flow):
        if flow in self.flows:
            self.flows.remove(flow)
        self.flows.append(flow)
        del self.flows[:-12]

    def flow(self, kinds="tus"):
        fitting = [f for f in self.flows if f[0] in kinds]
        return self.rng.choice(fitting) if fitting else None

    def do_follow(self):
        """Another packet of a flow that there is."""
        rng, flow = self.rng, self.flow()
        if not flow:
            return self.do_traffic()
        kind, client, virtual = flow
        ends = f"{client} {virtual}"
        if kind == "u":
            verb = rng.choice(["udp", "udp-reply", "udp", "udp-reply", "udp"])
            self.say(f"{verb} {ends}" + rng.choice(["", "", " x2", " len 200"]))
        elif kind == "t" and self.theme == "drop_entry":
            self.say(f"{rng.choice(['send', 'recv'])} {ends}")
        elif kind == "t" and self.chance(40 if self.theme == "tcp" else 15):
            flags = rng.choice(TCP_FLAGS)
            self.say(f"{rng.choice(['tcp', 'tcp-reply'])} {ends} {flags}" + rng.choice(["", "", "", " len 50"]))
            if "R" in flags or not set(flags) & set("SFA"):
                self.brief(8)
        elif kind == "t":
            verbs = "send recv shut sshut close rst srst open syn".split()
            verb = rng.choices(verbs, [6, 4, 3, 3, 5, 1, 1, 1, 2])[0]
            self.say(f"{verb} {ends}")
            if "rst" in verb:
                self.brief(8)
        else:
            chunks = self.chunks(15)
            self.say(f"{rng.choice(['sctp', 'sctp-reply'])} {ends} {chunks}")
            if "ABORT" in chunks:
                self.brief(3)
        return None

    def do_reuse(self):
        """A flow ends, and its ports are used again."""
        flow = self.flow("ts")
        if not flow:
            return
        kind, client, virtual = flow
        if kind == "t":
            self.say(f"{self.rng.choice(['close', 'close', 'rst', 'srst', 'sshut', 'shut'])} {client} {virtual}")
            if self.chance(40):
                self.rng.choice([self.do_edit_dest, self.do_del_dest, self.do_add_dest])()
            self.say(f"{self.rng.choice(['syn', 'open'])} {client} {virtual}")
        else:
            self.say(f"sctp {client} {virtual} ABORT")
            self.say(f"sctp {client} {virtual} INIT")
            self.say(f"sctp {client} {virtual} INIT")

    def do_icmp(self):
        flow = self.flow("tu")
        if not flow:
            return self.do_traffic()
        kind, client, virtual = flow
        if ".." in client + virtual:
            client, virtual = client.split("..")[0], virtual.split("..")[0]
            if ":" not in client or ":" not in virtual:
                return self.do_traffic()
            self.say(f"{'udp' if kind == 'u' else 'open'} {client} {virtual}")
        six = client[0].isupper()
        types = ["1/4", "1/3", "1/0", "3/0", "4/0", "2/0 mtu 1300"] if six else [
            "3/3", "3/1", "3/0", "11/0", "12/0", "3/4 mtu 1200", "5/1"]
        by = self.rng.choice(["icmp-error", "icmp-error-by server", "icmp-error-by router"])
        if by == "icmp-error":
            self.say(f"{'udp-reply' if kind == 'u' else 'recv'} {client} {virtual}")
        self.say(f"{by} {client} {virtual} {PROTO[kind]} {self.rng.choice(types)}")
        return None

    def have_set(self, name):
        """Is that sysctl 1? If nobody has said anything of it yet it is now."""
        said = [line for line in self.lines if line.startswith(f"sysctl {name}=")]
        if not said:
            self.say(f"sysctl {name}=1")
        return not said or said[-1] == f"sysctl {name}=1"

    def do_stray(self):
        """A server of NAT sends of its own accord: nat_icmp_send tells it that there is no connection."""
        rng = self.rng
        # What tracking takes for invalid is lost: ftp-untracked.
        ends = [(s, d) for s in self.services if s.port != 21 for d, how in s.dests.items()
                if d[0] == ("R" if s.six else "r") and (how == "-m" or self.chance(20))]
        if not ends or not (self.have_set("nat_icmp_send") or self.chance(10)):
            return self.do_traffic()
        svc, dest = rng.choice(ends)
        host, _, port = dest.partition(":")
        port = int(port or svc.port or 80)
        source = f"{host}:{port if self.chance(85) else rng.choice([80, 8080, 53])}"
        client = f"{self.host('c', 4, svc.six)}:{rng.randint(1900, 1905)}"
        marks = [m for m in self.marks if m[0] == svc.mark and m[3] == svc.six]
        virtual = f"{svc.host or (marks[0][2][0] if marks else 'V1' if svc.six else 'v1')}:{svc.port or 80}"
        tcp = self.chance(30) != (svc.kind == "t")
        self.say(f"tcp-from {source} {client} {virtual} {rng.choice(['SA', 'A', 'PA', 'FA', 'R'])}" if tcp
                 else f"udp-from {source} {client}")
        return None

    def do_stray_error(self):
        """An error about a reply of no connection, as of another director's: schedule_icmp begins one. Replies
        without a connection are those of one-packet services that do without NAT."""
        fitting = [s for s in self.services if s.kind == "u" and s.port and any(how != "-m" for how in s.dests.values())]
        if not fitting or not (self.have_set("schedule_icmp") or self.chance(10)):
            return self.do_icmp()
        svc = self.rng.choice(fitting)
        ends = [f"{self.host('c', 4, svc.six)}:{port}" for port in self.rng.sample(range(1910, 1940), 3)]
        virtual = f"{svc.host}:{svc.port}"
        self.ipvsadm(f"-E {svc.name()} -s rr -o")
        for client in ends:
            self.say(f"udp {client} {virtual}")
            self.say(f"udp-reply {client} {virtual}")
        self.ipvsadm(f"-E {svc.name()}{self.service_words(svc)}")
        for client in ends:
            self.say(f"icmp-error {client} {virtual} udp {'1/4' if svc.six else '3/3'}")
        return None

    def do_odd_packet(self):
        rng, (kind, host, port, marked) = self.rng, self.target()
        six = host[0].isupper()
        client = self.clients(six, False, f"{host}:{port}")
        what = rng.choice(["ttl", "size", "tos", "sum", "frag", "ping", "raw"])
        if what == "ping":
            self.say(f"ping {client.split(':')[0]} {host}")
        elif what == "raw":
            self.say(f"raw {client.split(':')[0]} {host} {rng.choice([50, 51, 99])}")
        elif what == "frag":
            self.say(f"frag udp {client} {host}:{port} len {rng.choice([1100, 1400, 2500])}")
        else:
            option = {"ttl": f"ttl {rng.choice([2 if marked else 1, 2, 255])}", "tos": f"tos {rng.choice([1, 3, 16, 184])}",
                      "size": rng.choice(["", "df "]) + f"len {rng.choice([0, 1, 1300, 1424, 1432, 1444, 1452, 1472])}",
                      "sum": "badsum" if six or kind != "u" else rng.choice(["nosum", "badsum"])}[what]
            verb, flags = ("tcp", rng.choice([" S", " A"])) if kind == "t" else ("udp", "")
            option = option.replace("1472", "1440") if kind == "t" else option
            self.say(f"{verb} {client} {host}:{port}{flags} {option}")

    # -- the rest ----------------------------------------------------------------------------------

    def do_look(self):
        what = self.rng.choices(["list", "conns", "thresholds", "persistent", "save", "timeout", "stats", "exact-list"],
                                [12, 14, 4, 4, 1, 1, 1, 1])[0]
        svc = self.service()
        if svc and what not in ("conns", "save", "timeout") and self.chance(15):
            what += " of " + svc.name()
        self.say("look " + what)

    def do_listing(self):
        if self.chance(12):
            self.say("look " + self.rng.choice(["sysctl", "daemon", "exact-stats"]))
        elif self.chance(10):
            self.ipvsadm(self.rng.choice(["-L -n --stats", "-L -n --rate"]) + " -t v9:9")
        else:
            self.ipvsadm(self.rng.choice(LISTINGS))

    def do_zero(self):
        svc = self.service()
        self.settle()
        words = self.rng.choice(["-Z", "--zero"])
        if svc and self.chance(60):
            words += " " + svc.name()
        self.ipvsadm(words)

    def do_nonsense(self):
        line = self.rng.choice(NONSENSE)
        six = self.family()
        self.ipvsadm(line.format(v=self.host("v", 3, six), r=self.host("r", 6, six)))

    def do_sysctl(self):
        rng = self.rng
        errors = self.theme == "errors"
        name = rng.choice(TELLING) if not errors and self.chance(60) else rng.choice(sorted(SYSCTLS))
        if name in RELEASES and self.releases - {RELEASES[name]}:
            return  # there may be no kernel that has both
        if name in RELEASES:
            self.releases.add(RELEASES[name])
        good, bad = SYSCTLS[name]
        if self.chance(12):
            if name != "sync_qlen_max":  # memory-then
                self.say(f"sysctl {name}")
            return
        if self.chance(45 if errors else 10):
            self.say(f"sysctl {name}={rng.choice(bad)}")
            return
        if name in DEFENCES:
            self.set_defence(name, rng.choice([v for v in good if (name, v) != ("drop_entry", 3)]))
            return
        self.say(f"sysctl {name}={rng.choice(good)}")

    def set_defence(self, name, value):
        """The kernel looks at them once a second, and makes 2 of 1 or 1 of 2."""
        self.say(f"sysctl {name}={value}")
        if name != "amemthresh":
            self.say("wait 2.3" if value == 2 and name != "am_droprate" else "wait 1.3")

    def do_expire(self):
        """Short times, packets only, and a wait that is clearly too long for them."""
        if self.lines.count("wait 6"):  # once: it costs real time
            return
        udp = self.chance(50)
        self.ipvsadm("--set " + ("0 0 3" if udp else "3 3 3"))
        for _ in range(self.rng.randint(2, 4)):
            self.do_traffic()
        self.say("wait 6")
        self.ipvsadm("--set 900 120 300")
        for _ in range(self.rng.randint(2, 4)):
            self.rng.choice([self.do_follow, self.do_traffic])()

    def start(self):
        rng = self.rng
        for _ in range(rng.choice([0, 0, 1, 1, 2])):
            name = rng.choice(TELLING)
            self.say(f"sysctl {name}={rng.choice(SYSCTLS[name][0])}")
        if self.theme == "defence":
            if self.chance(50):
                self.say(f"sysctl am_droprate={rng.choice([2, 3, 5])}")
                self.set_defence("drop_packet", rng.choice([1, 2, 3, 3, 3]))
            else:
                self.set_defence("secure_tcp", rng.choice([1, 2, 3, 3, 3]))
        if self.theme == "conn_max":
            self.releases.add(RELEASES["conn_max"])
            self.say(f"sysctl conn_max={rng.randint(1, 12)}")
        if self.theme == "drop_entry":
            self.set_defence("drop_entry", rng.choice([1, 2, 3, 3]))
        for _ in range(rng.choice([1, 1, 1, 2, 2, 3])):
            self.do_add_svc(rng.choice([0, 1, 2, 3, 3, 4, 5]))

    def twos(self):
        """Chance decides where each flow goes: only shares can be compared."""
        rng, six = self.rng, self.family()
        svc = Service("u", six, self.host("v", 3, six), 53)
        self.releases.add(">=6.12")
        self.ipvsadm(f"-A {svc.name()} -s twos")
        for number in range(1, rng.randint(2, 5) + 1):
            words = f" -w {rng.choice([1, 1, 2, 3, 0])}" if number > 1 else ""
            self.ipvsadm(f"-a {svc.name()} -r {'R' if six else 'r'}{number}:53 {rng.choice(['-m', '-g', '-i'])}{words}")
        f = "F" if six else "f"
        self.say(f"distribution udp {f}1..{f}{rng.choice([200, 300])}:{rng.randint(2000, 2005)} {svc.host}:53")

    def text(self, name):
        if self.theme == "twos":
            self.twos()
        else:
            self.start()
            names = [a for a, w in self.weights.items() if w]
            actions = [getattr(self, "do_" + a) for a in names]
            weights = [self.weights[a] for a in names]
            for _ in range(self.rng.randint(8, 30)):
                if self.patience > 0:
                    self.rng.choices(actions, weights)[0]()
        head = f"== {name}: random, {self.theme}\n"
        body = "\n".join(self.lines)
        ids = [i for i, parts in LISTED.items() if all(re.search(part, body) for part in parts)]
        for met in ids + ["edited-method"] * self.edited:
            head += f"differs {met}?\n"
        for release in sorted(self.releases):
            head += f"kernel {release}\n"
        return head + "\n".join(self.lines) + "\n"


def generate(seed, count):
    """`count` scenarios' texts."""
    texts = []
    themes = list(THEMES)
    weights = [THEMES[t][0] for t in themes]
    for number in range(count):
        rng = random.Random(f"bpvs oracle {seed} {number}")
        theme = rng.choices(themes, weights)[0]
        texts.append(Generator(rng, theme).text(f"random-{seed}-{number}"))
    return texts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--theme", choices=sorted(THEMES), help="of this theme only")
    given = parser.parse_args()
    if given.theme:
        for name in THEMES:
            THEMES[name] = (int(name == given.theme), THEMES[name][1])
    print("\n".join(generate(given.seed, given.count)))


if __name__ == "__main__":
    main()
