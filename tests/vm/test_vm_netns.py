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

# Each lab, both hooks, both families.
SAMPLE = [
    "tests/netns/test_labs.py::test_tcp_in_turn[nat-xdp-4]",
    "tests/netns/test_labs.py::test_udp_in_turn[nat-xdp-6]",
    "tests/netns/test_labs.py::test_tcp_in_turn[dr-tc-6]",
    "tests/netns/test_labs.py::test_tcp_in_turn[tun-xdp-4]",
]
# Real associations, for which the host's kernel need not have the sockets.
SCTP = [
    "tests/netns/test_associations.py::test_associations[nat-xdp-4]",
    "tests/netns/test_associations.py::test_associations[tun-xdp-6]",
]
TUNNELS = [
    f"tests/netns/test_tunnel_types.py::{name}" for name in (
        "test_upload[xdp-4in4-gue-csum]", "test_upload[xdp-4in6-gue]", "test_upload[xdp-6in4-gre]",
        "test_upload[xdp-6in6-gre-csum]", "test_room[xdp-4in4-gue-remcsum]",
        "test_error_of_the_tunnels_end[xdp-gue]", "test_error_of_the_tunnels_end[xdp-gre]",
    )
]
MARKS = ["tests/netns/test_marks_host.py::test_ipv6_before_6_17"]
VLAN = ["tests/netns/test_vlan.py"]
FULL = ["tests/netns"]


def guest_pytest(what, timeout):
    command = ["env", "BPVS_PATIENCE=12", "BPVS_VLAN=1", "BPVS_TUNNELS=1", "/usr/bin/python3", "-m",
               "pytest", "-q", "-p", "no:cacheprovider", *what]
    done = vm_run(command, timeout=timeout)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


@pytest.fixture(scope="module")
def kernel(build):
    reason = vm_missing()
    if reason:
        pytest.skip(reason)


def test_labs(kernel):
    full = os.environ.get("BPVS_VM") == "full"
    out = guest_pytest(FULL if full else SAMPLE, 5000 if full else 560)
    passed = re.search(r"^(\d+) passed, 0 failed, 0 skipped$", out, re.M)
    assert passed and int(passed.group(1)) >= len(SAMPLE), out


def test_sctp(kernel):
    out = guest_pytest(SCTP, 900)
    assert re.search(rf"^{len(SCTP)} passed, 0 failed, 0 skipped$", out, re.M), out


def test_tunnels(kernel):
    out = guest_pytest(TUNNELS, 900)
    assert re.search(rf"^{len(TUNNELS)} passed, 0 failed, 0 skipped$", out, re.M), out


def test_marks(kernel):
    out = guest_pytest(MARKS, 560)
    assert re.search(r"^1 passed, 0 failed, 0 skipped$", out, re.M), out


def test_vlan(kernel):
    what = VLAN if os.environ.get("BPVS_VM") == "full" else [*VLAN, "-k", "xdp and nat and 4"]
    out = guest_pytest(what, 900)
    assert re.search(r"^[1-9]\d* passed, 0 failed, 0 skipped$", out, re.M), out
