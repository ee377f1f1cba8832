# SPDX-License-Identifier: GPL-2.0-only
"""
SCTP: the life of associations by every chunk in every direction against IPVS's tables written out
here, which packets begin one, which chunk of a packet counts; and what of CRC32c test_packets.py
does not see. Expected checksums are scapy's.
"""

import itertools
import time

import pytest
from harness import (
    FAMILIES,
    MAC_C0,
    MAC_S0,
    V4,
    V6,
    chunk,
    l4,
    mac_client,
    mac_real,
    same,
    sctp,
    sent,
)
from scapy.all import IP, SCTP, Ether, IPv6, IPv6ExtHdrFragment, Raw

pytestmark = pytest.mark.usefixtures("no_bugs")

each_hook = pytest.mark.parametrize("hook", ["xdp", "tc"])
each_family = pytest.mark.parametrize("fam", FAMILIES, ids=["v4", "v6"])

STATES = "NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL".split()
NAMES = dict(
    zip(
        STATES,
        "NONE INIT1 INIT C-SENT C-REPLIED C-WAIT COOKIE C-ECHOED ESTABLISHED S-SENT S-RECEIVED"
        " S-ACK-SENT REJECTED CLOSED".split(),
    )
)

# Seconds that an association lives after its last packet; 61 in all other states.
TIMEOUTS = {"NO": 2, "I1": 4, "RJ": 4, "ES": 900}

CHUNKS = {
    "data": 0,
    "init": 1,
    "init-ack": 2,
    "cookie-echo": 10,
    "cookie-ack": 11,
    "shutdown": 7,
    "shutdown-ack": 8,
    "shutdown-complete": 14,
    "error": 9,
    "abort": 6,
}

# All that IPVS has no row for: SACK, HEARTBEAT and its ACK, ECNE, CWR, AUTH, ASCONF, unknown.
AS_DATA = [3, 4, 5, 12, 13, 15, 16, 63, 128, 193, 255]

# Next state by direction and chunk. Columns as STATES.
TABLES = {
    "in": {
        "data": "ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL",
        "init": "I1 IN IN CS CR CW CO CE ES SS SR SA IN IN",
        "init-ack": "CW CW CW CS CR CO CO CE ES SS SR SA RJ CL",
        "cookie-echo": "CR IN IN CR CR CW CO CE ES SS SR SA RJ CL",
        "cookie-ack": "ES I1 IN CS CR CW CO ES ES SS SR SA RJ CL",
        "shutdown": "SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL",
        "shutdown-ack": "CL IN IN CS CR CW CO CE ES CL SR CL RJ CL",
        "shutdown-complete": "CL CL CL CS CR CW CO CE ES SS SR CL RJ CL",
        "error": "CL I1 IN CS CR CW CO CL ES SS SR SA RJ CL",
        "abort": "CL CL CL CL CL RJ CL CL CL CL CL CL CL CL",
    },
    "out": {
        "data": "ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL",
        "init": "CW CW CW CW CW CW CW CW ES CW CW CW CW CW",
        "init-ack": "CS CS CS CS CR CW CO CE ES SS SR SA RJ CL",
        "cookie-echo": "CE CE CE CE CE CE CE CE ES SS SR SA RJ CL",
        "cookie-ack": "ES ES ES ES ES ES ES ES ES SS SR SA RJ CL",
        "shutdown": "SS SS SS SS SS SS SS SS SS SS SR SA RJ CL",
        "shutdown-ack": "SA SA SA SA SA CW CO CE ES SA SA SA RJ CL",
        "shutdown-complete": "CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL",
        "error": "CL CL CL CL CL CW CO CE ES SS SR SA RJ CL",
        "abort": "CL RJ CL CL CL CL CL CL CL CL CL CL CL CL",
    },
    "in-only": {
        "data": "ES I1 IN CS CR ES CO CE ES SS SR SA RJ CL",
        "init": "I1 IN IN IN IN IN CO CE ES SS SR SA IN IN",
        "init-ack": "CE CE CE CE CE CE CO CE ES SS SR SA RJ CL",
        "cookie-echo": "ES ES ES ES ES ES CO CE ES SS SR SA RJ CL",
        "cookie-ack": "ES I1 IN ES ES CW ES ES ES SS SR SA RJ CL",
        "shutdown": "SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL",
        "shutdown-ack": "CL IN IN CS CR CW CO CE CL CL SR CL RJ CL",
        "shutdown-complete": "CL CL CL CL CL CW CO CE ES SS CL CL RJ CL",
        "error": "CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL",
        "abort": "CL CL CL CL CL RJ CL CL CL CL CL CL CL CL",
    },
}


