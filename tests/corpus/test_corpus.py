# SPDX-License-Identifier: GPL-2.0-only
"""The corpus itself: large, the same every time, and its judge tells what differs."""

import collections
import copy
import pathlib
import re
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parent.parent / "vm")]

import exceptions  # noqa: E402
import lines  # noqa: E402
import sides  # noqa: E402
from common import ROOT  # noqa: E402

REAL = {"got": [0, "IP Virtual Server version 1.2.1 (size=4096)\n", ""], "after": [0, "-A\n", ""]}


def test_size():
    cases = lines.corpus()
    assert len(cases) >= 4500
    assert len({sides.key(c) for c in cases}) == len({c["id"] for c in cases}) == len(cases)
    assert len(collections.Counter(c["category"] for c in cases)) >= 30


def test_a_seed_says_all():
    assert lines.corpus(3, 60) == lines.corpus(3, 60)
    assert lines.corpus(3, 60) != lines.corpus(4, 60)


def test_every_command_and_option_is_there():
    words = {w.split("=")[0] for c in lines.corpus() for w in c["argv"]}
    assert {f"--{long}" for long in lines.LONGS} <= words
    source = (ROOT / "ipvsadm" / "options.def").read_text()
    longs = set(re.findall(r'^(?:COMMAND|WORD)\(\w+, (?:"[^"]*"|\w+), "([a-z0-9-]+)"', source, re.M))
    assert longs - set(lines.LONGS) == {"json", "wide", "full"}, "our own only"


def test_what_differs_is_seen():
    (case,) = [c for c in lines.corpus() if c["id"] == "line-1"]
    assert sides.differ(case, REAL, REAL) == []
    for part, at, value in (("got", 0, 1), ("got", 1, "IP Virtual Server version 1.2.1\n"), ("got", 2, "\n"),
                            ("after", 1, "-A \n"), ("after", 0, 2)):
        other = copy.deepcopy(REAL)
        other[part][at] = value
        assert sides.differ(case, REAL, other)
        assert not exceptions.exceptions_of(case, REAL, other)
    size = copy.deepcopy(REAL)
    size["got"][1] = size["got"][1].replace("4096", "16384")
    assert sides.differ(case, REAL, size) == []


def test_exceptions_have_reasons():
    headings = [re.findall(r"^### ([a-z0-9-]+): ", (ROOT / "docs" / name).read_text(), re.M)
                for name in ("ipvsadm.md", "differences.md")]
    assert set(exceptions.EXCEPTIONS) <= {*headings[0], *headings[1]}
    assert set(headings[0]) <= set(exceptions.EXCEPTIONS)
