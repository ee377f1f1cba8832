# SPDX-License-Identifier: GPL-2.0-only
"""
The same services and connections in kernel IPVS and in BPVS, in one guest: what both say in
/proc/net/ip_vs*, to the byte. With BPVS_SHIM=full (make check-shim); tests/prog/test_proc.py
compares with what was recorded.
"""

import json
import re

import pytest
from common import BUILD
from vm import iptables, kernel_ipvsadm, vm_missing, vm_run

SCENARIO = """\
== proc: services of all kinds, and connections in several states
ipvsadm -A -t v1:80 -s wrr -p 300
ipvsadm -a -t v1:80 -r r1:8080 -m -w 3
ipvsadm -a -t v1:80 -r r2:8080 -m -w 0
ipvsadm -A -u v1:53 -s rr
ipvsadm -a -u v1:53 -r r3:53 -g -w 65535
ipvsadm -A -u v1:54 -s rr -o
ipvsadm -a -u v1:54 -r r3:54 -g
ipvsadm -A --sctp-service v2:9 -s lc
ipvsadm -a --sctp-service v2:9 -r r5:9 -m
ipvsadm -A -t v3:0 -s sh -b sh-port,sh-fallback -p 86400 -M 255.255.0.0
ipvsadm -a -t v3:0 -r r6 -i
ipvsadm -A -t v4:81 -s none
ipvsadm -A -t V1:80 -s wlc -p 60 -M 64
ipvsadm -a -t V1:80 -r R1:80 -m -x 100 -y 50
ipvsadm -A -t V2:80 -s mh
ipvsadm -a -t V2:80 -r r7:80 -i
ipvsadm -A -u V1:53 -s rr -o
ipvsadm -a -u V1:53 -r R3:53 -g
ipvsadm -A -f 7 -s sh -b sh-port -p 60 -M 255.255.255.0
ipvsadm -a -f 7 -r r4 -i -w 2
ipvsadm -A -f 4294967295 -6 -s fo -o
ipvsadm -a -f 4294967295 -6 -r [fd00:2::4]:0 -g
mark 7 tcp w1:443
open c1:2000..2002 v1:80
send c1:2000 v1:80
close c1:2001 v1:80
syn c2:2003 v1:80
open c1:2500 v3:8443
open c1:2600 w1:443
udp c2:4000..4001 v1:53
udp c2:4002 v1:54
sctp c3:5000 v2:9 INIT
sctp-reply c3:5000 v2:9 INIT_ACK
sctp c3:5000 v2:9 COOKIE_ECHO
sctp-reply c3:5000 v2:9 COOKIE_ACK
open C1:3000..3001 V1:80
sshut C1:3001 V1:80
open C1:3002 V2:80
udp C2:4000 V1:53
"""
PER_BUCKET = 7  # so many and more are counted together


@pytest.fixture(scope="module", params=["6.1", "7.2"])
def said(request, tmp_path_factory):
    reason = vm_missing(request.param)
    if reason:
        pytest.skip(reason)
    out = tmp_path_factory.mktemp("proc")
    ipvsadm, libs = kernel_ipvsadm()
    program, env = iptables()
    tools = {"bpvs": str(BUILD / "bpvs/bpvs"), "bpvs_ipvsadm": str(BUILD / "ipvsadm/ipvsadm"),
             "kernel_ipvsadm": str(ipvsadm), "libs": libs, "mode": "tc", "nft": True,
             "shim": str(BUILD / "shim/libbpvs-ipvs.so"),
             "iptables": str(program), "iptables_env": env}  # fmt: skip
    (out / "task.json").write_text(json.dumps({"text": SCENARIO, "tools": tools, "rounds": 1}))
    done = vm_run(["/usr/bin/python3", "tests/vm/proc_guest.py"], timeout=400, kernel=request.param,
                  options=["--out", out])  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "files.json").read_text())
    assert found["release"].startswith(request.param)
    return found


ours = pytest.mark.parametrize("way", ["proc", "opened"])


def blocks(text):
    """Head, and services with their servers: a hash orders the services."""
    head, *rest = re.split(r"\n(?=[A-Z])", re.sub(r"\(size=\d+\)", "(size=N)", text).rstrip("\n"))
    return [head, *sorted(rest)]


