# SPDX-License-Identifier: GPL-2.0-only
"""The corpus: recorded invocations, written ones, what follows from the tables of options, and
random ones of a seed. corpus(seed, count) is always the same for the same arguments."""

import itertools
import random
import shlex

import written as w
from golden import cases as golden

COUNT = 500  # random ones
# Every option, as it is said where it is right: the words of features of the option table.
OPTIONS = """-t 10.0.0.1:80|-u 10.0.0.1:53|--sctp-service 10.0.0.1:80|-f 7|-6|-s rr|-p|-p 60|-M 255.255.255.0|--pe sip
-o|-b flag-1|-r 10.0.0.11:80|-g|-i|-m|-w 2|-x 3|-y 1|--tun-type ipip|--tun-type gue|--tun-port 6080|--tun-nocsum
--tun-csum|--tun-remcsum|-c|--timeout|--daemon|--stats|--rate|--thresholds|--persistent-conn|--nosort|--sort|-X|-n
--tun-info|--syncid 5|--sync-maxlen 1400|--mcast-interface d0|--mcast-group 224.0.0.90|--mcast-port 9000
--mcast-ttl 3""".replace("\n", "|").split("|")
# Every command, with what it needs and bare.
COMMANDS = ["-A -t 10.0.0.9:80", "-A", "-E -t 10.0.0.1:80", "-E", "-D -t 10.0.0.1:80", "-D", "-C", "-R", "-S",
            "-a -t 10.0.0.1:80 -r 10.0.0.12:80", "-a -t 10.0.0.1:80", "-a", "-e -t 10.0.0.1:80 -r 10.0.0.11:80",
            "-e", "-d -t 10.0.0.1:80 -r 10.0.0.11:80", "-d", "-L", "-L -t 10.0.0.1:80", "-Z", "-Z -t 10.0.0.1:80",
            "--set 1 2 3", "--start-daemon backup", "--stop-daemon backup", "-h", "-v"]
LISTING = ["-n", "-c", "--stats", "--rate", "--thresholds", "--persistent-conn", "--tun-info", "--nosort", "--sort",
           "--exact", "--timeout", "--daemon", "-t 10.0.0.1:80"]
SERVER = ["-g", "-i", "-m", "-w 3", "-x 9", "-y 2", "--tun-type ipip", "--tun-type gue", "--tun-type gre",
          "--tun-port 6080", "--tun-nocsum", "--tun-csum", "--tun-remcsum"]
LONGS = """add-service edit-service delete-service clear restore save add-server edit-server delete-server list zero set
start-daemon stop-daemon help version tcp-service udp-service sctp-service fwmark-service ipv6 scheduler pe persistent
netmask real-server gatewaying ipip masquerading tun-type tun-port tun-nocsum tun-csum tun-remcsum weight u-threshold
l-threshold connection timeout daemon stats rate exact thresholds persistent-conn tun-info nosort sort ops numeric
sched-flags syncid sync-maxlen mcast-interface mcast-group mcast-port mcast-ttl""".split()


def case(category, line, setup=(), stdin="", **more):
    argv = shlex.split(line) if isinstance(line, str) else line
    return {"category": category, "argv": argv, "setup": list(setup), "stdin": stdin, **more}


# ---- the recorded ones ----


def recorded():
    return [case("recorded", golden_line(one), one["setup"], one["stdin"]) for one in golden.CASES]


def golden_line(one):
    return shlex.split(one["cmd"])[1:]


# ---- legality ----


def legality():
    same = ("-E", "-e", "-D")  # bare they are as -A, -a and -d
    for command, option in itertools.product((c for c in COMMANDS if c not in same), OPTIONS):
        yield case("legality", f"{command} {option}", w.SERVED)


def pairs():
    for a, b in itertools.combinations(LISTING, 2):
        yield case("listing-pairs", f"-L {a} {b}", w.MIXED)
    for a, b in itertools.combinations(SERVER, 2):
        yield case("server-pairs", f"-a -t 10.0.0.1:80 -r 10.0.0.12 {a} {b}", w.SERVED)


