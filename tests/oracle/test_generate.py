# SPDX-License-Identifier: GPL-2.0-only
"""The generator reaches what it is for, and says the same thing twice."""

import collections
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402
import scenario  # noqa: E402

OPTIONS = HERE.parent.parent / "ipvsadm" / "options.def"
# Said by nobody: -6 and its like have one form less, a command's help is one text.
ROW = re.compile(r'^(?:COMMAND|WORD)\(\w+, "?\w*[-\w]*"?, "([-\w]+)",(?: "([-\w]+)",)? (?:\'(\w)\'|0),', re.M)
EVENTS = """ipvsadm ipvsadm-restore sysctl wait look mark mark-iptables unmark udp udp-reply tcp tcp-reply syn open send recv
shut sshut close rst srst sctp sctp-reply ping icmp-error icmp-error-by frag raw distribution udp-from tcp-from""".split()
SYSCTLS = """amemthresh am_droprate drop_entry drop_packet secure_tcp backup_only cache_bypass conn_reuse_mode conntrack
expire_nodest_conn expire_quiescent_template ignore_tunneled nat_icmp_send pmtu_disc run_estimation est_cpulist
est_nice schedule_icmp sloppy_tcp sloppy_sctp snat_reroute sync_version sync_ports sync_persist_mode sync_qlen_max
sync_sock_size sync_threshold sync_refresh_period sync_retries lblc_expiration lblcr_expiration conn_lfactor svc_lfactor
conn_max""".split()


@pytest.fixture(scope="module")
def scenarios():
    found = []
    for text in generate.generate(11, 3000):
        found += scenario.parse(text)
    return found


def test_same_seed_same_text():
    first = generate.generate(5, 60)
    assert first == generate.generate(5, 60)
    assert first[:20] == generate.generate(5, 20)
    assert first != generate.generate(6, 60)
    other = subprocess.run(
        [sys.executable, HERE / "generate.py", "--seed", "5", "--count", "60"],
        capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "77"})
    assert other.stdout == "\n".join(first) + "\n"


def test_names_are_unique(scenarios):
    names = [s.name for s in scenarios]
    assert len(names) == len(set(names)) == 3000


def commands(scenarios):
    for one in scenarios:
        for event in one.events:
            if event.verb == "ipvsadm":
                yield shlex.split(event.text)[1:]
            for line in (event.stdin or "").splitlines():
                yield shlex.split(line.removeprefix("ipvsadm "))


def test_every_option_is_said(scenarios):
    rows = ROW.findall(OPTIONS.read_text())
    assert len(rows) > 50
    said = collections.Counter(word.split("=")[0] for words in commands(scenarios) for word in words)
    for first, second, short in rows:
        if first in ("json", "wide", "full"):
            continue  # ours alone
        forms = [f"--{second or first}", f"--{first}"] + ([f"-{short}"] if short else [])
        if first == "list":
            forms.append("-l")
        assert sum(said[form] for form in forms) >= 10, forms
    for scheduler in generate.SCHEDULERS + ["twos"]:
        assert said[scheduler] >= 30, scheduler
    for flag in ("sh-fallback", "sh-port", "mh-fallback", "mh-port", "flag-1", "flag-2", "flag-3"):
        assert sum(flag in word.split(",") for words in commands(scenarios) for word in words) >= 10, flag


def test_every_sysctl_is_set_and_refused(scenarios):
    said = collections.defaultdict(set)
    for one in scenarios:
        for event in one.events:
            if event.verb == "sysctl":
                name, _, value = event.text.split(None, 1)[1].partition("=")
                said[name].add(value)
    assert set(SYSCTLS) == set(generate.SYSCTLS)
    for name in SYSCTLS:
        good, bad = generate.SYSCTLS[name]
        for value in good + bad:
            if (name, value) != ("drop_entry", 3):
                assert str(value) in said[name], (name, value)
    assert "3" in said["drop_entry"]


def test_every_event_happens(scenarios):
    seen = collections.Counter(event.verb for one in scenarios for event in one.events)
    for verb in EVENTS:
        assert seen[verb] >= 20, verb
    assert set(seen) <= set(EVENTS)
    text = " ".join(e.text for one in scenarios for e in one.events)
    for word in ("icmp-error-by server", "icmp-error-by router", "ttl 1", "nosum", "badsum", "df len", " x3"):
        assert text.count(word) >= 20, word
    for chunk in generate.CHUNKS:
        assert text.count(chunk) >= 20, chunk
    for bundle in ("COOKIE_ECHO,ABORT", "COOKIE_ACK,ABORT"):
        assert text.count(bundle) >= 20, bundle
    for flags in generate.TCP_FLAGS:
        assert re.search(rf"tcp\S* \S+ \S+ {re.escape(flags)}( |$)", text), flags


def test_what_nobody_asked_for(scenarios):
    """Servers that send of themselves, and errors about what has no connection, where a sysctl has them answered."""
    told = started = few = 0
    for one in scenarios:
        on = set()
        for event in one.events:
            if event.verb == "sysctl":
                name, _, value = event.text.split(None, 1)[1].partition("=")
                (on.add if value == "1" else on.discard)(name)
                few += name == "conn_max" and value.isdigit() and int(value) <= 12
            told += event.verb in ("tcp-from", "udp-from") and "nat_icmp_send" in on
            started += event.verb == "icmp-error" and "schedule_icmp" in on and re.search(r":19[1-3]\d ", event.text) is not None
    assert told >= 100
    assert started >= 100
    assert few >= 50


def test_both_families_and_all_methods(scenarios):
    text = "\n".join(s.source() for s in scenarios)
    four, six = len(re.findall(r"\bc\d", text)), len(re.findall(r"\bC\d", text))
    assert min(four, six) * 4 > max(four, six)
    for method in ("-m", "-g", "-i"):
        assert text.count(f" {method} ") > 1000
    assert re.search(r"-a -[tu] V\S+ -r r\d", text)  # a tunnel of the other family


def test_waiting_is_short(scenarios):
    waits = [sum(float(e.words[0]) for e in one.events if e.verb == "wait") for one in scenarios]
    assert max(waits) < 30
    assert sum(waits) / len(waits) < 1.0


def test_flows_meet_again(scenarios):
    """States lie deep only if packets follow packets of the same flow with commands in between."""
    deep = 0
    for one in scenarios:
        first = {}
        edits = 0
        for event in one.events:
            edits += event.verb == "ipvsadm"
            if event.verb in scenario.PACKET_EVENTS and len(event.words) > 1:
                start = first.setdefault(tuple(event.words[:2]), edits)
                if edits > start:
                    deep += 1
                    break
    assert deep > len(scenarios) * 0.5
