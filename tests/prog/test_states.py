# SPDX-License-Identifier: GPL-2.0-only
"""
The life of TCP connections: every state that flags can lead to, and from each of them every flag in
every direction, against IPVS's tables written out here. Expiry and the active and inactive counts
follow the state.
"""

import time

import pytest
from harness import V4, V6, l4, mac_client, mac_real, MAC_C0, MAC_S0
from scapy.all import Ether

pytestmark = pytest.mark.usefixtures("no_bugs")

STATES = "NO ES SS SR FW TW CL CW LA LI SA".split()

NAMES = {
    "NO": "NONE",
    "ES": "ESTABLISHED",
    "SS": "SYN_SENT",
    "SR": "SYN_RECV",
    "FW": "FIN_WAIT",
    "TW": "TIME_WAIT",
    "CL": "CLOSE",
    "CW": "CLOSE_WAIT",
    "LA": "LAST_ACK",
    "LI": "LISTEN",
    "SA": "SYNACK",
}

# Seconds that a connection lives after its last packet.
TIMEOUTS = {
    "NO": 2,
    "ES": 900,
    "SS": 120,
    "SR": 60,
    "FW": 120,
    "TW": 120,
    "CL": 10,
    "CW": 60,
    "LA": 30,
    "LI": 120,
    "SA": 120,
}

ACTIVE = {"ES", "SS", "SR", "SA"}

# Next state by direction and flag. Columns as STATES.
TABLES = {
    "in": {
        "S": "SR ES ES SR SR SR SR SR SR SR SR",
        "F": "CL CW SS TW TW TW CL CW LA LI TW",
        "A": "ES ES SS ES FW TW CL CW CL LI ES",
        "R": "CL CL CL SR CL CL CL CL LA LI SR",
    },
    "out": {
        "S": "SS ES SS SR SS SS SS SS SS LI SR",
        "F": "TW FW SS TW FW TW CL TW LA LI TW",
        "A": "ES ES SS ES FW TW CL CW LA ES ES",
        "R": "CL CL SS CL CL TW CL CL CL CL CL",
    },
    # while no packet of the real server has been seen: DR and tunnels
    "in-only": {
        "S": "SR ES ES SR SR SR SR SR SR SR SR",
        "F": "CL FW SS TW FW TW CL CW LA LI TW",
        "A": "ES ES SS ES FW TW CL CW CL LI ES",
        "R": "CL CL CL SR CL CL CL CL LA LI CL",
    },
}


def step(state, table, flag):
    if not flag:
        return "CL"
    return TABLES[table][flag].split()[STATES.index(state)]


def paths(directions):
    """A shortest way from a first SYN to each state that can be reached, as {state: [events]}."""
    found = {"SR": [("in", "S")]}
    queue = ["SR"]
    for state in queue:
        for way, table in directions.items():
            for flag in "SFAR":
                after = step(state, table, flag)
                if after not in found:
                    found[after] = found[state] + [(way, flag)]
                    queue.append(after)
    return found


# What the segments look like: a flag alone, or as it comes in life.
FLAGS = {"S": ["S"], "F": ["F", "FA"], "A": ["A", "PA"], "R": ["R", "RA"], "": ["", "P", "U"]}

REPLACED = {("CL", "in", "S"), ("TW", "in", "S")}

METHODS = {
    # flag, virtual port, real port, tables of the packets that pass by
    "nat": ("-m", 80, 8080, {"in": "in", "out": "out"}),
    "direct": ("-g", 81, 81, {"in": "in-only"}),
    "tunnel": ("-i", 82, 82, {"in": "in-only"}),
}


@pytest.fixture(autouse=True)
def services(ns, prog):
    ns.ipvsadm("-C")
    for fam in (V4, V6):
        for flag, vport, rport, _ in METHODS.values():
            ns.ipvsadm(f"-A -t {fam.endpoint(fam.vip, vport)} -s rr")
            ns.ipvsadm(
                f"-a -t {fam.endpoint(fam.vip, vport)} -r {fam.endpoint(fam.real(1), rport)} {flag}"
            )


class Flow:
    """One connection; segments delivered as the kernel would deliver them."""

    def __init__(self, prog, hook, fam, method, cport):
        self.prog, self.hook, self.fam, self.cport = prog, hook, fam, cport
        _, self.vport, self.rport, self.tables = METHODS[method]

    def send(self, way, flags):
        fam = self.fam
        if way == "in":
            pkt = Ether(src=mac_client(), dst=MAC_C0) / fam.ip(fam.client, fam.vip)
            pkt = pkt / l4("tcp", self.cport, self.vport, flags)
            return self.prog.deliver(self.hook, pkt, "c0")
        pkt = Ether(src=mac_real(), dst=MAC_S0) / fam.ip(fam.real(), fam.client)
        pkt = pkt / l4("tcp", self.rport, self.cport, flags)
        return self.prog.deliver(self.hook, pkt, "s0")

    def conn(self):
        (found,) = self.prog.conns(self.fam.client, self.cport)
        return found

    def counts(self):
        dest = self.prog.service(self.fam.vip, self.vport)["dests"][0]
        return dest["active"], dest["inactive"]


