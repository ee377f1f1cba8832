# SPDX-License-Identifier: GPL-2.0-only
"""The recorded invocations of the original, and what is expected of ours in their place."""

import json
import pathlib
import re
import shlex
import subprocess

CASES = json.loads((pathlib.Path(__file__).parent / "commands.json").read_text())


def not_built(line):
    """The feature that a command line needs and that is not built yet, or None."""
    words = shlex.split(line)
    words = words[1:] if words and words[0] == "ipvsadm" else words
    if words and words[0] == "--start-daemon":
        return "connection synchronisation"
    return None


def missing(case):
    """Why a case cannot come out as recorded: what it, or what came before it, needs."""
    for line in case["setup"]:
        if not_built(line):
            return "setup needs " + not_built(line)
    # What the original itself refuses must be refused in its words, whatever else is missing.
    return "needs " + not_built(case["cmd"]) if case["rc"] == 0 and not_built(case["cmd"]) else None


def normal(text):
    """(size=N) is the size of the connection table, which is ours to choose."""
    return re.sub(r"\(size=\d+\)", "(size=N)", text)


class Result:
    def __init__(self, done):
        self.rc, self.out, self.err = done.returncode, normal(done.stdout), done.stderr


def refused(done):
    """How our ipvsadm refuses what is not built."""
    return (
        done.rc == 2
        and done.out == ""
        and re.fullmatch(r"ipvsadm: .* (is|are) not built into this BPVS yet\n", done.err)
    )


def check(case, run, refused=refused):
    """Run one case with run(arguments, stdin) -> Result on empty tables, and compare."""
    why = missing(case)
    for line in case["setup"]:
        done = run(shlex.split(line), "")
        if why and why.startswith("setup") and not_built(line):
            assert refused(done), line
        elif not why:
            assert done.rc == 0, (line, done.err)
    before = run(["-S", "-n"], "").out
    got = run(shlex.split(case["cmd"])[1:], case["stdin"])
    after = run(["-S", "-n"], "").out
    if why and not why.startswith("setup"):
        assert refused(got), (got.rc, got.out, got.err)
        assert after == before
        return
    if why and case["rc"] != 2:
        return  # the thing it works on could not be set up
    assert (got.rc, got.out, got.err) == (case["rc"], normal(case["out"]), case["err"])
    if not why:
        assert after == case["after"]


def outcome(case, run):
    """What came of a case on empty tables: [exit status, output, errors, rules afterwards]."""
    run(["-C"], "")
    for line in case["setup"]:
        run(shlex.split(line), "")
    got = run(shlex.split(case["cmd"])[1:], case["stdin"])
    return [got.rc, got.out, got.err, run(["-S", "-n"], "").out]


# The same without the generic netlink family, by socket options: {case's index: outcome} of those
# that do not come out as they are recorded with it.
OPTIONS = json.loads((pathlib.Path(__file__).parent / "commands-sockopt.json").read_text())
BY_OPTIONS = [n for n, case in enumerate(CASES) if not missing(case)]


def by_options(number):
    """What is to come of it."""
    case = CASES[number]
    recorded = [case["rc"], normal(case["out"]), case["err"], case["after"]]
    return OPTIONS.get(str(number), recorded)


def name(case):
    return re.sub(r"\W+", "-", case["cmd"][len("ipvsadm") :])[:60].strip("-") or "none"


def runner(command, **kwargs):
    """run() for check(): `command` is the program and what goes before its arguments."""

    def run(arguments, stdin):
        return Result(
            subprocess.run(
                [*command, *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=120,
                **kwargs,
            )
        )

    return run
