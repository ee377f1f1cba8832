# SPDX-License-Identifier: GPL-2.0-only
"""Tools and an instance of different versions: each tool refuses, says why, and changes nothing."""

import json
import os
import re
import shutil
import subprocess

import pytest
from common import BUILD, ROOT, lone_namespace
from golden import genl, sockopt

NETNS = f"versions-{os.getpid()}"
BPVS = BUILD / "bpvs" / "bpvs"
IPVSADM = BUILD / "ipvsadm" / "ipvsadm"
ANCHOR = (ROOT / "include/bpvs/anchor.h").read_text()
ABI = int(re.search(r"#define BPVS_ABI (\d+)", ANCHOR)[1])
ABI_FIRST = int(re.search(r"#define BPVS_ABI_FIRST (\d+)", ANCHOR)[1])
RULES = "-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 10.0.0.11:80 -m -w 3\n"
EPROTO = 71
# What every version's anchor begins with (struct bpvs_anchor).
FIXED = 32


def told(version):
    return f"another version's (map layout {version}, of this tool {ABI})"


class Instance:
    def __init__(self, inside):
        self.inside = inside

    def run(self, *argv, **kwargs):
        return subprocess.run(
            [*self.inside, *map(str, argv)], capture_output=True, text=True, timeout=60,
            check=False, **kwargs,
        )  # fmt: skip

    def must(self, *argv, **kwargs):
        done = self.run(*argv, **kwargs)
        assert done.returncode == 0, (argv, done.stderr)
        return done.stdout

    def anchor(self):
        """The map by which tools find the instance."""
        shown = self.must("tc", "filter", "show", "dev", "lo", "ingress")
        prog = re.search(r"bpvs_anchor.* id (\d+)", shown)[1]
        return json.loads(self.must("bpftool", "-j", "prog", "show", "id", prog))["map_ids"][0]

    def anchor_read(self, number):
        (entry,) = json.loads(self.must("bpftool", "-j", "map", "dump", "id", str(number)))
        return bytes(int(b, 16) for b in entry["value"])

    def anchor_write(self, number, value):
        words = ["key", "hex", "00", "00", "00", "00", "value", "hex", *(f"{b:02x}" for b in value)]
        self.must("bpftool", "map", "update", "id", str(number), *words)

    def state(self):
        """What a tool might change, but for the tables."""
        links = json.loads(self.must("ip", "-j", "-d", "link"))
        # The kernel's own routes come by themselves, when an address has been found to be free.
        rules = [self.must("ip", f"-{n}", "rule") + "".join(
                     line for line in self.must("ip", f"-{n}", "route", "show", "table", "all").splitlines(True)
                     if "proto kernel" not in line)
                 for n in (4, 6)]  # fmt: skip
        filters = [self.must("tc", "filter", "show", "dev", link["ifname"], "ingress") for link in links]
        return links, rules, filters, self.must("sysctl", "-a", "--pattern", r"^net\.ipv[46]\.conf")


@pytest.fixture(scope="module")
def instance():
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and BPF")
    with lone_namespace(NETNS) as inside:
        here = Instance(inside)
        here.must(BPVS, "up", "--conns", "16k", "--services", "256", "--dests", "4k")
        here.must(IPVSADM, "-R", input=RULES)
        yield here


@pytest.fixture(scope="module", params=[ABI - 1, ABI + 1], ids=["older", "newer"])
def other(instance, request):
    """The instance of another version: what follows the fixed part of its anchor means nothing to us.

    Nothing has changed when all tools have been tried.
    """
    number = instance.anchor()
    own = instance.anchor_read(number)
    assert int.from_bytes(own[:4], "little") == ABI
    foreign = request.param.to_bytes(4, "little") + own[4:FIXED] + b"\xff" * (len(own) - FIXED)
    instance.anchor_write(number, foreign)
    theirs, before = instance.anchor_read(number), instance.state()
    try:
        yield instance, request.param
        assert instance.anchor_read(number) == theirs, "nobody wrote to it"
    finally:
        instance.anchor_write(number, own)
    assert instance.state() == before
    assert instance.must(IPVSADM, "-S", "-n") == RULES


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "services.yaml"
    path.write_text("services: []\n")
    return str(path)