def step(state, table, event):
    return TABLES[table][event].split()[STATES.index(state)]


def paths(directions):
    """A shortest way from a first INIT to each state that can be reached, as {state: [events]}."""
    found = {"I1": [("in", "init")]}
    queue = ["I1"]
    for state in queue:
        for way, table in directions.items():
            for event in CHUNKS:
                after = step(state, table, event)
                if after not in found:
                    found[after] = found[state] + [(way, event)]
                    queue.append(after)
    return found


METHODS = {
    # flag, virtual port, real port, tables of the packets that pass by
    "nat": ("-m", 80, 8080, {"in": "in", "out": "out"}),
    "same": ("-m", 83, 83, {"in": "in", "out": "out"}),
    "direct": ("-g", 81, 81, {"in": "in-only"}),
    "tunnel": ("-i", 82, 82, {"in": "in-only"}),
}


@pytest.fixture(autouse=True, scope="module")
def services(ns, prog):
    for fam in FAMILIES:
        for flag, vport, rport, _ in METHODS.values():
            svc = f"--sctp-service {fam.endpoint(fam.vip, vport)}"
            ns.ipvsadm(f"-A {svc} -s rr")
            ns.ipvsadm(f"-a {svc} -r {fam.endpoint(fam.real(1), rport)} {flag}")


class Flow:
    """One association; packets delivered as the kernel would deliver them."""

    def __init__(self, prog, hook, fam, method, cport):
        self.prog, self.hook, self.fam, self.cport = prog, hook, fam, cport
        _, self.vport, self.rport, self.tables = METHODS[method]

    def packet(self, way, *chunks):
        fam = self.fam
        if way == "in":
            pkt = Ether(src=mac_client(), dst=MAC_C0) / fam.ip(fam.client, fam.vip)
            return pkt / sctp(self.cport, self.vport, *chunks)
        pkt = Ether(src=mac_real(), dst=MAC_S0) / fam.ip(fam.real(), fam.client)
        return pkt / sctp(self.rport, self.cport, *chunks)

    def arrived(self, way, *chunks):
        """What that packet is when it comes out."""
        fam = self.fam
        if way == "in":
            pkt = Ether(src=MAC_S0, dst=mac_real()) / fam.ip(fam.client, fam.real(), 63)
            return pkt / sctp(self.cport, self.rport, *chunks)
        pkt = Ether(src=MAC_C0, dst=mac_client()) / fam.ip(fam.vip, fam.client, 63)
        return pkt / sctp(self.vport, self.cport, *chunks)

    def deliver(self, way, *chunks):
        return self.prog.deliver(self.hook, self.packet(way, *chunks), "c0" if way == "in" else "s0")

    def send(self, way, event):
        return self.deliver(way, chunk(CHUNKS[event], b"body"))

    def reach(self, state):
        for event in paths(self.tables)[state]:
            assert self.send(*event).fate == "sent"
        return self

    def conn(self):
        (found,) = self.prog.conns(self.fam.client, self.cport)
        return found

    def counts(self):
        dest = self.prog.service(self.fam.vip, self.vport, 132)["dests"][0]
        return dest["active"], dest["inactive"]


ports = iter(range(20000, 60000))


# ---- states ----


@pytest.mark.parametrize("hook,fam", [("xdp", V4), ("tc", V6)], ids=["xdp-v4", "tc-v6"])
@pytest.mark.parametrize("method", ["nat", "direct"])
def test_states(ns, prog, hook, fam, method):
    tables = METHODS[method][3]
    for state in paths(tables):
        for (way, table), event in itertools.product(tables.items(), CHUNKS):
            check_step(prog, hook, fam, method, state, way, table, event)


