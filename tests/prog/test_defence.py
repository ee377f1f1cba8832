# SPDX-License-Identifier: GPL-2.0-only
"""drop_packet, drop_entry, secure_tcp and conn_max: what is kept out, what is dropped, what stays."""

import time

import pytest
from harness import V4, V6, l4, mac_client, mac_real, MAC_C0, MAC_S0
from scapy.all import Ether

pytestmark = pytest.mark.usefixtures("no_bugs")

KNOBS = ("drop_packet=0", "drop_entry=0", "secure_tcp=0", "am_droprate=10", "amemthresh=1024",
         "conn_max=1073741824")


def bpvs(ns, *argv):
    return ns.exec(ns.build / "bpvs/bpvs", *argv).stdout


def packet(fam, sport, flags="S", proto="tcp", dport=80):
    return (Ether(src=mac_client(), dst=MAC_C0) / fam.ip(fam.client, fam.vip)
            / l4(proto, sport, dport, flags))


@pytest.fixture
def services(ns, prog):
    """By NAT, 80 for TCP and UDP; persistent 81."""
    ns.ipvsadm("-C")
    bpvs(ns, "flush")
    for fam in (V4, V6):
        for opt, port, more in (("-t", 80, ""), ("-u", 80, ""), ("-t", 81, " -p 300")):
            service = fam.endpoint(fam.vip, port)
            ns.ipvsadm(f"-A {opt} {service} -s rr{more}\n"
                       f"-a {opt} {service} -r {fam.endpoint(fam.real(1), port)} -m")
    yield
    bpvs(ns, "sysctl", *KNOBS)
    ns.ipvsadm("--set 900 120 300\n-C")
    bpvs(ns, "flush")


# ---- drop_packet ----


def fates(prog, hook, numbers, **how):
    return "".join(prog.deliver(hook, packet(V4, n, **how)).fate[0] for n in numbers)


@pytest.mark.parametrize("hook", ["xdp", "tc"])
@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_drop_packet(ns, prog, services, hook, proto):
    """Each fifth, by a count that goes on from packet to packet."""
    bpvs(ns, "sysctl", "am_droprate=5", "drop_packet=3")
    with prog.counting() as grown:
        first = fates(prog, hook, range(3000, 3020), proto=proto)
    assert first.count("d") == 4 and "dssss" * 3 in first
    assert grown["defence"] == 4
    # Packets of known connections are no matter, nor do they move the counter.
    known = [3000 + n for n, fate in enumerate(first) if fate == "s"]
    assert set(fates(prog, hook, known * 2, proto=proto)) == {"s"}
    assert fates(prog, hook, range(3100, 3120), proto=proto) == first
    bpvs(ns, "sysctl", "drop_packet=0")
    assert fates(prog, hook, range(3200, 3220), proto=proto) == "s" * 20


def test_drop_packet_rates(ns, prog, services):
    bpvs(ns, "sysctl", "am_droprate=1", "drop_packet=3")
    assert fates(prog, "tc", range(3000, 3010)) == "d" * 10
    # As in the kernel, a new rate counts from the next look at the memory on, within a second.
    bpvs(ns, "sysctl", "am_droprate=-3")
    time.sleep(1.2)
    assert fates(prog, "tc", range(3000, 3010)) == "d" * 10
    bpvs(ns, "sysctl", "am_droprate=0", "drop_packet=3")
    assert fates(prog, "tc", range(3000, 3010)) == "s" * 10


def test_what_makes_no_connection_is_not_dropped(ns, prog, services):
    bpvs(ns, "sysctl", "am_droprate=1", "drop_packet=3")
    assert prog.deliver("tc", packet(V4, 3000, "A")).fate == "pass"
    assert prog.deliver("tc", packet(V4, 3000, "S", dport=99)).fate == "pass"


# ---- drop_entry ----

MANY = 1200


def dropped_within(prog, seconds, count):
    """Connections that went meanwhile, as count() says, and as the events say."""
    before = count()
    with prog.counting(events=True) as grown:
        time.sleep(seconds)
    return before - count(), grown.get("conn-dropped", 0)


def idle(ns, timeouts):
    """Make timeouts longer: then what there is has not had a packet for long. Or shorter: then it
    had one just now."""
    ns.ipvsadm(f"--set {timeouts}")


class Likely:
    """A thirty-second of the table a second goes; bounds that chance oversteps once in ages."""

    def __init__(self, n, share, seconds):
        self.n, self.share, self.seconds = n, share, seconds
        self.begun = time.monotonic()

    def __contains__(self, gone):
        mean = lambda seconds: self.n * self.share * seconds / 32
        longest = max(self.seconds, time.monotonic() - self.begun)
        return mean(self.seconds) * 0.35 < gone < mean(longest) * 2.5 + 10


def test_drop_entry_half_open(ns, prog, services):
    for n in range(MANY):
        prog.deliver("tc", packet(V4 if n % 2 else V6, 10000 + n))
    for n in range(100):
        for flags in ("S", "A"):
            prog.deliver("tc", packet(V4, 20000 + n, flags))
    states = lambda: [c["state"] for c in prog.conns()]
    assert states().count("SYN_RECV") == MANY
    bpvs(ns, "sysctl", "drop_entry=3")
    likely = Likely(MANY, 1, 3)
    gone, events = dropped_within(prog, 3, lambda: states().count("SYN_RECV"))
    assert gone in likely and events >= gone - 60
    assert states().count("ESTABLISHED") == 100
    bpvs(ns, "sysctl", "drop_entry=0")
    assert dropped_within(prog, 1.5, lambda: len(states())) == (0, 0)


