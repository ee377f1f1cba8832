# SPDX-License-Identifier: GPL-2.0-only
"""Debian's own ipvsadm, unmodified, over a live engine: `bpvs run` (shim/)."""

import os
import pathlib
import subprocess
import sys

import pytest
from common import BUILD, ROOT
from golden import cases

sys.path.insert(0, str(ROOT / "tests" / "vm"))

import vm  # noqa: E402

NETNS = f"shim-ipvsadm-{os.getpid()}"
BPVS = BUILD / "bpvs" / "bpvs"
LISTS = ROOT / "tests" / "golden" / "list"


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def inside(*argv, **kwargs):
    """A command in the namespace, its output as text."""
    return subprocess.run(
        ["nsenter", f"--net=/run/netns/{NETNS}", *argv],
        capture_output=True, text=True, timeout=60, check=False, **kwargs,
    )  # fmt: skip


@pytest.fixture(scope="module")
def space():
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and BPF")
    ip("netns", "add", NETNS)
    try:
        ip("-n", NETNS, "link", "set", "lo", "up")
        ip("-n", NETNS, "link", "add", "d0", "type", "veth", "peer", "name", "d1")
        ip("-n", NETNS, "address", "add", "10.9.9.254/24", "dev", "d0")
        for dev in ("d0", "d1"):
            ip("-n", NETNS, "link", "set", dev, "up")
        yield NETNS
    finally:
        inside(BPVS, "down")
        ip("netns", "del", NETNS)


@pytest.fixture(scope="module")
def program():
    """Debian's ipvsadm: the environment in which it is the one found."""
    try:
        path, libraries = vm.kernel_ipvsadm()
    except subprocess.CalledProcessError:
        pytest.skip("Debian's package of ipvsadm is not to be had")
    return dict(
        os.environ,
        PATH=f"{pathlib.Path(path).parent}:{os.environ['PATH']}",
        LD_LIBRARY_PATH=libraries,
    )


@pytest.fixture(scope="module")
def run(space, program):
    """The first command brings the engine up."""
    command = ["nsenter", f"--net=/run/netns/{space}", BPVS, "run", "--", "ipvsadm"]
    return cases.runner(command, env=program)


@pytest.fixture
def clean(run):
    assert run(["-C"], "").rc == 0
    return run


# All of them with BPVS_SHIM=full; make check has every fifth. Our own ipvsadm runs all.
SAMPLE = cases.CASES[:: 1 if os.environ.get("BPVS_SHIM") == "full" else 5]


def refused(done):
    """What is not built is answered with ENOSYS, for which the original has no words of its own."""
    return (done.rc, done.out, done.err) == (255, "", "Function not implemented\n")


@pytest.mark.parametrize("case", SAMPLE, ids=lambda c: f"{cases.CASES.index(c)}-{cases.name(c)}")
def test_command(case, clean):
    cases.check(case, clean, refused)
