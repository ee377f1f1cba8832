# SPDX-License-Identifier: GPL-2.0-only
"""What may differ: each by the name under which docs/ipvsadm.md gives the reason. What is listed
here and shown by no case of the corpus any more is an error of its own."""

import itertools
import re

import sides

EXCEPTIONS = {}


def exception(name):
    def add(function):
        EXCEPTIONS[name] = function
        return function

    return add


def exceptions_of(case, real, got):
    """The names of those that explain this difference."""
    if "error" in got:
        return []
    theirs, mine = sides.outcome(real), sides.outcome(got)
    return [name for name, explains in EXCEPTIONS.items() if explains(case, theirs, mine)]


# ---- what is not there yet ----


def refused(result, what):
    status, out, err = result
    return status == 2 and not out and re.fullmatch(rf"ipvsadm: {what} not built into this BPVS yet\n", err)


@exception("no-sync")
def _(case, theirs, mine):
    if mine[0] == [255, "", "Protocol not supported\n"]:  # the original, over ours
        return "--start-daemon" in case["argv"] + case["stdin"].split() and theirs[0][0] in (0, 255)
    return theirs[0][0] in (0, 255) and refused(
        mine[0], r"connection synchronisation \(--start-daemon\) is")


# ---- what depends on the kernel's inside ----


def in_any_order(listing):
    """Services with their servers, in an order of their own."""
    return sorted(re.split(r"\n(?=[A-Z])", listing.rstrip("\n")))


@exception("nosort-order")
def _(case, theirs, mine):
    a, b = theirs[0], mine[0]
    return ("--nosort" in case["argv"] and a[0] == b[0] and a[2] == b[2] and theirs[1] == mine[1]
            and in_any_order(a[1]) == in_any_order(b[1]))


@exception("newer-schedulers")
def _(case, theirs, mine):
    """twos is not in 6.1."""
    return "twos" in case["argv"] and theirs[0] == [
        255, "", "Scheduler or persistence engine not found\n"] and mine[0] == [0, "", ""]


def cyclic(values):
    """Are there some that no order suits, by differences of 32 bits?"""
    less = lambda a, b: (a - b) & 0x80000000 != 0
    return any((less(a, b) and less(b, a)) or any(less(a, b) and less(b, c) and less(c, a) for c in values)
               for a, b in itertools.permutations(values, 2))


def without_order(case):
    """Services sorted by marks, then by addresses."""
    marks, addresses = {0}, {}
    for line in filter(lambda line: line.startswith("-A"), case["setup"]):
        _, kind, value, *_ = line.split()
        if kind == "-f":
            marks.add(int(value))
        elif value[0].isdigit():
            addresses.setdefault(kind, set()).add(
                int.from_bytes(map(int, value.split(":")[0].split(".")), "big"))
    return any(cyclic(values) for values in (marks, *addresses.values()))


def rules_in_any_order(text):
    return sorted(re.split(r"\n(?=-A|IP |[A-Z]{3,4} )", text.rstrip("\n")))


@exception("cyclic-order")
def _(case, theirs, mine):
    return without_order(case) and all(
        a[0] == b[0] and a[2] == b[2] and rules_in_any_order(a[1]) == rules_in_any_order(b[1])
        for a, b in zip(theirs, mine))


# ---- where the original does harm ----


@exception("crash-flags")
def _(case, theirs, mine):
    """Killed by SIGSEGV."""
    return "-b" in case["argv"] and theirs[0] == [245, "", ""] and mine[0] == [0, "", ""]
