# SPDX-License-Identifier: GPL-2.0-only
"""The netns tier on Debian's stock 6.1: a sample by default, all of it with BPVS_VM=full.

That kernel has what the host's may not: the real ipip device, which the TUN labs' real servers use
there, the ends of GUE and GRE tunnels, SCTP sockets, and 802.1Q devices, which only here can be
tested.
"""

import os
import re

import pytest
from vm import vm_missing, vm_run

NETNS = "tests/netns"
SAMPLE = {
    # Each lab, both hooks, both families.
    "labs": [f"{NETNS}/test_labs.py::{name}" for name in (
        "test_tcp_in_turn[nat-xdp-4]", "test_udp_in_turn[nat-xdp-6]", "test_tcp_in_turn[dr-tc-6]",
        "test_tcp_in_turn[tun-xdp-4]",
    )],
    # Real associations, for which the host's kernel need not have the sockets.
    "sctp": [f"{NETNS}/test_associations.py::test_associations[{name}]" for name in (
        "nat-xdp-4", "tun-xdp-6",
    )],
    "marks": [f"{NETNS}/test_marks_host.py::test_ipv6_before_6_17"],
    "vlan": [f"{NETNS}/test_vlan.py::{name}[xdp-4-nat]" for name in (
        "test_web_pages_by_turns", "test_datagrams",
    )],
    # Last: once the module for GRE is there, each namespace has a device that has no XDP.
    "tunnels": [f"{NETNS}/test_tunnel_types.py::{name}" for name in (
        "test_upload[xdp-4in4-gue-csum]", "test_upload[xdp-4in6-gue]", "test_upload[xdp-6in4-gre]",
        "test_upload[xdp-6in6-gre-csum]", "test_room[xdp-4in4-gue-remcsum]",
        "test_error_of_the_tunnels_end[xdp-gue]", "test_error_of_the_tunnels_end[xdp-gre]",
    )],
}
FULL = os.environ.get("BPVS_VM") == "full"


def guest_pytest(what, timeout):
    command = ["env", "BPVS_PATIENCE=12", "BPVS_VLAN=1", "BPVS_TUNNELS=1", "/usr/bin/python3", "-m",
               "pytest", "-q", "-rA", "-p", "no:cacheprovider", *what]
    return vm_run(command, timeout=timeout)


@pytest.fixture(scope="module")
def kernel(build):
    reason = vm_missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def guest(kernel):
    """One machine for all, as half a minute goes by before its first test."""
    return guest_pytest(sum(SAMPLE.values(), []), 3600)


def outcome(done):
    return (done.stdout + done.stderr)[-12000:]


def sample(guest, kind):
    passed = re.findall(r"^PASSED (\S+)", guest.stdout, re.M)
    assert not set(SAMPLE[kind]) - set(passed), outcome(guest)
    # what fails when all is done and taken down has passed before
    assert guest.returncode == 0 or re.search(r"^(FAILED|ERROR) ", guest.stdout, re.M), outcome(guest)


def everything(kernel):
    done = guest_pytest([NETNS], 5000)
    assert done.returncode == 0, outcome(done)
    assert re.search(r"^[1-9]\d* passed, 0 failed, 0 skipped$", done.stdout, re.M), outcome(done)


# One of the two, so that nothing skips.
if FULL:
    test_everything = everything
else:
    test_sample = pytest.mark.parametrize("kind", SAMPLE)(sample)