def expires(conn, seconds, since):
    """A clock unit of the data path may be 10 ms, and a refresh of 80 ms is not worth a write."""
    passed = (time.monotonic() - since) * 1000
    return seconds * 1000 - passed - 110 <= conn["expires_ms"] <= seconds * 1000 + 20


def check_step(prog, hook, fam, method, state, way, table, event):
    what = f"{state} + {way} {event}"
    flow = Flow(prog, hook, fam, method, next(ports))
    # Within the counting, so that it holds all that expires between the two looks.
    with prog.counting(events=True) as grown:
        active, inactive = flow.counts()
        flow.reach(state)
        last = time.monotonic()
        assert flow.send(way, event).fate == "sent", what
        now_active, now_inactive = flow.counts()
    want = step(state, table, event)
    if (state, way, event) == ("CL", "in", "init"):
        want = "I1"  # a new one: test_reuse
    live = want == "ES"
    conn = flow.conn()
    assert conn["proto"] == 132
    assert conn["state"] == NAMES[want], what
    assert conn["active"] == live, what
    assert expires(conn, TIMEOUTS.get(want, 61), last), what
    # Of earlier steps' associations some may have expired meanwhile; none that is active can have.
    assert now_active == active + live, what
    most = inactive + (not live)
    assert most - grown.get("conn-ended", 0) <= now_inactive <= most, what


@each_hook
@pytest.mark.parametrize("kind", AS_DATA)
def test_other_chunks(prog, hook, kind):
    """They are as DATA: in INPUT-ONLY that establishes what waits for a COOKIE."""
    for state in ("I1", "ES", "CE"):
        flow = Flow(prog, hook, V4, "direct", next(ports)).reach(state)
        flow.deliver("in", chunk(kind, b"body"))
        assert flow.conn()["state"] == NAMES[step(state, "in-only", "data")]


@each_hook
@each_family
@pytest.mark.parametrize("mode", [0, 1])
def test_reuse(ns, prog, hook, fam, mode):
    """An INIT on a closed association makes a new one, but for conn_reuse_mode=0."""
    ns.exec(ns.build / "bpvs/bpvs", "sysctl", f"conn_reuse_mode={mode}")
    try:
        for method, state in itertools.product(("nat", "direct"), paths(METHODS["nat"][3])):
            tables = METHODS[method][3]
            if state not in paths(tables):
                continue
            flow = Flow(prog, hook, fam, method, next(ports)).reach(state)
            service = prog.service(fam.vip, flow.vport, 132)
            before = prog.stats("svc", service["id"])["conns"]
            flow.send("in", "init")
            new = state == "CL" and mode == 1
            assert prog.stats("svc", service["id"])["conns"] == before + new, state
            want = "I1" if new else step(state, tables["in"], "init")
            assert flow.conn()["state"] == NAMES[want], state
    finally:
        ns.exec(ns.build / "bpvs/bpvs", "sysctl", "conn_reuse_mode=1")


# ---- what begins an association ----


@each_hook
@each_family
@pytest.mark.parametrize("sloppy", [0, 1])
def test_first_packets(ns, prog, hook, fam, sloppy):
    ns.exec(ns.build / "bpvs/bpvs", "sysctl", f"sloppy_sctp={sloppy}")
    try:
        for event, kind in [*CHUNKS.items(), *(("data", kind) for kind in AS_DATA)]:
            flow = Flow(prog, hook, fam, "nat", next(ports))
            starts = kind == 1 or (sloppy and kind != 6)
            with prog.counting() as grown:
                fate = flow.deliver("in", chunk(kind, b"body")).fate
            assert fate == ("sent" if starts else "pass"), (event, kind)
            assert ("no-connection" in grown) == (not starts)
            found = prog.conns(fam.client, flow.cport)
            want = [NAMES[step("NO", "in", event)]] if starts else []
            assert [c["state"] for c in found] == want, (event, kind)
        # Without a whole chunk's header: not even then, whatever pads the frame.
        for rest in (b"", b"\1", b"\1\0\0"):
            flow = Flow(prog, hook, fam, "nat", next(ports))
            pkt = flow.packet("in", rest)
            assert prog.deliver(hook, Ether(bytes(pkt) + b"\1\0\0\4" * 4)).fate == "pass"
            assert prog.conns(fam.client, flow.cport) == []
    finally:
        ns.exec(ns.build / "bpvs/bpvs", "sysctl", "sloppy_sctp=0")