@ours
def test_services(said, way):
    assert blocks(said[way]["ip_vs"]) == blocks(said["kernel"]["ip_vs"])
    assert len(blocks(said[way]["ip_vs"])) == 3 + SCENARIO.count("ipvsadm -A") - 1


@ours
@pytest.mark.parametrize("name", ["ip_vs_conn", "ip_vs_conn_sync"])
def test_connections(said, way, name):
    """In any order; what is left of a connection's time stands in the same columns."""

    def rows(text):
        head, *lines = text.splitlines()
        split = [re.fullmatch(r"(.* )([ \d]{7})", line).groups() for line in lines]
        return head, sorted((start, int(left)) for start, left in split)

    head, theirs = rows(said["kernel"][name])
    got, mine = rows(said[way][name])
    assert got == head
    assert [start for start, _ in mine] == [start for start, _ in theirs]
    assert len(mine) >= 15
    within = max(said["seconds kernel"], said["seconds bpvs"]) + 1  # a guest is slow
    for (start, a), (_, b) in zip(mine, theirs):
        assert abs(a - b) <= within, start


def rates_blank(lines):
    """The last line has the rates, which depend on the phase of a round of two seconds."""
    return [*lines[:-1], re.sub(r" *[0-9A-F]+", lambda m: "#" * len(m[0]), lines[-1])]


@ours
def test_statistics(said, way):
    theirs, mine = (said[who]["ip_vs_stats"].splitlines() for who in ("kernel", way))
    assert rates_blank(mine) == rates_blank(theirs)
    assert int(mine[2].split()[0], 16) >= 10


def by_cpu(text):
    """(the lines but for the CPUs' numbers, the sums of those)"""
    lines = text.splitlines()
    cpus = [line for line in lines if re.match(r" *[0-9A-F]+( +[0-9A-F]+){5}$", line)]
    rows = [[int(n, 16) for n in line.split()] for line in cpus]
    assert [row[0] for row in rows] == list(range(len(rows)))
    blank = lambda line: re.sub(r" *[0-9A-F]+", lambda m: "#" * len(m[0]), line[3:])
    kept = [line[:3] + blank(line) if line in cpus else line for line in lines]
    return rates_blank(kept), [sum(column) for column in zip(*rows)][1:]


@ours
def test_statistics_by_cpu(said, way):
    """Which CPU counted is chance; what they have together is not."""
    theirs, mine = (by_cpu(said[who]["ip_vs_stats_percpu"]) for who in ("kernel", way))
    assert mine == theirs


@ours
def test_helpers(said, way):
    """But for the module, which the machine has loaded: BPVS's helper for FTP is none."""
    theirs = said["kernel"]["ip_vs_app"]
    assert said[way]["ip_vs_app"] == re.sub(r"^TCP +21 +0 +ftp *\n", "", theirs, flags=re.M)


NUMBERS = re.compile(r"-?\d+(?!:)")


@ours
def test_status(said, way):
    """From 7 on. How full which bucket is, is each engine's own; what is not here has no line."""
    mine = said[way]["ip_vs_status"].splitlines()
    conns = len(said[way]["ip_vs_conn"].splitlines()) - 1
    full = {int(n): int(m) for n, m in re.findall(r"^Conn buckets len-(\d):\t(\d+) ", "\n".join(mine), re.M)}
    assert mine[0] == f"Conns:\t{conns}"
    assert max(full) < PER_BUCKET and sum(n * m for n, m in full.items()) == conns
    size, empty = (int(re.match(r"[^\t]*\t(\d+)", line)[1]) for line in mine[1:3])
    assert size == empty + sum(full.values())
    assert f"Services:\t{SCENARIO.count('ipvsadm -A')}" in mine
    theirs = said["kernel"]["ip_vs_status"]
    if said["release"].startswith("6."):
        assert theirs is None
        return
    theirs = [line for line in theirs.splitlines() if not line.startswith("Service buckets ")]
    shape = lambda lines: [NUMBERS.sub("#", line) for line in lines if " len-" not in line]
    assert shape(mine) == shape(theirs)
    for name in ("Conns:", "Services:"):
        assert [l for l in mine if l.startswith(name)] == [l for l in theirs if l.startswith(name)]
