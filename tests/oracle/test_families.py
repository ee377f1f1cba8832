# SPDX-License-Identifier: GPL-2.0-only
"""Twins of scenarios in IPv6."""

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import families  # noqa: E402
import scenario  # noqa: E402

LINES = {
    "ipvsadm -A -t v1:80 -s rr -o": "ipvsadm -A -t V1:80 -s rr -o",
    "ipvsadm -d -u v1:53 -r r12": "ipvsadm -d -u V1:53 -r R12",
    "ipvsadm -a -f 7 -r d:53 -g": "ipvsadm -a -f 7 -6 -r D:53 -g",
    "ipvsadm -a -f 7 -r d -g": "ipvsadm -a -f 7 -6 -r D -g",
    "-a -f 7 -r r1 -g": "-a -f 7 -6 -r R1 -g",
    "look stats of -f 7": "look stats of -f 7 -6",
    "mark 7 udp w1,w2,w30:53": "mark 7 udp W1,W2,W30:53",
    "udp f1..f40:1000 w1..w20:53 x3": "udp F1..F40:1000 W1..W20:53 x3",
    "tcp c1:2000..2003 v1:80 F len 8": "tcp C1:2000..2003 V1:80 F len 8",
    "distribution udp f1..f9:1 v1:53": "distribution udp F1..F9:1 V1:53",
    "icmp-error-by server c1:2 v1:53 udp 3/4 mtu 1300":
        "icmp-error-by server C1:2 V1:53 udp 2/0 mtu 1300",
    "sysctl sloppy_tcp=1": "sysctl sloppy_tcp=1",
    "wait 1.3": "wait 1.3",
}


@pytest.mark.parametrize("line", LINES)
def test_line(line):
    assert families.twin_line(line) == LINES[line]


@pytest.mark.parametrize("line", ["ipvsadm -A -t v1:80 -p 5 -M 255.255.255.0", "udp c1:2 v1:53 nosum"])
def test_no_twin(line):
    with pytest.raises(families.NoTwin):
        families.twin_line(line)


def test_parse_makes_both():
    one, two = scenario.parse("== a-name: a sentence\nboth families\ndiffers x\nudp c1:2000 v1:53\n")
    assert (one.name, two.name) == ("a-name", "a-name-v6")
    assert two.events[0].text == "udp C1:2000 V1:53"
    assert two.differs == one.differs == ["x"]
    assert "both" not in one.source()


def test_written_scenarios_are_well_formed():
    found = scenario.load(HERE / "scenarios")
    assert len(found) > 600
    assert len({s.name for s in found}) == len(found)
    assert sum(s.name.endswith("-v6") for s in found) > 100