# ---- which chunk counts ----

ABORT = chunk(6)


@each_hook
@each_family
@pytest.mark.parametrize("way", ["in", "out"])
@pytest.mark.parametrize(
    "chunks,aborts",
    [
        ([chunk(10, b"c" * 8), ABORT], True),
        ([chunk(11), ABORT], True),
        ([chunk(10, b"c"), ABORT], True),  # padded
        ([chunk(10, b"c" * 600), ABORT], True),
        ([chunk(10, b"c" * 1202), ABORT], True),
        ([chunk(11), chunk(7, b"tsn.")], False),
        ([chunk(10, b"c" * 8), chunk(11), ABORT], False),
        ([chunk(10, b"", length=3), ABORT], False),
        ([chunk(10, b"", length=2000), ABORT], False),
        ([chunk(10, b"", length=65535), ABORT], False),
        ([chunk(0, b"data"), ABORT], False),
        ([chunk(3, b"sack" * 3), ABORT], False),
        ([chunk(3, b"sack" * 3), chunk(7, b"tsn.")], False),
        ([chunk(15, b"auth"), ABORT], False),
        ([b""], False),
    ],
)
def test_second_chunk(prog, hook, fam, way, chunks, aborts):
    flow = Flow(prog, hook, fam, "nat", next(ports)).reach("ES")
    assert flow.deliver(way, *chunks).fate == "sent"
    assert flow.conn()["state"] == ("CLOSED" if aborts else "ESTABLISHED")


@each_hook
def test_second_chunk_is_no_padding(prog, hook):
    """What pads the frame behind the packet looks like an ABORT."""
    flow = Flow(prog, hook, V4, "nat", next(ports)).reach("ES")
    pkt = Ether(bytes(flow.packet("in", chunk(11))) + ABORT)
    assert prog.deliver(hook, pkt).fate == "sent"
    assert flow.conn()["state"] == "ESTABLISHED"


# ---- the checksum ----


@each_hook
@each_family
@pytest.mark.parametrize("method", ["nat", "same"])
def test_checksum_of_any_length(prog, hook, fam, method):
    flow = Flow(prog, hook, fam, method, next(ports)).reach("ES")
    lengths = [*range(0, 9), 17, *range(490, 520), 1000, 1003, 1020, 1024, 1400, 1440]
    for length, way in itertools.product(lengths, ("in", "out")):
        body = bytes(i * 7 & 0xFF for i in range(length))
        given = flow.packet(way, chunk(3), body)
        sent(
            prog.forward(hook, given, "c0" if way == "in" else "s0"),
            flow.arrived(way, chunk(3), body),
            given,
        )


def forge(pkt):
    """The four bytes behind a packet of SCTP with which its CRC32c becomes 0."""
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    crc = 0xFFFFFFFF
    for byte in pkt:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    # Back from the register that is wanted in the end, all ones, over four unknown bytes.
    want = 0xFFFFFFFF
    for _ in range(4):
        index = next(i for i in range(256) if table[i] >> 24 == want >> 24)
        want = (want ^ table[index]) << 8 & 0xFFFFFFFF | index
    return (want ^ crc).to_bytes(4, "little")


@each_family
@pytest.mark.parametrize("method", ["nat", "same"])
def test_checksum_of_zero(prog, fam, method):
    """Zero may be a field that a device is to fill in: TC tells that from a sum which is zero."""
    flow = Flow(prog, "tc", fam, method, next(ports)).reach("ES")
    for way, dev in (("in", "c0"), ("out", "s0")):
        before = flow.packet(way, chunk(3))
        before[SCTP].chksum = 0
        body = forge(bytes(before[SCTP]))
        given = flow.packet(way, chunk(3), body)
        assert Ether(bytes(given))[SCTP].chksum == 0
        with prog.counting() as grown:
            same(prog.xdp(given, dev), given)
        assert grown == {"up-checksum": 1}
        sent(prog.tc(given, dev), flow.arrived(way, chunk(3), body), given)