def tunnels():
    ports = ["", "--tun-port 6080"]
    sums = ["", "--tun-nocsum", "--tun-csum", "--tun-remcsum", "--tun-nocsum --tun-csum",
            "--tun-csum --tun-remcsum", "--tun-nocsum --tun-csum --tun-remcsum"]
    for kind, port, check in itertools.product(("ipip", "gue", "gre", "GUE", "vxlan", "''"), ports, sums):
        yield case("tunnels", f"-a -t 10.0.0.1:80 -r 10.0.0.12 -i --tun-type {kind} {port} {check}", w.SERVED)
    for port, check in itertools.product(ports, sums):
        yield case("tunnels", f"-e -t 10.0.0.1:80 -r 10.0.0.11 -i {port} {check}", w.SERVED)
        yield case("tunnels", f"-a -t 10.0.0.1:80 -r 10.0.0.11:81 -m {port} {check}", w.SERVED)


# ---- values ----


def endpoints():
    for text in w.ENDPOINTS:
        yield case("service-address", ["-A", "-t", text])
        yield case("service-address", ["-A", "-u", text, "-p", "-s", "rr"])
        yield case("server-address", ["-a", "-t", "10.0.0.1:80", "-r", text, "-m"], w.ONE)
    for text in w.ENDPOINTS[::2]:
        yield case("service-address", ["-A", "--sctp-service", text, "-s", "rr"])
        yield case("server-address", ["-a", "-f", "7", "-r", text], w.MARK)
        yield case("server-address", ["-a", "-t", "[2001:db8::1]:80", "-r", text, "-i"],
                   ["-A -t [2001:db8::1]:80"])
    for text in w.MARKS:
        yield case("mark", ["-A", "-f", text, "-s", "rr"])
        yield case("mark", ["-D", "-f", text], w.MARK)


def numbers():
    server = ["-a", "-t", "10.0.0.1:80", "-r", "10.0.0.12"]
    tunnel = server + ["-i", "--tun-type", "gue"]
    daemon = ["--start-daemon", "master", "--mcast-interface", "d0"]
    for text in w.NUMBERS:
        for option in ("-w", "-x", "-y"):
            yield case("number", server + [option, text], w.ONE)
        yield case("number", ["-A", "-t", "10.0.0.1:80", f"--persistent={text}"])
        yield case("number", ["-A", "-t", "10.0.0.1:80", "-p", text])
        yield case("number", tunnel + ["--tun-port", text], w.ONE)
        yield case("number", ["--set", text, "20", "20"])
    for text in w.NUMBERS[::3]:
        yield case("number", ["--set", "20", text, "20"])
        yield case("number", ["--set", "20", "20", text])
    for number, text in enumerate(w.NUMBERS):
        for at, option in enumerate(("--syncid", "--sync-maxlen", "--mcast-port", "--mcast-ttl")):
            if (number + at) % 2:
                yield case("number", daemon + [option, text])


def texts():
    for text in w.MASKS4:
        yield case("mask", ["-A", "-t", "10.0.0.1:80", "-p", "60", "-M", text])
    for text in w.MASKS6:
        yield case("mask", ["-A", "-t", "[2001:db8::1]:80", "-p", "60", "-M", text])
        yield case("mask", ["-A", "-f", "7", "-6", "-p", "60", "-M", text])
        yield case("mask", ["-A", "-p", "60", "-M", text, "-t", "[2001:db8::1]:80"])
    for text in w.SCHEDULERS:
        yield case("scheduler", ["-A", "-t", "10.0.0.1:80", "-s", text])
        yield case("scheduler", ["-E", "-t", "10.0.0.1:80", "-s", text], w.SERVED)
    for text, scheduler in itertools.product(w.FLAGS, ("sh", "mh", "rr")):
        yield case("flags", ["-A", "-t", "10.0.0.1:80", "-s", scheduler, "-b", text])
    for text in w.FLAGS[:10]:
        yield case("flags", ["-A", "-t", "10.0.0.1:80", "-b", text, "-s", "sh"])
        yield case("flags", ["-E", "-t", "10.0.0.1:80", "-b", text], ["-A -t 10.0.0.1:80 -s sh"])
    for text, rest in itertools.product(w.ENGINES, ([], ["-p", "60"])):
        yield case("engine", ["-A", "-u", "10.0.0.1:5060", "-s", "rr", "--pe", text, *rest])
    for text in w.GROUPS:
        yield case("daemon", ["--start-daemon", "master", "--mcast-interface", "d0", "--mcast-group", text])
    for text, kind in itertools.product(w.INTERFACES, ("master", "backup")):
        yield case("daemon", ["--start-daemon", kind, "--mcast-interface", text])