def test_drop_entry_sctp(ns, prog, services):
    """Those of which only INIT was seen."""
    for fam in (V4, V6):
        ns.ipvsadm(f"-A --sctp-service {fam.endpoint(fam.vip, 80)} -s rr\n"
                   f"-a --sctp-service {fam.endpoint(fam.vip, 80)}"
                   f" -r {fam.endpoint(fam.real(1), 80)} -m")
    bpvs(ns, "sysctl", "sloppy_sctp=1")
    for n in range(100):
        prog.deliver("tc", packet(V4, 20000 + n, "A", "sctp"))
    bpvs(ns, "sysctl", "sloppy_sctp=0", "drop_entry=3")
    # They live for 4 s at most, so that what is dropped shows in the events alone.
    with prog.counting(events=True) as grown:
        for n in range(600):
            prog.deliver("tc", packet(V4 if n % 2 else V6, 10000 + n, "S", "sctp"))
        time.sleep(4.5)
    assert 15 < grown["conn-dropped"] < 300
    assert [c["state"] for c in prog.conns()].count("ESTABLISHED") == 100


def test_drop_entry_idle(ns, prog, services):
    """Those with few packets, one in as many of them; the others stay."""
    begun = time.monotonic()
    for n in range(MANY):
        for flags in ("S", "A", "A", "A"):
            prog.deliver("tc", packet(V4, 10000 + n, flags))
    for n in range(200):
        for flags in "S" + "A" * 8:
            prog.deliver("tc", packet(V4, 20000 + n, flags))
        prog.deliver("tc", packet(V4, 21000 + n, "S"))
        prog.deliver("tc", packet(V4, 21000 + n, "F"))
    count = lambda low: sum(low <= c["client"][1] < low + 1500 for c in prog.conns())
    few, many = (lambda: count(10000)), (lambda: count(20000))
    idle(ns, f"{900 - int(time.monotonic() - begun)} 0 0")
    bpvs(ns, "sysctl", "drop_entry=3")
    assert dropped_within(prog, 2, few) == (0, 0)
    idle(ns, "960 0 0")
    likely = Likely(MANY, 1 / 4, 4)
    gone, _ = dropped_within(prog, 4, few)
    assert gone in likely
    # Nine packets are too many; and TIME_WAIT goes by itself.
    assert many() == 400


@pytest.mark.parametrize("by", [59, 61])
def test_drop_entry_udp(ns, prog, services, by):
    for n in range(MANY):
        prog.deliver("tc", packet(V4, 10000 + n, proto="udp"))
    bpvs(ns, "sysctl", "drop_entry=3")
    # What takes some seconds to make is older than it: the first of them by those.
    youngest = max(c["expires_ms"] for c in prog.conns()) // 1000
    idle(ns, f"0 0 {youngest + by}")
    if by < 60:
        begun = time.monotonic()
        for n in range(MANY):
            prog.deliver("tc", packet(V4, 10000 + n, proto="udp"))
        idle(ns, f"0 0 {youngest + by - int(time.monotonic() - begun)}")
        assert dropped_within(prog, 2, lambda: len(prog.conns())) == (0, 0)
        return
    likely = Likely(MANY, 1, 3)
    gone, _ = dropped_within(prog, 3, lambda: len(prog.conns()))
    assert gone in likely


def test_drop_entry_templates(ns, prog, services):
    """With its only connection, half-open, an unassured template goes; an assured one stays."""
    for n in range(150):
        src = f"10.0.1.{n % 100 + 2}" if n < 100 else f"10.0.3.{n}"
        syn = (Ether(src=mac_client(), dst=MAC_C0) / V4.ip(src, V4.vip) / l4("tcp", 9000, 81, "S"))
        prog.deliver("tc", syn)
        if n >= 100:
            syn["TCP"].flags = "A"
            prog.deliver("tc", syn)
    templates = lambda: sum(c["client"][1] == 0 for c in prog.conns())
    conns = lambda: sum(c["client"][1] != 0 for c in prog.conns())
    assert (templates(), conns()) == (150, 150)
    bpvs(ns, "sysctl", "drop_entry=3")
    deadline = time.monotonic() + 45
    while conns() > 120 and time.monotonic() < deadline:
        time.sleep(0.2)
    bpvs(ns, "sysctl", "drop_entry=0")
    left = {c["client"][0] for c in prog.conns() if c["client"][1]}
    assert 50 <= len(left) <= 120
    # Templates are those of what is left, and nobody else's.
    assert {c["client"][0] for c in prog.conns() if not c["client"][1]} == left
    assert {f"10.0.3.{n}" for n in range(100, 150)} <= left


# ---- memory ----


def memory_known(ns):
    return "not known" not in bpvs(ns, "status")


def test_automatic(ns, prog, services):
    """1 and 2 follow the memory, at once when they are set; where it is not known they stay 1."""
    low = "2" if memory_known(ns) else "1"
    knobs = ("drop_entry", "drop_packet", "secure_tcp")
    read = lambda: [row.split()[-1] for row in bpvs(ns, "sysctl", *knobs).splitlines()]
    bpvs(ns, "sysctl", "amemthresh=2147483647", *(f"{k}=1" for k in knobs))
    assert read() == [low] * 3
    # All but nothing is free compared with the threshold: each is dropped.
    assert fates(prog, "tc", range(3000, 3010)) == ("d" if low == "2" else "s") * 10
    bpvs(ns, "sysctl", "amemthresh=1")
    deadline = time.monotonic() + 10
    while read() != ["1"] * 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert fates(prog, "tc", range(3000, 3010)) == "s" * 10
    bpvs(ns, "sysctl", *(f"{k}=2" for k in knobs))
    assert read() == ["1"] * 3
