# SPDX-License-Identifier: GPL-2.0-only
"""bpvs proc: connections and counters in the form of the kernel's files, as recorded."""

import re

import pytest
from common import ROOT
from harness import FAMILIES, MAC_C0, V4, V6, l4, mac_client
from scapy.all import Ether

pytestmark = pytest.mark.usefixtures("no_bugs")
LISTS = ROOT / "tests" / "golden" / "list"


def proc(ns, name):
    return ns.exec(ns.build / "bpvs/bpvs", "proc", name).stdout


def recorded(name):
    return (LISTS / f"proc_{name}.txt").read_text().splitlines()[1:]


def hexed(addr):
    if "." in addr:
        return "".join(f"{int(part):02X}" for part in addr.split("."))
    words = addr.split(":")
    gap = words.index("")
    words[gap : gap + 1] = ["0"] * (9 - len(words))
    return ":".join(word.rjust(4, "0") for word in words)


@pytest.fixture(scope="module")
def flows(ns, prog):
    """A connection by TCP and one by UDP in both families, and a template."""
    for fam in FAMILIES:
        service = fam.endpoint(fam.vip, 80)
        for opt, more in (("-t", "-p 300"), ("-u", "")):
            ns.ipvsadm(f"-A {opt} {service} -s rr {more}")
            ns.ipvsadm(f"-a {opt} {service} -r {fam.endpoint(fam.real(1), 80)} -m")
        for proto in ("tcp", "udp"):
            packet = (
                Ether(src=mac_client(), dst=MAC_C0)
                / fam.ip(fam.client, fam.vip)
                / l4(proto, 2000, 80)
            )
            prog.deliver("tc", packet)
    yield prog
    ns.ipvsadm("-C")


def rows(fam):
    """What is to be listed: protocol, client's port, state and the longest time left."""
    for proto, port, state, most in (
        ("TCP", 2000, "SYN_RECV", 60), ("UDP", 2000, "UDP", 300), ("TCP", 0, "NONE", 300),
    ):  # fmt: skip
        # With no mask a template's client is the whole address.
        ends = " ".join(
            f"{hexed(addr)} {p:04X}" for addr, p in
            ((fam.client, port), (fam.vip, 80), (fam.real(1), 80))
        )  # fmt: skip
        yield f"{proto} {ends} {state:<11}", most


@pytest.mark.parametrize("name, origin", [("ip_vs_conn", ""), ("ip_vs_conn_sync", " LOCAL ")])
def test_connections(name, origin, ns, flows):
    lines = proc(ns, name).splitlines()
    assert lines.pop(0) == recorded(name)[0]
    for fam in (V4, V6):
        for start, most in rows(fam):
            found = [line for line in lines if line.startswith(start + origin)]
            assert len(found) == 1, (start, lines)
            left = re.fullmatch(r" ( *\d+)", found[0][len(start + origin) :])[1]
            assert len(left) == 7 and most - 30 < int(left) <= most
            lines.remove(found[0])
    assert lines == []


def same_shape(lines, like):
    """Equal but for the numbers, which stand in the same columns."""
    blank = lambda line: re.sub(r" *[0-9A-F]+(?= |$)", lambda m: "#" * len(m[0]), line)
    assert [blank(line) for line in lines] == [blank(line) for line in like]


def test_statistics(ns, flows):
    lines = proc(ns, "ip_vs_stats").splitlines()
    same_shape(lines, recorded("ip_vs_stats"))
    total = flows.stats("total")
    assert [int(n, 16) for n in lines[2].split()][:3] == [
        total["conns"], total["inpkts"], total["outpkts"]
    ]  # fmt: skip


def test_statistics_by_cpu(ns, flows):
    """A row for each CPU, of which the last sums up what was counted since it was zeroed."""
    before = flows.stats("total")["conns"]
    ns.ipvsadm("-Z")
    lines = proc(ns, "ip_vs_stats_percpu").splitlines()
    like = recorded("ip_vs_stats_percpu")
    cpus = [line for line in lines if re.match(r" *\d+ ", line)][: len(lines) - 6]
    same_shape(lines[:3] + lines[-4:], like[:3] + like[-4:])
    assert [int(line[:3], 16) for line in cpus] == list(range(len(cpus)))
    assert sum(int(line.split()[1], 16) for line in cpus) == before > 0
    assert lines[2 + len(cpus)].split() == ["~", "0", "0", "0", "0", "0"]


# As kernel 7.2 has it, without the lines about the hash of services, and of threads.
STATUS = r"""Conns:\t(\d+)
Conn buckets:\t(\d+) \((\d+) bits, lfactor -4\)
Conn buckets empty:\t(\d+) \(\d+%\)
Conn buckets len-1:\t(\d+) \(\d+%\)
(?:Conn buckets len-2:\t(\d+) \(\d+%\)
)?Services:\t4
Service buckets:\t\d+ \(\d+ bits, lfactor -3\)
Stats thread slots:\t0 \(max 0\)
Stats chain max len:\t0
Stats thread ests:\t0
"""


def test_status(ns, flows):
    """Six connections: seldom do two of them have one home, and three hardly ever."""
    found = re.fullmatch(STATUS, proc(ns, "ip_vs_status"))
    conns, size, bits, empty, ones, twos = (int(n or 0) for n in found.groups())
    assert conns == ones + 2 * twos == len(proc(ns, "ip_vs_conn").splitlines()) - 1 > 0
    assert size == empty + ones + twos and 2 ** (bits - 1) < size <= 2**bits


def test_helpers(ns, flows):
    assert proc(ns, "ip_vs_app").splitlines() == recorded("ip_vs_app")


def test_no_such_file(ns, flows):
    done = ns.exec(ns.build / "bpvs/bpvs", "proc", "ip_vs_nope", check=False)
    assert done.returncode == 2 and done.stderr.startswith("Usage: bpvs proc ip_vs|")