# ---- the ways of the command line ----


def spellings():
    for word in w.SPELLINGS:
        yield case("spelling", [word], w.SERVED)
    for line in w.LINES:
        yield case("line", line, w.SERVED)
    yield case("line", [])
    yield case("line", [], w.MIXED)
    for word in LONGS:
        yield case("abbreviation", f"-A -t 10.0.0.9:80 --{word[:-1]} 1")
        yield case("abbreviation", f"--{word[:-1]}", w.SERVED)
        yield case("equals", f"-L --{word}=1", w.SERVED)
        yield case("equals", f"--{word}=", w.SERVED)
        yield case("no-argument", f"-L --{word}", w.SERVED)
        yield case("no-argument", f"-a -t 10.0.0.1:80 -r 10.0.0.12 --{word}", w.SERVED)
        yield case("first-word", f"--{word} 10.0.0.1:80", w.SERVED)


def surroundings():
    names = ["", "ipvs", "/sbin/ipvsadm", "./ipvsadm", "a b", "x" * 200, "ipvsadm-restore", "ipvsadm-save", "-A"]
    for name, line in itertools.product(names, ("-h", "-v", "-Q", "", "-A -t 10.0.0.1:80 -Q", "-L -n")):
        yield case("program-name", line, w.SERVED, argv0=name)
    for value in ("C", "POSIX", "C.UTF-8", "de_DE.UTF-8", "nosuch", "tr_TR"):
        for line in ("-L", "-Q", "-A -t", "-h", "-A -t 10.0.0.9:80 -s nosuch", "--set 1", "-S", "-Ln --stats"):
            yield case("locale", line, w.MIXED, env={"LC_ALL": value, "LANG": value})
    for name in ("POSIXLY_CORRECT", "POSIX_ME_HARDER"):
        for line in ("-A junk -t 10.0.0.9:80", "-L junk -n", "--set 1 2 3 -n", "-A -t 10.0.0.9:80 -p 60"):
            yield case("environment", line, w.SERVED, env={name: "1"})
    for line in ("-L", "-S -n", "-h", "-v", "-L --timeout", "-L -c", "-Q"):
        yield case("full-device", line, w.MIXED, full=True)
    for line in ("-L", "-A -t 10.0.0.9:80", "-h", "-v", "-C", "-S", "-Q", "-A -t 10.0.0.1:99999", "--set 1 2 3", ""):
        yield case("no-privilege", line, w.SERVED, nobody=True)


# ---- restoring ----


def restores(rng):
    for line in w.RESTORE_LINES:
        yield case("restore-line", "-R", w.SERVED, line + "\n")
        yield case("restore-error-first", "-R", (), line + "\n-A -t 10.0.0.20:80 -s rr\n")
    # The same words on the command line.
    for _ in range(120):
        lines = rng.choices(w.RESTORE_LINES[w.GOOD], k=rng.randint(2, 12))
        if rng.random() < 0.5:
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(w.RESTORE_LINES))
        end = rng.choice(["\n", "\n", "\n", "", "\r\n", "\n\n"])
        yield case("restore", "-R", (), end.join(lines) + rng.choice([end, ""]))
    long = "-A -t 10.0.0.20:80"
    odd = ["", "\n", "\n\n\n", " ", " \n", "\0", "\0\n", "-A -t 10.0.0.1:80\0 -s rr\n", "\n" * 1000, "#\n", "##\n" * 50,
           "-A -t 10.0.0.1:80", "\ufeff-A -t 10.0.0.1:80\n", "-A -t 10.0.0.1:80 -s rr\x0b\n", "-A\f-t\f10.0.0.1:80\n",
           "-A -t 10.0.0.1:80\n-A -t 10.0.0.2:80 -s \udcff\n", "-A -t é:80\n",
           f"{long}{' ' * 100}\n", f"{long}{' ' * 2000}\n", f"{long}{' ' * 100000}-s rr\n", f"{' ' * 5000}{long}\n",
           f"{long} {'x' * 5000}\n", f"{long} -s {'y' * 5000}\n", f"{long} {'z ' * 200}\n", f"{long} {'z ' * 5000}\n",
           f"# {'c' * 20000}\n{long}\n", f"{long} {'-n ' * 60}\n", f"{long} {'-n ' * 260}\n"]
    for length in (8, 9, 10, 11, 15, 16, 17, 31, 32, 33, 62, 63, 64, 65, 127, 128, 129, 254, 255, 256, 257):
        odd.append(f"{long} -s rr{' w' * (length - 5)}\n-A -t 10.0.0.21:80\n")
        odd.append(f"{long} -s {'r' * length}\n-A -t 10.0.0.21:80\n")
    for text in odd:
        yield case("restore-odd", "-R", (), text)


