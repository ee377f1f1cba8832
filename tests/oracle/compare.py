# SPDX-License-Identifier: GPL-2.0-only
"""What counts as the same result (README.md, "What is compared")."""

import re

CLOCK = "#clock"  # how long ago the events before were
EXPIRY = 2  # seconds by which a connection's expiry may differ
RATE_SHARE, RATE_LEAST = 0.45, 3  # two rounds more, in the other engine, may halve a rate
CHI_SQUARE = {1: 23.9, 2: 27.6, 3: 30.7, 4: 33.4, 5: 35.9, 6: 38.3, 7: 40.5, 8: 42.7}  # p = 1e-6
SIZE = re.compile(r"\(size=\d+\)")
SUFFIX = {"": 1, "K": 1000, "M": 1000_000, "G": 1000_000_000}


def differs(ours, theirs):
    """Do two events' results, lists of (kind, text), differ?"""
    if [kind for kind, _ in ours] != [kind for kind, _ in theirs]:
        return True
    return any(not SAME[kind](a, b) for (kind, a), (_, b) in zip(ours, theirs))


# ---- what a listed difference may be ----


def steps(text):
    """The packets of an event: (what was sent, the frames that left for it)."""
    found = []
    for line in text.splitlines():
        if line.startswith("  "):
            found[-1][1].append(line.strip())
        else:
            found.append((re.sub(": (nothing|nobody|straight)$", "", line), []))
    return found


def frames_explained(checks, kernel, bpvs, passed):
    """Are all but some packets' frames the same, and those as one of the checks has it? `passed` are
    the flows of which something was passed on, whose answers then are another host's."""
    a, b = steps(kernel), steps(bpvs)
    if [sent for sent, _ in a] != [sent for sent, _ in b]:
        return False
    for (sent, x), (_, y) in zip(a, b):
        if passed_on in checks and x != y and passed_on(x, y):
            passed.add(flow_of(sent))
        if not (x == y or any(check(x, y) for check in checks) or
                (flow_of(sent) in passed and
                 ((" server sends " in sent and router_answers(y)) or
                  (" client reports " in sent and "icmp" in " ".join(x + y)) or
                  unnumbered(x) == unnumbered(y)))):
            return False
    return True


def flow_of(sent):
    return re.sub(" (client|server) (sends|reports) .*", "", sent)


def unnumbered(frames):
    """Without what an answer that only one engine's ends had moves in all that follows."""
    return [re.sub(r" (seq|ack) \d+", "", line) for line in frames]


def refused_from(kernel, bpvs):
    """The same error from another address, or none."""
    about = [re.sub(r"^(\S+ \S+) \S+ > ", r"\1 ", line) for line in bpvs]
    return (len(bpvs) == 1 and re.search(r"[wW]\d+ > \S+ (icmp 3/3|icmp6 1/4) ", bpvs[0]) and
            (not kernel or about == [re.sub(r"^(\S+ \S+) \S+ > ", r"\1 ", l) for l in kernel]))


def router_answers(bpvs):
    return all(re.match(r"out \S+: ([wW]\d+(:| > )|[oO] > )", line) for line in bpvs)


def passed_on(kernel, bpvs):
    """Out to the router behind which the address is, which may answer; the kernel has no socket."""
    answered = not kernel and router_answers(bpvs)
    return bool(bpvs) and (answered or all(line.startswith("in o:") for line in bpvs)) and all(
        line.startswith("out ") for line in kernel)


def hop_less(kernel, bpvs):
    """The same ICMP errors, a hop less, as are the tunnels that they are in."""
    def farther(line):
        error, quotes, about = line.partition(" quotes ")
        return re.sub(r"( ttl )(\d+)", lambda m: f"{m[1]}{int(m[2]) + 1}", error) + quotes + about
    return bool(bpvs) and " icmp" in bpvs[0] and [farther(line) for line in kernel] == bpvs


def untracked(kernel, bpvs):
    """A packet to a server that connection tracking would not have."""
    return not kernel and bool(bpvs) and all(line.startswith("in r") for line in bpvs)


def newer_known(kernel, bpvs):
    names = re.compile(r"^(conn_lfactor|conn_max|svc_lfactor) = .*\n", re.M)
    return names.sub("", kernel) == names.sub("", bpvs)


def memory_then(kernel, bpvs):
    """A default that comes of the host's memory, which is not the same all the time."""
    a, b = (re.fullmatch(r"sync_qlen_max = (\d+)\n?", text) for text in (kernel, bpvs))
    return bool(a and b) and abs(int(a[1]) - int(b[1])) * 10 <= int(a[1])


def bypassed(kernel, bpvs):
    """State and expiry of connections without a server."""
    row = re.compile(r"^(\S+) +\S+ +\S+ +(.* (0\.0\.0\.0|\[::\]):0)$", re.M)
    return same_conns(*(row.sub(r"\1 00:00 - \2", text) for text in (kernel, bpvs)))


def still_translated(kernel, bpvs):
    """What a server says leaves with its own address."""
    source = re.compile(r"^(out \S+: )[rR]\S+ > ")
    return len(kernel) == len(bpvs) == 1 and bool(source.match(bpvs[0])) and (
        source.sub(r"\1", bpvs[0]) == re.sub(r"^(out \S+: )[vVwW]\S+ > ", r"\1", kernel[0]))


