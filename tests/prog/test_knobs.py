# SPDX-License-Identifier: GPL-2.0-only
"""Sysctls that change where a packet goes: conn_max, nat_icmp_send, schedule_icmp."""

import os

import pytest
from harness import FAMILIES, V4, V6, MAC_C0, MAC_S0, l4, mac_client, mac_real
from scapy.all import ICMP, Ether, ICMPv6DestUnreach, Raw

pytestmark = pytest.mark.usefixtures("no_bugs")

each_family = pytest.mark.parametrize("fam", FAMILIES, ids=["v4", "v6"])
each_hook = pytest.mark.parametrize("hook", ["xdp", "tc"])
each_proto = pytest.mark.parametrize("proto", ["tcp", "udp", "sctp"])

DEFAULTS = ("conn_max=1073741824", "nat_icmp_send=0", "schedule_icmp=0")
SHARED, EMPTY, PERSISTENT = 82, 83, 84


def bpvs(ns, *argv):
    return ns.exec(ns.build / "bpvs/bpvs", *argv).stdout


@pytest.fixture(autouse=True)
def services(ns, prog):
    """80 by NAT to server 1; 82 to the same server's endpoint, too; 83 without; 84 persistent."""
    ns.ipvsadm("-C")
    bpvs(ns, "flush")
    for fam in FAMILIES:
        for opt in ("-t", "-u", "--sctp-service"):
            for vport, rport in ((80, 8080), (81, 8081), (SHARED, 8081)):
                service = fam.endpoint(fam.vip, vport)
                ns.ipvsadm(f"-A {opt} {service} -s rr\n"
                           f"-a {opt} {service} -r {fam.endpoint(fam.real(1), rport)} -m")
            ns.ipvsadm(f"-A {opt} {fam.endpoint(fam.vip, EMPTY)} -s rr")
            service = fam.endpoint(fam.vip, PERSISTENT)
            ns.ipvsadm(f"-A {opt} {service} -s rr -p 300\n"
                       f"-a {opt} {service} -r {fam.endpoint(fam.real(2), PERSISTENT)} -m")
    yield
    bpvs(ns, "sysctl", *DEFAULTS)
    ns.ipvsadm("-C")
    bpvs(ns, "flush")


def in_c0(fam, body, src=None):
    return Ether(src=mac_client(), dst=MAC_C0) / fam.ip(src or fam.client, fam.vip) / body


def in_s0(fam, body, n=1):
    return Ether(src=mac_real(n), dst=MAC_S0) / fam.ip(fam.real(n), fam.client) / body


# ---- conn_max ----


@each_hook
@each_family
def test_conn_max(ns, prog, hook, fam):
    """So many and no more, silently; what is known goes on; one that ended makes room."""
    bpvs(ns, "sysctl", "conn_max=5")
    fates = lambda ports: "".join(
        prog.deliver(hook, in_c0(fam, l4("tcp", p, 80))).fate[0] for p in ports)
    with prog.counting() as grown:
        assert fates(range(2000, 2008)) == "sssssddd"
    assert grown["conn-max"] == 3 and len(prog.conns()) == 5
    assert fates(range(2000, 2005)) == "sssss"
    bpvs(ns, "sysctl", "conn_max=3")
    assert fates([2010]) == "d" and len(prog.conns()) == 5
    bpvs(ns, "flush")
    assert fates(range(2020, 2025)) == "sssdd"
    bpvs(ns, "sysctl", "conn_max=0")
    bpvs(ns, "flush")
    assert fates([2030]) == "d"
    bpvs(ns, "sysctl", "conn_max=1073741824")
    assert fates(range(2040, 2050)) == "s" * 10


def test_conn_max_counts_templates(ns, prog):
    """As kernel 7.2: with room for one the template is made, and then not the connection."""
    syn = lambda n: in_c0(V4, l4("tcp", 2000 + n, PERSISTENT), f"10.0.1.{n}")
    bpvs(ns, "sysctl", "conn_max=3")
    assert [prog.deliver("tc", syn(n)).fate for n in (1, 2, 3)] == ["sent", "drop", "drop"]
    assert sorted(c["client"] for c in prog.conns()) == [
        ["10.0.1.1", 0], ["10.0.1.1", 2001], ["10.0.1.2", 0]]
    # The template that was left has no connection that would hold it.
    bpvs(ns, "flush")
    assert prog.conns() == []


def test_conn_max_without_destination(ns, prog):
    """The scheduler is asked first: no destination is told, limit or not."""
    bpvs(ns, "sysctl", "conn_max=0")
    assert prog.tc(in_c0(V4, l4("tcp", 2000, EMPTY))).fate == "sent"


# ---- nat_icmp_send ----


def told(fam, proto, result, given, met=None):
    """Port unreachable to the server that sent `given`, from our address on its link: about `met`,
    which is that packet as we met it."""
    assert result.fate == "sent", result
    ip = result.pkt.payload
    assert (ip.src, ip.dst) == (fam.host_s, fam.real(1))
    assert result.raw[:12] == bytes(given)[6:12] + bytes(given)[:6]
    if fam is V4:
        assert (ip[ICMP].type, ip[ICMP].code) == (3, 3)
        assert bytes(ip[ICMP].payload) == bytes((met or given).payload)
    else:
        assert ip[ICMPv6DestUnreach].code == 4
        assert bytes(ip[ICMPv6DestUnreach].payload) == bytes((met or given).payload)