@each_hook
@each_family
@pytest.mark.parametrize("method", ["direct", "tunnel"])
def test_checksum_is_not_touched(prog, hook, fam, method):
    """Where nothing is rewritten, not even a zero."""
    flow = Flow(prog, hook, fam, method, next(ports)).reach("I1")
    for value in (0, 0x12345678):
        given = flow.packet("in", chunk(3))
        given[SCTP].chksum = value
        result = prog.forward(hook, given)
        assert result.fate == "sent"
        assert bytes(given[SCTP]) in result.raw


# ---- fragments ----


def fragments(fam, cport, vport, body):
    """A packet of two chunks, cut between them."""
    raw = bytes(fam.ip(fam.client, fam.vip) / sctp(cport, vport, chunk(3, b"sack" * 6), body))
    raw = raw[20 if fam is V4 else 40 :]
    for off, more in ((0, 1), (40, 0)):
        piece = Raw(raw[off : 40 if more else None])
        if fam is V4:
            head = IP(src=fam.client, dst=fam.vip, proto=132, id=cport, flags=more, frag=off // 8)
        else:
            head = IPv6(src=fam.client, dst=fam.vip) / IPv6ExtHdrFragment(
                nh=132, id=cport, m=more, offset=off // 8
            )
        yield Ether(src=mac_client(), dst=MAC_C0) / head / piece


@each_family
@pytest.mark.parametrize("method", METHODS)
def test_fragments(prog, fam, method):
    """
    With another port a fragment's checksum cannot be right, so none is sent. A later one is no
    event: it does not move the state, whatever its bytes are.
    """
    flow = Flow(prog, "tc", fam, method, next(ports)).reach("I1")
    flow.send("in", "cookie-ack")
    state = flow.conn()["state"]
    for pkt in fragments(fam, flow.cport, flow.vport, ABORT):
        with prog.counting() as grown:
            same(prog.xdp(pkt), pkt)
        assert grown == {"up-fragment": 1}
        with prog.counting() as grown:
            result = prog.tc(pkt)
        if method == "nat":
            assert (result.fate, grown) == ("drop", {"fragment-sum": 1})
        else:
            assert result.fate == "sent", grown
        assert flow.conn()["state"] == state


@each_family
def test_later_fragments_of_tcp(ns, prog, fam):
    """The same of TCP, for which a segment without flags is the end."""
    svc, cport = fam.endpoint(fam.vip, 80), next(ports)
    ns.ipvsadm(f"-A -t {svc} -s rr\n-a -t {svc} -r {fam.endpoint(fam.real(), 80)} -m")
    raw = bytes(fam.ip(fam.client, fam.vip) / l4("tcp", cport, 80, "A", b"x" * 64))
    raw = raw[20 if fam is V4 else 40 :]
    eth = Ether(src=mac_client(), dst=MAC_C0)
    for flags in "SA":
        pkt = eth / fam.ip(fam.client, fam.vip) / l4("tcp", cport, 80, flags)
        assert prog.tc(pkt).fate == "sent"
    for off, more in ((0, 1), (40, 0)):
        piece = Raw(raw[off : 40 if more else None])
        if fam is V4:
            head = IP(src=fam.client, dst=fam.vip, proto=6, id=cport, flags=more, frag=off // 8)
        else:
            head = IPv6(src=fam.client, dst=fam.vip) / IPv6ExtHdrFragment(
                nh=6, id=cport, m=more, offset=off // 8
            )
        assert prog.tc(eth / head / piece).fate == "sent"
        (conn,) = prog.conns(fam.client, cport)
        assert conn["state"] == "ESTABLISHED"
    ns.ipvsadm(f"-D -t {svc}")