def revived(kernel, bpvs):
    """Connections in CLOSE, of which BPVS has fewer."""
    closed = re.compile(r"^TCP +\S+ +CLOSE .*\n", re.M)
    return (set(closed.findall(kernel)) > set(closed.findall(bpvs)) and
            same_conns(*(closed.sub("", text) for text in (kernel, bpvs))))


# Where these are the reasons, results may differ this way and no other: frames packet by packet.
FRAMES_MAY = {"refused-not-local": refused_from, "marked-passed-on": passed_on,
              "marked-errors-hop": hop_less, "ftp-untracked": untracked,
              "nodest-at-once": still_translated}
OTHERS_MAY = {"newer-sysctls": ("text", newer_known), "bypass-answers": ("conns", bypassed),
              "memory-then": ("text", memory_then), "nodest-at-once": ("conns", revived)}


def explained(names, ours, theirs, passed):
    """Those of the reasons that may be why two results differ; the others explain anything. `passed`
    is a set that one run's events share."""
    wide = [n for n in names if n not in FRAMES_MAY and n not in OTHERS_MAY]
    if wide or [k for k, _ in ours] != [k for k, _ in theirs]:
        return wide
    checks = [FRAMES_MAY[n] for n in names if n in FRAMES_MAY]
    others = [OTHERS_MAY[n] for n in names if n in OTHERS_MAY]
    good = all(SAME[kind](a, b) or (kind == "frames" and frames_explained(checks, a, b, passed)) or
               any(kind == k and check(a, b) for k, check in others)
               for (kind, a), (_, b) in zip(ours, theirs))
    return list(names) if good else []


# ---- the kinds ----


def blocks(text):
    """A listing's services with their lines, sorted; the head comes first."""
    head, services = [], []
    for line in SIZE.sub("", text).splitlines():
        if re.match(r"(TCP|UDP|SCTP|FWM|-A) ", line):
            services.append([line])
        elif services:
            services[-1].append(line)
        else:
            head.append(line)
    return [head, *sorted(services)]


def same_services(a, b):
    return blocks(a) == blocks(b)


def connections(text):
    """The ages of events, the head, the rows as {all but expiry: seconds}, and rows that are there
    twice though they do not stand for templates, which may be alike but for a Call-ID."""
    ages, head, rows, twice = [], [], {}, []
    for line in text.splitlines():
        match = re.match(r"(\S+ +)(\d+):(\d+)( .*)$", line)
        if match:
            # A template out of use: to 6.1 its virtual port, too, is 65535.
            row = re.sub(r":\d+ +(\S+:65535 *)$", r":65535 \1", match[1] + match[4])
            if row in rows and not re.search(r":0 +\S+ +\S+ *$", row):
                twice.append(row)
            rows.setdefault(row, int(match[2]) * 60 + int(match[3]))
        elif line.startswith(CLOCK):
            ages = [float(age) for age in line.split()[1:]]
        else:
            head.append(line)
    return ages, head, rows, twice


def same_conns(kernel, bpvs):
    """The kernel may list a connection twice, where a reader's buffer ends. A timer was set by some
    event, which may be longer ago in the slower of the worlds."""
    ages_a, head_a, a, _ = connections(kernel)
    ages_b, head_b, b, twice = connections(bpvs)
    if head_a != head_b or twice:
        return False
    slack = EXPIRY + max((abs(x - y) for x, y in zip(ages_a, ages_b)), default=0)
    # What is in one only may have expired in the other, where more time has gone by.
    return all(abs(a.get(row, 0) - b.get(row, 0)) <= slack for row in a.keys() | b.keys())


def number(word):
    match = re.match(r"(\d+)([KMG]?)$", word)
    return int(match[1]) * SUFFIX[match[2]] if match else None


def same_word(a, b):
    x, y = number(a), number(b)
    if x is None or y is None:
        return a == b
    return min(x, y) >= RATE_SHARE * max(x, y) - RATE_LEAST


def same_rates(a, b):
    lines_a, lines_b = ([line.split() for block in blocks(text) for line in block]
                        for text in (a, b))
    return len(lines_a) == len(lines_b) and all(
        len(x) == len(y) and all(map(same_word, x, y)) for x, y in zip(lines_a, lines_b))


def same_shares(a, b):
    """Are two lots of counts drawn from one distribution? Chi square of the two samples."""
    counts_a, counts_b = ({host: int(n) for host, n in map(str.split, text.splitlines())}
                          for text in (a, b))
    total_a, total_b = sum(counts_a.values()), sum(counts_b.values())
    if not total_a or not total_b:
        return total_a == total_b
    hosts, chi = set(counts_a) | set(counts_b), 0.0
    for host in hosts:
        x, y = counts_a.get(host, 0), counts_b.get(host, 0)
        chi += (x * (total_b / total_a) ** 0.5 - y * (total_a / total_b) ** 0.5) ** 2 / (x + y)
    freedom = len(hosts) - 1
    return freedom == 0 or chi <= CHI_SQUARE.get(freedom, 5 * freedom + 5)


SAME = {
    "text": str.__eq__,
    "frames": str.__eq__,
    "services": same_services,
    "save": same_services,
    "conns": same_conns,
    "rate": same_rates,
    "shares": same_shares,
}


def show(result):
    """A result for a reader."""
    text = "\n".join(text.rstrip("\n") for _, text in result)
    return re.sub(rf"^{CLOCK}.*\n", "", text, flags=re.M) or "(no output)"