# ---- tables and sequences ----


def random_endpoint(rng, port=True):
    host = rng.choice(["10.0.0.%d" % rng.randint(1, 8), "200.0.0.1", "[2001:db8::%x]" % rng.randint(1, 4),
                       "[2001:db8:1111:2222:3333:4444:5555:%x]" % rng.randint(1, 9)])
    return f"{host}:{rng.choice([80, 53, 443, 1004, 5060, 65535, 8080])}" if port else host


def random_service(rng):
    kind = rng.random()
    if kind < 0.2:
        return f"-f {rng.randint(1, 9)}{rng.choice(['', ' -6'])}"
    return f"{rng.choice(['-t', '-t', '-u', '--sctp-service'])} {random_endpoint(rng)}"


def random_options(rng, service):
    words = []
    scheduler = rng.choice(["rr", "wrr", "lc", "wlc", "sh", "mh", "dh", "sed", "nq", "fo", "ovf", "lblc", "lblcr"])
    if rng.random() < 0.7:
        words.append(f"-s {scheduler}")
    if rng.random() < 0.4:
        words.append(f"-p {rng.choice([1, 60, 360, 2678400])}")
        if rng.random() < 0.4:
            six = "[" in service or "-6" in service
            words.append(f"-M {rng.choice([1, 64, 128]) if six else rng.choice(['255.255.0.0', '255.255.255.255'])}")
        if rng.random() < 0.2:
            words.append("--pe sip")
    if rng.random() < 0.15:
        words.append("-o")
    if rng.random() < 0.2:
        words.append("-b " + rng.choice(["flag-1", "flag-2,flag-3", f"{scheduler}-port"]))
    return " ".join(words)


def random_server(rng):
    words = [rng.choice(["", "-g", "-m", "-i", "-m"])]
    if rng.random() < 0.5:
        words.append(f"-w {rng.choice([0, 1, 5, 100, 65535, 2147483647])}")
    if rng.random() < 0.2:
        words.append(f"-x {rng.choice([0, 1, 10])} -y {rng.choice([0, 1, 10])}")
    return " ".join(words)


def random_table(rng, size):
    lines = []
    for _ in range(size):
        service = random_service(rng)
        lines.append(f"-A {service} {random_options(rng, service)}")
        for _ in range(rng.choice([0, 1, 2, 3, 5])):
            endpoint = random_endpoint(rng, rng.random() < 0.7)
            lines.append(f"-a {service} -r {endpoint} {random_server(rng)}")
    # Setting up ends at a line that cannot be understood: keep those that can.
    return [line for line in lines if understood(line)]


def understood(line):
    words = line.split()
    if words[0] == "-A":
        flags = words[words.index("-b") + 1] if "-b" in words else "flag-1"
        scheduler = words[words.index("-s") + 1] if "-s" in words else "wlc"
        ops = "-o" not in words or "-u" in words or "-f" in words
        return ops and all(f.startswith(("flag", scheduler)) and not f.endswith("-port")
                           or f in ("sh-port", "mh-port") and f.startswith(scheduler)
                           for f in flags.split(","))
    server = words[words.index("-r") + 1]
    six = "[" in words[2] or "-6" in words
    if server[0] == "[" and not server[-1].isdigit():
        return False
    return six == ("[" in server) or "-i" in words


