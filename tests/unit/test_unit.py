# SPDX-License-Identifier: GPL-2.0-only
"""The unit tests: each cmocka binary is one item; ipvsadm over tables in a file, case by case."""

import os
import subprocess

import pytest
from common import BUILD
from golden import cases

UNIT = BUILD / "tests" / "unit"
BINARIES = sorted(p for p in UNIT.glob("test_*") if p.is_file() and os.access(p, os.X_OK))


def test_are_built():
    assert BINARIES, f"no unit tests in {UNIT}: run make first"


@pytest.mark.parametrize("binary", BINARIES, ids=lambda p: p.name)
def test_cmocka(binary):
    done = subprocess.run([binary], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def stub(tmp_path):
    """ipvsadm-stub on empty tables."""
    # It exits from the middle of things, as ipvsadm does: what it still held is no leak.
    env = dict(os.environ, BPVS_STUB=str(tmp_path / "tables"), ASAN_OPTIONS="detect_leaks=0")
    command = ["ipvsadm"]  # argv[0]: messages name it
    run = cases.runner(command, executable=UNIT / "ipvsadm-stub", env=env)
    # The device of the recordings; any that exists will do.
    yield lambda words, stdin: run(["lo" if w == "d0" else w for w in words], stdin)
    (tmp_path / "tables").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "case", cases.CASES, ids=lambda c: f"{cases.CASES.index(c)}-{cases.name(c)}"
)
def test_command(case, stub):
    cases.check(case, stub)