@each_family
@each_proto
@pytest.mark.parametrize("sport", [8080, 8081], ids=["own", "shared"])
def test_nat_icmp_send(ns, prog, fam, proto, sport):
    given = in_s0(fam, l4(proto, sport, 4000, "A", b"stray"))
    with prog.counting() as grown:
        assert prog.tc(given, "s0").fate == "pass"
    assert grown == {"not-a-reply": 1}
    bpvs(ns, "sysctl", "nat_icmp_send=1")
    assert prog.xdp(given, "s0").fate == "pass"
    met = fam.ip(fam.real(1), fam.client, ttl=63) / given.payload.payload
    with prog.counting() as grown:
        told(fam, proto, prog.tc(given, "s0"), given, Ether(bytes(Ether() / met)))
    assert grown == {"stray": 1}
    last = fam.ip(fam.real(1), fam.client, ttl=1) / given.payload.payload
    result = prog.tc(Ether(src=mac_real(1), dst=MAC_S0) / last, "s0")
    assert result.fate == "pass"  # the stack says that its TTL has ended


@each_family
def test_nat_icmp_send_not(ns, prog, fam):
    """Not about RST, other ports, other servers; and replies of connections go on."""
    bpvs(ns, "sysctl", "nat_icmp_send=1")
    for body, n in ((l4("tcp", 8080, 4000, "R"), 1), (l4("tcp", 8080, 4000, "RA"), 1),
                    (l4("sctp", 8080, 4000, "R"), 1), (l4("tcp", 9999, 4000, "A"), 1), (l4("udp", 8080, 4000), 2)):
        given = in_s0(fam, body, n)
        result = prog.tc(given, "s0")
        assert result.fate == "pass" and result.raw == bytes(given)
    prog.deliver("tc", in_c0(fam, l4("tcp", 4000, 80)))
    with prog.counting() as grown:
        assert prog.tc(in_s0(fam, l4("tcp", 8080, 4000, "SA")), "s0").fate == "sent"
    assert grown == {"nat-out": 1}


# ---- schedule_icmp ----


def error(fam, proto, vport, cport):
    """Somebody on the client's side cannot take a packet that the VIP sent it."""
    quoted = fam.ip(fam.vip, fam.client) / l4(proto, vport, cport, "A", b"quoted")
    icmp = ICMP(type=3, code=4, nexthopmtu=1300) if fam is V4 else ICMPv6DestUnreach(code=1)
    return Ether(src=mac_client(), dst=MAC_C0) / fam.ip(fam.client, fam.vip) / icmp / quoted


@each_family
@each_proto
def test_schedule_icmp(ns, prog, port, fam, proto):
    given = error(fam, proto, 80, port)
    with prog.counting() as grown:
        assert prog.deliver("xdp", given).fate == "pass"
    assert grown["icmp-other"] == 1 and prog.conns(fam.client, port) == []
    bpvs(ns, "sysctl", "schedule_icmp=1")
    with prog.counting() as grown:
        result = prog.deliver("xdp", given)
    assert result.fate == "sent" and grown["icmp-in"] == 1
    assert result.pkt.payload.dst == fam.real(1)
    (conn,) = prog.conns(fam.client, port)
    assert conn["virtual"] == [fam.vip, 80] and conn["real"] == [fam.real(1), 8080]
    # The flow's packets take the same connection.
    with prog.counting() as grown:
        prog.deliver("tc", in_c0(fam, l4(proto, port, 80, "A")))
    assert grown == {"nat-in": 1} and len(prog.conns()) == 1


@each_family
def test_schedule_icmp_not(ns, prog, port, fam):
    """No service: the stack's. No destination: dropped without a word, for it is an error."""
    bpvs(ns, "sysctl", "schedule_icmp=1")
    for vport, fate, why in ((99, "pass", "icmp-other"), (EMPTY, "drop", "icmp-no-dest")):
        with prog.counting() as grown:
            assert prog.tc(error(fam, "tcp", vport, port)).fate == fate
        assert grown == {why: 1}
    assert prog.conns() == []


@each_family
def test_schedule_icmp_has_no_call(ns, prog, port, fam):
    """Nor the Call-ID that was read last: none, so it is dropped, as by the kernel."""
    service, sip = fam.endpoint(fam.vip, 5060), b"INVITE sip:a SIP/2.0\r\nCall-ID: one@host\r\n\r\n"
    ns.ipvsadm(f"-A -u {service} -s rr -p 300 --pe sip\n"
               f"-a -u {service} -r {fam.endpoint(fam.real(1), 5060)} -m")
    bpvs(ns, "sysctl", "schedule_icmp=1")
    cpus = os.sched_getaffinity(prog.proc.pid)
    os.sched_setaffinity(prog.proc.pid, {min(cpus)})  # what is left behind is left on a CPU
    try:
        assert prog.tc(in_c0(fam, l4("udp", port, 5060) / Raw(sip))).fate == "sent"
        assert len(prog.conns()) == 2
        with prog.counting() as grown:
            assert prog.tc(error(fam, "udp", 5060, port + 1)).fate == "drop"
        assert grown == {"icmp-no-dest": 1} and len(prog.conns()) == 2
    finally:
        os.sched_setaffinity(prog.proc.pid, cpus)
