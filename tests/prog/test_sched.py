# SPDX-License-Identifier: GPL-2.0-only
"""
Replay of scheduling scenarios recorded from the kernel's IPVS (tests/golden/sched): the same
commands, the same flows, and every flow has to go to the same real server, by either hook; at the
end the same numbers of active and inactive connections.
"""

import itertools
import pathlib
import re

import pytest
from harness import MAC_BPVS0, MAC_C0, MAC_S0, V4, l4, mac_client, mac_real
from scapy.all import IP, Ether

pytestmark = pytest.mark.usefixtures("no_bugs")

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "sched"
SCENARIOS = sorted(p.name[: -len(".txt")] for p in GOLDEN.glob("*.txt"))
MARKED = [name for name in SCENARIOS if name.endswith("udp-dsts")]

FLOW = re.compile(r"\d+ (TCP|UDP) (\S+):(\d+) (\S+):(\d+) -> (\S+)$")
LISTED = re.compile(r"#   -> (\S+):(\d+)\s+Masq\s+\d+\s+(\d+)\s+(\d+)\s*$")


class Scenario:
    def __init__(self, name):
        text = (GOLDEN / f"{name}.txt").read_text().splitlines()
        self.close = name.endswith("tcp-close")
        self.hashes = name.startswith(("dh.", "sh.", "mh."))
        self.commands = [t[len("ipvsadm ") :] for t in text if t.startswith("ipvsadm ")]
        self.flows = [m.groups() for m in map(FLOW.match, text) if m]
        listed = [m.groups() for m in map(LISTED.match, text) if m]
        self.listing = {(a, int(p)): (int(act), int(ina)) for a, p, act, ina in listed}


def segment(prog, hook, src, dst, sport, dport, proto, flags, dev):
    """-> (fate, the packet that left)"""
    link = Ether(src=mac_client(), dst=MAC_C0)
    if dev == "s0":
        link = Ether(src=mac_real(int(src.rsplit(".", 1)[1])), dst=MAC_S0)
    pkt = link / V4.ip(src, dst) / l4(proto, sport, dport, flags)
    result = prog.deliver(hook, pkt, dev)
    return result.fate, Ether(b"\0" * 12 + b"\x08\x00" + result.raw[14:])[IP]


def run_flow(prog, hook, proto, client, cport, vip, vport, close):
    """A flow as its client and server would have it; -> the real server, or "-"."""
    fate, out = segment(prog, hook, client, vip, cport, vport, proto, "S", "c0")
    assert fate == "sent"
    if out.proto == 1:
        return "-"
    real, rport = out.dst, out.payload.dport
    if proto == "tcp":
        life = ["s:SA", "c:A"] + (["c:FA", "s:FA", "c:A"] if close else [])
        for who, flags in (step.split(":") for step in life):
            if who == "s":
                args = (real, client, rport, cport, proto, flags, "s0")
            else:
                args = (client, vip, cport, vport, proto, flags, "c0")
            assert segment(prog, hook, *args)[0] == "sent"
    return f"{real}:{rport}"


turns = itertools.count(1)


@pytest.mark.parametrize("hook", ["xdp", "tc"])
@pytest.mark.parametrize("name", sorted({*SCENARIOS} - {*MARKED}))
def test_as_recorded(ns, prog, hook, name):
    scenario = Scenario(name)
    # Connections outlive services, and a destination that comes back to its service has them still:
    # each run gets clients and a virtual port of its own. Where the client's address chooses, it
    # stays, and other ports tell the replies apart; UDP's have none, so its ports may choose.
    turn = next(turns)
    ns.ipvsadm("-C")
    virtual = f"10.0.1.100:{1000 + turn}"
    ns.ipvsadm(re.sub(r"10\.0\.1\.100:\d+", virtual, "\n".join(scenario.commands)))
    chosen = []
    for proto, client, cport, vip, _, _ in scenario.flows:
        proto, cport = proto.lower(), int(cport)
        if not scenario.hashes:
            client = client.replace("10.0.1.", f"10.64.{turn}.")
        elif proto == "tcp":
            cport += 50 * turn
        flow = (proto, client, cport, vip, 1000 + turn)
        chosen.append(run_flow(prog, hook, *flow, scenario.close))
    assert chosen == [f[-1] for f in scenario.flows]
    (service,) = prog.services()
    counts = {tuple(d["real"]): (d["active"], d["inactive"]) for d in service["dests"]}
    assert counts == scenario.listing


@pytest.mark.parametrize("name", MARKED)
def test_by_mark_as_recorded(ns, prog, name):
    """One client, many addresses that only the mark makes a service of."""
    scenario = Scenario(name)
    turn = next(turns)
    mark = 100 + turn
    ns.ipvsadm("-C")
    ns.ipvsadm(re.sub(r" -f 1 ", f" -f {mark} ", "\n".join(scenario.commands)))
    chosen = []
    for proto, client, cport, vip, vport, _ in scenario.flows:
        datagram = l4(proto.lower(), int(cport) + turn, int(vport))
        pkt = Ether(dst=MAC_BPVS0, src=MAC_BPVS0) / V4.ip(client, vip) / datagram
        result = prog.mark(pkt, mark)
        assert result.fate == "sent", result
        out = IP(result.raw[14:])
        chosen.append("-" if out.proto == 1 else f"{out.dst}:{out.payload.dport}")
    assert chosen == [f[-1] for f in scenario.flows]
    (service,) = prog.services()
    counts = {tuple(d["real"]): (d["active"], d["inactive"]) for d in service["dests"]}
    assert counts == scenario.listing
