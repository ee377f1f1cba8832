# SPDX-License-Identifier: GPL-2.0-only
"""
GUE and GRE tunnels from the director to ends made by `bpvs realserver`, on any kernel.
test_tunnel_types.py has the kernel's own.
"""

import pytest
from test_icmp import upload
from test_tunnel_types import GUE_PORT, KINDS, batches, pairs, service

from world import VIP

pytestmark = pytest.mark.parametrize("world", ["tc"], indirect=True)


@pytest.fixture(scope="module")
def bpf_ends(world):
    for host in (world.rs1, world.rs2):
        for options in (["gue", "--tun-port", GUE_PORT], ["gre"]):
            host.run(world.bpvs, "realserver", "up", "--mode", "tun", "--vip", VIP[4], "--vip", VIP[6],
                     "--tun-type", *options)
    yield world
    for host in (world.rs1, world.rs2):
        host.run(world.bpvs, "realserver", "down")


@pairs
def test_uploads(bpf_ends, family, outer):
    """A megabyte by each kind, in segments that the sender's kernel has put together or not."""
    for kind in KINDS:
        port, server = service(bpf_ends, family, outer, kind)
        batches(bpf_ends, kind != "gre-csum")
        before = bpf_ends.counters()
        try:
            upload(bpf_ends, family, port, server)
            moved = bpf_ends.moved(before)
            assert moved["tunnel"] > 20 and "tunnel-batch" not in moved, kind
        finally:
            batches(bpf_ends, True)
            bpf_ends.drop(family, port)
