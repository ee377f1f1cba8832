# SPDX-License-Identifier: GPL-2.0-only
"""Completion, by bash itself: what it offers at the end of a line."""

import os
import shlex
import subprocess

import pytest
from common import BUILD

# $1: a completion file, then the words, the last of which is to be completed
DRIVE = r"""
. /usr/share/bash-completion/bash_completion
. "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9
# as readline cuts words
compopt() { :; }
$(complete -p "$1" | sed 's/.*-F \([^ ]*\).*/\1/') "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


def offers(line, prefix=()):
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    env = dict(os.environ, LC_ALL="C.UTF-8",
               PATH=f"{BUILD}/bpvs:{BUILD}/ipvsadm:{os.environ['PATH']}")
    done = subprocess.run([*prefix, "bash", "--norc", "-c", DRIVE, "bash",
                           BUILD / "completion" / words[0], *words],
                          env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize("line, some, none", [
    ("bpvs ", {"up", "down", "realserver", "lab", "--help"}, set()),
    ("bpvs st", {"status"}, {"sysctl"}),
    ("bpvs up --mo", {"--mode"}, {"--dev"}),
    ("bpvs up --mode ", {"auto", "xdp", "generic", "tc"}, {"--dev"}),
    ("bpvs up --mode tc ", {"--dev", "--conns"}, {"auto"}),
    ("bpvs up --dev l", {"lo"}, set()),
    ("bpvs sysctl drop", {"drop_entry", "drop_packet"}, {"am_droprate"}),
    ("bpvs proc ip_vs_c", {"ip_vs_conn", "ip_vs_conn_sync"}, {"ip_vs"}),
    ("bpvs status -", {"-v", "--json"}, {"|"}),
    ("bpvs apply ", {"-f", "--keep"}, {"FILE"}),
    ("bpvs drain 192.0.2.1 --", {"--deadline", "--service"}, {"--dest"}),
    ("bpvs run -- ipvsa", {"ipvsadm"}, {"-f"}),
    ("bpvs realserver ", {"up", "down", "status"}, {"dr"}),
    ("bpvs realserver up --mode ", {"dr", "tun", "nat"}, {"up"}),
    ("bpvs realserver up --mode dr --", {"--vip", "--arp"}, {"--gateway", "--decap"}),
    ("bpvs realserver up --mode tun --", {"--decap", "--tun-type"}, {"--gateway"}),
    ("bpvs lab ", {"nat", "dr", "tun"}, {"up"}),
    ("bpvs lab nat ", {"up", "sh", "down"}, {"nat"}),
    ("bpvs lab nat sh ", {"client", "director", "rs1", "rs2"}, {"up"}),
    ("bpvs lab tun up ", {"--mode", "--bare"}, {"client"}),
    ("ipvsadm -", {"-A", "--add-service", "-L", "-l", "--set", "--start-daemon"}, {"-s", "--weight"}),
    ("ipvsadm -A -", {"-t", "-s", "--persistent", "-6"}, {"-r", "-w", "--sort"}),
    ("ipvsadm -a -", {"-t", "-r", "-w", "--tun-type"}, {"-s", "--stats"}),
    ("ipvsadm -L -", {"-n", "--stats", "-c", "--sort"}, {"-w"}),
    ("ipvsadm -A -s l", {"lc", "lblc", "lblcr"}, {"rr"}),
    ("ipvsadm --list --s", {"--stats", "--sort", "--syncid"}, {"--scheduler"}),
    ("ipvsadm -A -b mh", {"mh-port", "mh-fallback"}, {"sh-port"}),
    ("ipvsadm -a --tun-type ", {"ipip", "gue", "gre"}, {"-t"}),
    ("ipvsadm --start-daemon ", {"master", "backup"}, {"--syncid"}),
    ("ipvsadm -C ", set(), {"-t", "-n"}),
])
def test_offers(line, some, none):
    offered = offers(line)
    assert some <= offered and not none & offered, offered


def test_flags_are_those_there_are():
    """ipvsadm knows each scheduler and each flag that is offered."""
    for flag in offers("ipvsadm -A -b "):
        sched = flag.split("-")[0] if flag[1] == "h" else "rr"
        done = subprocess.run([BUILD / "tests/unit/ipvsadm-stub", "-A", "-t", "192.0.2.1:80", "-s",
                               sched, "-b", flag], capture_output=True, text=True, check=False)
        assert "scheduler flag" not in done.stderr


@pytest.fixture
def engine():
    """A namespace with an engine and a few rules; the words that run something there."""
    if os.geteuid():
        pytest.skip("an engine needs root")
    name = f"bpvs-t{os.getpid()}-complete"
    inside = ["ip", "netns", "exec", name]
    subprocess.run(["ip", "netns", "add", name], check=True)
    rules = """-A -t 192.0.2.1:80 -s rr
-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m
-a -t 192.0.2.1:80 -r 10.0.0.3:8080 -m
-A -t [2001:db8::1]:443 -s rr
-a -t [2001:db8::1]:443 -r [2001:db8::2]:443 -m
-A -u 192.0.2.7:53 -s rr
-A -f 77 -s rr
"""
    try:
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        subprocess.run([*inside, BUILD / "bpvs/bpvs", "up", "--conns", "1k"], check=True)
        subprocess.run([*inside, BUILD / "ipvsadm/ipvsadm", "-R"], input=rules, text=True, check=True)
        yield inside
    finally:
        subprocess.run([*inside, BUILD / "bpvs/bpvs", "down"], check=False)
        subprocess.run(["ip", "netns", "del", name], check=False)


def test_running_state(engine):
    assert offers("ipvsadm -D -t ", engine) == {"192.0.2.1:80", "[2001:db8::1]:443"}
    assert offers("ipvsadm -E -u ", engine) == {"192.0.2.7:53"}
    assert offers("ipvsadm -L -f ", engine) == {"77"}
    assert offers("ipvsadm -e -t 192.0.2.1:80 -r ", engine) == {"10.0.0.2:80", "10.0.0.3:8080"}
    assert "10.0.0.3:8080" in offers("bpvs drain 10.", engine)
    assert offers("bpvs flush --dest ", engine) == {"10.0.0.2:80", "10.0.0.3:8080",
                                                    "[2001:db8::2]:443"}


def test_looking_brings_nothing_up(engine):
    subprocess.run([*engine, BUILD / "bpvs/bpvs", "down"], check=True)
    assert offers("ipvsadm -D -t ", engine) == set()
    done = subprocess.run([*engine, BUILD / "bpvs/bpvs", "status"], capture_output=True, check=False)
    assert done.returncode == 1