def random_lists(rng, count):
    for _ in range(count):
        options = rng.sample(LISTING[:10] + ["-n"] * 3, rng.randint(0, 4))
        yield case("random-listing", " ".join(["-L", *options]), random_table(rng, rng.randint(1, 6)))
    for _ in range(count // 2):
        table = random_table(rng, rng.randint(1, 8))
        yield case("random-save", rng.choice(["-S", "-S -n"]), table)
        yield case("random-restore", "-R", (), "".join(line + "\n" for line in table))


def random_changes(rng, count):
    for _ in range(count):
        table = random_table(rng, rng.randint(1, 4))
        some = [line.split(" -s ")[0].split(" -p")[0] for line in table]
        target = rng.choice(some) if some and rng.random() < 0.8 else "-A -t 10.0.0.77:80"
        words = target.split()
        server = "-r" in words
        command = rng.choice("aeed" if server else "AEED")
        rest = "" if command in "dD" else random_server(rng) if server else random_options(rng, target)
        if server:
            words = words[:words.index("-r") + 2]
        else:
            words = words[:4] if "-6" in words[:4] else words[:3]
        yield case("random-change", f"-{command} {' '.join(words[1:])} {rest}", table)


def random_words(rng, count):
    values = w.ENDPOINTS + w.NUMBERS + w.SCHEDULERS
    for _ in range(count):
        argv = shlex.split(rng.choice(COMMANDS))
        for _ in range(rng.randint(1, 4)):
            argv += shlex.split(rng.choice(OPTIONS))
        for _ in range(rng.choice([0, 0, 1, 2])):
            at = rng.randrange(len(argv))
            what = rng.choice(["swap", "drop", "repeat", "value"])
            if what == "swap":
                other = rng.randrange(len(argv))
                argv[at], argv[other] = argv[other], argv[at]
            elif what == "drop" and len(argv) > 1:
                del argv[at]
            elif what == "repeat":
                argv.insert(rng.randrange(len(argv) + 1), argv[at])
            else:
                argv[at] = rng.choice(values)
        yield case("random-words", argv, w.SERVED)


def orders(rng, count):
    """What is sorted by differences of 32 bits that wrap."""
    firsts = [0x01, 0x0a, 0x7f, 0x80, 0xa9, 0xc8, 0xdf]
    host4 = lambda: f"{rng.choice(firsts)}.{rng.choice([0, 255])}.0.{rng.randint(1, 4)}"
    word6 = lambda: rng.choice(["1", "7fff", "8000", "ffff", "2001", "db8"])
    host6 = lambda: f"[2001:{word6()}:{word6()}:{word6()}:{word6()}::{word6()}]"
    for _ in range(count):
        lines, services = [], set()
        for _ in range(rng.randint(2, 5)):
            host = rng.choice([host4, host6])
            services.add(rng.choice([
                f"-f {rng.choice([1, 2, 2147483647, 2147483648, 4294967295])}{rng.choice(['', ' -6'])}",
                f"{rng.choice(['-t', '-u', '--sctp-service'])} {host()}:{rng.choice([1, 80, 32768, 65535])}"]))
        for service in rng.sample(sorted(services), len(services)):
            lines.append(f"-A {service}")
            six = "[" in service or "-6" in service
            for _ in range(rng.randint(0, 6)):
                port = rng.choice(["", ":1", ":80", ":32768", ":65535"])
                if rng.random() < 0.3:
                    lines.append(f"-a {service} -r {rng.choice([host4, host6])()}:80 -i")
                elif six:
                    lines.append(f"-a {service} -r {host6()}{port or ':7'} -m")
                else:
                    lines.append(f"-a {service} -r {host4()}{port} -m")
        yield case("order", rng.choice(["-S -n", "-L -n", "-L -n --stats"]), lines)


def names():
    for options in ("", "-n", "--stats", "--rate", "--stats --exact", "--thresholds", "--persistent-conn", "--tun-info",
                    "-f 7", "-t 10.0.0.6:1007", "-t [2001:db8::1]:1007 --stats", "-f 4294967295 -6", "-n -f 7 --rate"):
        yield case("names", f"-L {options}", w.NAMED)
    for options in ("", "-n"):
        yield case("names", f"-S {options}", w.NAMED)


def corpus(seed=1, count=COUNT):
    rng = random.Random(seed)
    parts = [recorded(), legality(), pairs(), tunnels(), endpoints(), numbers(), texts(), spellings(),
             surroundings(), restores(rng), random_lists(rng, count // 5), random_changes(rng, count // 5),
             random_words(rng, count - 3 * (count // 5)), orders(rng, count // 8), names()]
    numbers_of = {}
    cases, seen = [], set()
    for one in itertools.chain(*parts):
        key = repr({k: v for k, v in one.items() if k != "category"})
        if key in seen or any("\0" in word for word in one["argv"]):
            continue
        seen.add(key)
        number = numbers_of[one["category"]] = numbers_of.get(one["category"], 0) + 1
        cases.append({"id": f"{one['category']}-{number}", **one})
    return cases
