# SPDX-License-Identifier: GPL-2.0-only
"""The source itself: each piece of tools/lint is one item."""

import subprocess

import pytest
from common import ROOT

LINT = ROOT / "tools/lint"
PIECES = subprocess.run([LINT, "--list"], check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("piece", PIECES)
def test_lint(piece):
    done = subprocess.run([LINT, piece], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
