# SPDX-License-Identifier: GPL-2.0-only
"""The verifier's work on the programs stays within tools/budget.txt."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_budget(ns):
    tool = ROOT / "tools/check-budget"
    done = subprocess.run(
        ["ip", "netns", "exec", ns.name, tool, "--run", ns.build / "tests/prog/bpvs-run"],
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
