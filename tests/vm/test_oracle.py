# SPDX-License-Identifier: GPL-2.0-only
"""A sample of the oracle (tests/oracle): written scenarios, evenly taken, and random ones.

`make oracle` runs them all.
"""

import json
import subprocess

import pytest
from common import ROOT
from vm import vm_missing

WRITTEN, RANDOM, SEED = 40, 10, 11
AT_LEAST = (WRITTEN + RANDOM) // 2  # of fewer it says little
BEGIN = 260  # seconds after which no more than those begin


@pytest.fixture(scope="module")
def oracle(build, tmp_path_factory):
    reason = vm_missing()
    if reason:
        pytest.skip(reason)
    path = tmp_path_factory.mktemp("oracle") / "oracle.json"
    run = [ROOT / "tests/oracle/run", "--sample", str(WRITTEN), "--seed", str(SEED), "--count",
           str(RANDOM), "--seconds", str(BEGIN), "--at-least", str(AT_LEAST), "--timeout", "2400",
           "--output", path]
    done = subprocess.run(run, capture_output=True, text=True, timeout=2500, check=False)
    assert path.exists(), done.stdout + done.stderr
    return done, json.loads(path.read_text())


def test_nothing_differs_from_kernel_ipvs(oracle):
    done, result = oracle
    assert done.returncode == 0 and result["different"] == 0, done.stdout + done.stderr


def test_the_sample_was_run(oracle):
    _, result = oracle
    ran = result["written"] + result["random"]
    assert result["kernel"].startswith("6.1.")
    assert ran + result["not_run"] >= WRITTEN + RANDOM
    assert ran >= AT_LEAST