ports = iter(range(20000, 60000))


@pytest.mark.parametrize("hook", ["xdp", "tc"])
@pytest.mark.parametrize("fam", [V4, V6], ids=["v4", "v6"])
@pytest.mark.parametrize("method", METHODS)
def test_states(prog, hook, fam, method):
    tables = METHODS[method][3]
    for state, path in paths(tables).items():
        for way, table in tables.items():
            for flag, spellings in FLAGS.items():
                for flags in spellings:
                    check_step(prog, hook, fam, method, state, path, way, table, flag, flags)


def expires(conn, seconds, since):
    """A clock unit of the data path may be 10 ms, and a refresh of 80 ms is not worth a write."""
    passed = (time.monotonic() - since) * 1000
    return seconds * 1000 - passed - 110 <= conn["expires_ms"] <= seconds * 1000 + 20


def check_step(prog, hook, fam, method, state, path, way, table, flag, flags):
    what = f"{state} + {way} {flags or 'no flags'} (after {path})"
    flow = Flow(prog, hook, fam, method, next(ports))
    # Within the counting, so that it holds all that expires between the two looks.
    with prog.counting(events=True) as grown:
        active, inactive = flow.counts()
        for event in path:
            assert flow.send(*event).fate == "sent", what
        assert flow.conn()["state"] == NAMES[state], what
        last = time.monotonic()
        assert flow.send(way, flags).fate == "sent", what
        now_active, now_inactive = flow.counts()

    # A SYN on what is over makes a new connection: the same state as the table's row leads to.
    want = step(state, table, flag)
    live = want in ACTIVE
    conn = flow.conn()
    assert conn["state"] == NAMES[want], what
    assert conn["active"] == live, what
    assert expires(conn, TIMEOUTS[want], last), what
    # Connections of earlier steps may have expired meanwhile, and half-open ones of earlier cases;
    # one whose place a SYN takes is this step's own.
    ended = grown.get("conn-ended", 0) - ((state, way, flag) in REPLACED)
    assert active + live - ended <= now_active <= active + live, what
    most = inactive + (not live)
    assert most - ended <= now_inactive <= most, what


@pytest.mark.parametrize("hook", ["xdp", "tc"])
@pytest.mark.parametrize("fam", [V4, V6], ids=["v4", "v6"])
def test_reuse(prog, hook, fam):
    """A SYN on a closed connection is a new one: counted anew, the old one gone."""
    service = prog.service(fam.vip, 80)
    for path in ([("in", "S"), ("in", "A"), ("in", "R")], [("in", "S"), ("in", "F")]):
        flow = Flow(prog, hook, fam, "nat", next(ports))
        for event in path:
            flow.send(*event)
        assert flow.conn()["state"] in ("CLOSE", "TIME_WAIT")
        before = prog.stats("svc", service["id"])["conns"]
        flow.send("in", "S")
        assert flow.conn()["state"] == "SYN_RECV"
        assert prog.stats("svc", service["id"])["conns"] == before + 1


@pytest.mark.parametrize("hook", ["xdp", "tc"])
@pytest.mark.parametrize("fam", [V4, V6], ids=["v4", "v6"])
@pytest.mark.parametrize("state", ["SR", "ES", "CW", "FW"])
def test_no_reuse(prog, hook, fam, state):
    """But not on one that lives."""
    service = prog.service(fam.vip, 80)
    flow = Flow(prog, hook, fam, "nat", next(ports))
    for event in paths(METHODS["nat"][3])[state]:
        flow.send(*event)
    before = prog.stats("svc", service["id"])["conns"]
    flow.send("in", "S")
    assert flow.conn()["state"] == NAMES[step(state, "in", "S")]
    assert prog.stats("svc", service["id"])["conns"] == before


@pytest.mark.parametrize("hook", ["xdp", "tc"])
@pytest.mark.parametrize("fam", [V4, V6], ids=["v4", "v6"])
def test_datagrams(ns, prog, hook, fam):
    """UDP has one state, lives for 300 s after each packet, and counts as inactive."""
    cport = next(ports)
    svc = fam.endpoint(fam.vip, 53)
    ns.ipvsadm(f"-A -u {svc} -s rr\n-a -u {svc} -r {fam.endpoint(fam.real(), 53)} -m")
    try:
        # a destination that comes back has the connections that it left with
        (old,) = prog.service(fam.vip, 53, 17)["dests"]
        pkt = Ether(src=mac_client(), dst=MAC_C0) / fam.ip(fam.client, fam.vip)
        last = time.monotonic()
        prog.deliver(hook, pkt / l4("udp", cport, 53))
        (conn,) = prog.conns(fam.client, cport)
        assert (conn["proto"], conn["state"], conn["active"]) == (17, "UDP", False)
        assert expires(conn, 300, last)
        (dest,) = prog.service(fam.vip, 53, 17)["dests"]
        assert (dest["active"], dest["inactive"]) == (old["active"], old["inactive"] + 1)
    finally:
        ns.ipvsadm(f"-D -u {svc}")
