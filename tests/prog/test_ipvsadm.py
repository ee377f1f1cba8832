# SPDX-License-Identifier: GPL-2.0-only
"""The installed ipvsadm over a live engine: the original's recorded invocations, case by case."""

import os
import subprocess
import time

import pytest
from common import BUILD
from golden import cases

NETNS = f"ctl-ipvsadm-{os.getpid()}"
IPVSADM = BUILD / "ipvsadm" / "ipvsadm"


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@pytest.fixture(scope="module")
def run():
    """Invocations in a namespace of our own, where the first one brings the engine up."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and BPF")
    assert IPVSADM.exists(), f"{IPVSADM} is not built: run make first"
    ip("netns", "add", NETNS)
    try:
        ip("-n", NETNS, "link", "set", "lo", "up")
        ip("-n", NETNS, "link", "add", "d0", "type", "veth", "peer", "name", "d1")
        ip("-n", NETNS, "address", "add", "10.9.9.254/24", "dev", "d0")
        for dev in ("d0", "d1"):
            ip("-n", NETNS, "link", "set", dev, "up")
        # Found by PATH, so that messages name it as the recordings do.
        env = dict(os.environ, PATH=f"{IPVSADM.parent}:{os.environ['PATH']}")
        yield cases.runner(["nsenter", f"--net=/run/netns/{NETNS}", "ipvsadm"], env=env)
    finally:
        bpvs = BUILD / "bpvs" / "bpvs"
        if bpvs.exists():
            subprocess.run(["nsenter", f"--net=/run/netns/{NETNS}", bpvs, "down"], check=False)
        ip("netns", "del", NETNS)


@pytest.fixture
def clean(run):
    """No services."""
    assert run(["-C"], "").rc == 0
    return run


@pytest.mark.parametrize(
    "case", cases.CASES, ids=lambda c: f"{cases.CASES.index(c)}-{cases.name(c)}"
)
def test_command(case, clean):
    cases.check(case, clean)


def test_timeouts(clean):
    assert clean(["--set", "900", "120", "300"], "").rc == 0
    assert clean(["--set", "100", "0", "30"], "").rc == 0
    assert clean(["-L", "--timeout"], "").out == "Timeout (tcp tcpfin udp): 100 120 30\n"


def test_restore_of_save(clean):
    """What -S prints, -R takes: the tables are the same afterwards."""
    rules = "".join(
        f"-A -t 10.0.{s}.1:80 -s {('rr', 'wrr', 'lc', 'wlc')[s % 4]}\n"
        + "".join(f"-a -t 10.0.{s}.1:80 -r 10.1.{s}.{d}:80 -m -w {d}\n" for d in range(1, 9))
        for s in range(1, 9)
    )
    assert clean(["-R"], rules).rc == 0
    saved = clean(["-S", "-n"], "").out
    assert saved == rules
    assert clean(["-C"], "").rc == 0
    assert clean(["-R"], saved).rc == 0
    assert clean(["-S", "-n"], "").out == rules


REFUSED = "Invalid operation.  Possibly wrong module version, address not unicast, ...\n"


@pytest.mark.parametrize(
    "address, good",
    [
        ("10.9.9.254", True),  # our own: delivered here
        ("127.0.0.1", True),
        ("10.9.9.255", False),  # broadcast on d0
        ("0.1.2.3", False),
        ("240.0.0.1", True),
        ("192.0.2.1", True),  # no route there
        ("[::1]", True),
        ("[fe80::1]", False),
        ("[::]", False),
        ("[::ffff:192.0.2.1]", False),
        ("[2001:db8::1]", True),
    ],
)
def test_server_addresses(address, good, clean):
    service = "[2001:db8::100]:80" if address[0] == "[" else "10.0.0.1:80"
    clean(["-A", "-t", service, "-s", "rr"], "")
    done = clean(["-a", "-t", service, "-r", f"{address}:80", "-g"], "")
    assert (done.rc, done.err) == ((0, "") if good else (255, REFUSED))
    # Listed as it was asked for, our own address too.
    listed = clean(["-L", "-n"], "").out
    assert (f"  -> {address}:80".ljust(33) + " Route   1 " in listed) == good


def test_large_restore(clean):
    """1000 services of 100 servers, in single operations."""
    rules = "".join(
        f"-A -t 10.{s // 250}.{s % 250}.1:80 -s wrr\n"
        + "".join(
            f"-a -t 10.{s // 250}.{s % 250}.1:80 -r 172.16.{s % 250}.{d}:80 -m -w {d % 7 + 1}\n"
            for d in range(1, 101)
        )
        for s in range(1000)
    )
    start = time.monotonic()
    assert clean(["-R"], rules).rc == 0
    took = time.monotonic() - start
    assert clean(["-S", "-n"], "").out == rules
    assert clean(["-C"], "").rc == 0
    assert took < 15, f"{took:.1f} s"