def test_libraries_of_different_versions(instance, tmp_path):
    """What is preloaded and what answers: nothing of the other is called, and the kernel is asked."""
    shutil.copy(BUILD / "shim/libbpvs-ipvs.so", tmp_path)
    shutil.copy(BUILD / "tests/prog/libold-family.so", tmp_path / "libbpvs-family.so")
    calls = [
        sockopt.line("get", sockopt.GET_INFO, b"", 12),
        sockopt.line("set", sockopt.SET_FLUSH, b""),
    ]
    done = instance.run(
        "env", f"LD_PRELOAD={tmp_path}/libbpvs-ipvs.so", BUILD / "tests/prog/sockopt",
        input="\n".join(calls) + "\n",
    )  # fmt: skip
    asked = "BPVS: kernel IPVS is asked instead: libbpvs-family.so is of version"
    assert done.returncode == 0 and done.stderr.count(asked) == 1
    assert instance.must(IPVSADM, "-S", "-n") == RULES


# From here on the instance is another version's.
TOOLS = [
    (IPVSADM, "-Ln"),
    (IPVSADM, "-S", "-n"),
    (IPVSADM, "-C"),
    (IPVSADM, "-R"),
    (IPVSADM, "-A", "-t", "10.0.0.2:80"),
    (IPVSADM, "-Z"),
    (IPVSADM, "--set", "1", "1", "1"),
    (BPVS, "up"),
    (BPVS, "status"),
    (BPVS, "status", "--json"),
    (BPVS, "sysctl"),
    (BPVS, "sysctl", "drop_entry=1"),
    (BPVS, "proc", "ip_vs"),
    (BPVS, "flush"),
    (BPVS, "flush", "--dest", "10.0.0.11"),
    (BPVS, "drain", "10.0.0.11:80", "--deadline", "1s"),
    (BPVS, "dump"),
    (BPVS, "diff", "-f", "CONFIG"),
    (BPVS, "apply", "-f", "CONFIG"),
]


@pytest.mark.parametrize("words", TOOLS, ids=lambda words: "-".join(map(str, [words[0].name, *words[1:]])))
def test_a_tool_refuses(words, other, config):
    instance, version = other
    done = instance.run(*[config if word == "CONFIG" else word for word in words], input=RULES)
    assert done.returncode not in (0, 255), done
    assert told(version) in done.stderr and done.stdout == "", done


def test_down(other):
    """Of this version and later ones it takes an engine down; of those before, it says that it cannot."""
    instance, version = other
    number = instance.anchor()
    theirs = instance.anchor_read(number)
    instance.anchor_write(number, (ABI_FIRST - 1).to_bytes(4, "little") + theirs[4:])
    done = instance.run(BPVS, "down")
    assert done.returncode not in (0, 255) and f"too old (map layout {ABI_FIRST - 1})" in done.stderr, done
    instance.anchor_write(number, theirs)
    if version < ABI_FIRST:
        return
    with lone_namespace(f"{NETNS}-d") as inside:
        there = Instance(inside)
        before = there.state()[2:]
        there.must(BPVS, "up", "--conns", "16k")
        there.must(IPVSADM, "-R", input=RULES)
        number = there.anchor()
        own = there.anchor_read(number)
        there.anchor_write(number, version.to_bytes(4, "little") + own[4:FIXED] + b"\xff" * (len(own) - FIXED))
        there.must(BPVS, "down")
        assert there.state()[2:] == before


def test_a_program_is_told(other):
    """By the socket options; the words are on standard error."""
    instance, version = other
    calls = [
        sockopt.line("get", sockopt.GET_INFO, b"", 12),
        sockopt.line("set", sockopt.SET_FLUSH, b""),
        sockopt.line("set", sockopt.SET_TIMEOUT, bytes(12)),
    ]
    done = instance.run(BPVS, "run", "--", BUILD / "tests/prog/sockopt", input="\n".join(calls) + "\n")
    assert done.stdout.split() == [str(EPROTO)] * 3
    assert done.stderr.count(told(version)) == 1


def test_a_message_is_answered(other):
    instance, version = other
    messages = [
        genl.line(genl.FLUSH, genl.REQUEST | genl.ACK),
        genl.line(genl.GET_SERVICE, genl.REQUEST | genl.ACK | genl.DUMP),
    ]
    done = instance.run(BPVS, "run", "--", BUILD / "tests/prog/genl", input="\n".join(messages) + "\n")
    error = (2**32 - EPROTO).to_bytes(4, "little").hex()
    for block in genl.answers(done.stdout):
        assert len(block) == 1 and block[0].startswith(f"2 0 {error}"), done
    assert done.stderr.count(told(version)) == 1


def test_a_file_is_refused(other):
    instance, version = other
    done = instance.run(BPVS, "run", "cat", "/proc/net/ip_vs")
    assert done.returncode == 1 and done.stdout == ""
    assert "Protocol error" in done.stderr
    assert told(version) in done.stderr
