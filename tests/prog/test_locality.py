# SPDX-License-Identifier: GPL-2.0-only
"""
lblc and lblcr through both hooks: connections that stay open, to one address, over three real
servers of weight 1, the newest of which is IPVS's first. A server is overloaded from its second
connection on, while another has none.
"""

import itertools

import pytest
from test_sched import run_flow

pytestmark = pytest.mark.usefixtures("no_bugs")

# lblc: the address moves on when its server is overloaded, and stays when all are.
# lblcr: servers join the address's set; when all have, the least loaded takes turns.
CHOICES = {"lblc": "332211111111", "lblcr": "332211123123"}

ports = itertools.count(1)


def set_up(ns, scheduler):
    service = f"-t 10.0.1.100:{4000 + next(ports)}"
    lines = [f"-A {service} -s {scheduler}"]
    lines += [f"-a {service} -r 10.0.2.{i}:80 -m -w 1" for i in (1, 2, 3)]
    ns.ipvsadm("-C")
    ns.ipvsadm("\n".join(lines))
    return service, int(service.rsplit(":", 1)[1])


def choices(prog, hook, port, first, num):
    """The last digit of the real server of each of some connections; they stay open."""
    chosen = ""
    for i in range(num):
        real = run_flow(prog, hook, "tcp", "10.64.9.1", first + i, "10.0.1.100", port, False)
        chosen += "-" if real == "-" else real.split(":")[0][-1]
    return chosen


@pytest.mark.parametrize("hook", ["xdp", "tc"])
@pytest.mark.parametrize("scheduler", sorted(CHOICES))
def test_overload(ns, prog, hook, scheduler):
    _, port = set_up(ns, scheduler)
    want = CHOICES[scheduler]
    assert choices(prog, hook, port, 20000, len(want)) == want


def test_edits(ns, prog):
    """A server that leaves, comes back or is quiesced; another scheduler forgets everything."""
    service, port = set_up(ns, "lblc")
    assert choices(prog, "tc", port, 20000, 1) == "3"
    ns.ipvsadm(f"-d {service} -r 10.0.2.3:80")
    assert choices(prog, "tc", port, 20001, 1) == "2"
    ns.ipvsadm(f"-a {service} -r 10.0.2.3:80 -m -w 9")
    assert choices(prog, "tc", port, 20002, 1) == "2"
    ns.ipvsadm(f"-e {service} -r 10.0.2.2:80 -m -w 0")
    assert choices(prog, "tc", port, 20003, 2) == "11"
    ns.ipvsadm(f"-E {service} -s lblcr")
    assert choices(prog, "tc", port, 20005, 1) == "3"


def test_none(ns, prog):
    """Without a scheduler no connection gets a server; what is there goes on."""
    service, port = set_up(ns, "rr")
    assert choices(prog, "tc", port, 20000, 1) == "3"
    ns.ipvsadm(f"-E {service} -s none")
    assert choices(prog, "tc", port, 20001, 3) == "---"
    listing = ns.exec(ns.build / "ipvsadm/ipvsadm", "-S", "-n").stdout
    assert listing.startswith(f"-A {service} -s none\n")
    ns.ipvsadm(f"-E {service} -s rr")
    assert choices(prog, "tc", port, 20001, 1) == "3"
