# SPDX-License-Identifier: GPL-2.0-only
"""A sample of the corpus of command lines (tests/corpus): ipvsadm 1.31 on kernel IPVS, and ours.

`make corpus` runs them all.
"""

import json
import os
import subprocess

import pytest
from common import ROOT
from vm import vm_missing

SAMPLE = 150


def test_a_sample_of_the_corpus(tmp_path):
    reason = vm_missing() or (None if os.geteuid() == 0 else "needs root: network namespaces")
    if reason:
        pytest.skip(reason)
    path = tmp_path / "corpus.json"
    run = [ROOT / "tests/corpus/run", "--sample", str(SAMPLE), "--timeout", "1200", "--output", path]
    done = subprocess.run(run, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(path.read_text())
    assert result["cases"] == SAMPLE and result["different"] == 0
    assert result["kernel"].startswith("6.1.")
