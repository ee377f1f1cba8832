# SPDX-License-Identifier: GPL-2.0-only
"""
Messages to the family as they are, to the kernel's on 6.1 and to ours: with BPVS_SHIM=full (make
check-shim). make check compares with what was recorded (tests/prog/test_shim.py).
"""

import os
import subprocess

import pytest
from common import BUILD, lone_namespace
from golden import genl
from vm import HERE, vm_missing, vm_run

SEED = int(os.environ.get("BPVS_SHIM_SEED", 2))
COUNT = int(os.environ.get("BPVS_SHIM_COUNT", 150))
NETNS = f"shim-genl-{os.getpid()}"
SENDER = BUILD / "tests" / "prog" / "genl"
BPVS = BUILD / "bpvs" / "bpvs"


def stream(scenarios):
    return "".join(line + "\n" for scenario in scenarios for line in scenario)


@pytest.fixture(scope="module")
def kernel(build):
    """What the kernel answers to the recorded stream's messages, and to fresh ones."""
    reason = vm_missing()
    if reason:
        pytest.skip(reason)
    sent = genl.scenarios(genl.RECORDED_SEED, genl.RECORDED_COUNT) + genl.scenarios(SEED, COUNT)
    messages = build / "genl-messages"
    messages.write_text(stream(sent))
    done = vm_run([HERE / "genl_guest", SENDER, messages], timeout=900)
    assert done.returncode == 0, done.stderr
    (build / "genl-answers").write_text(done.stdout)
    return sent, done.stdout


@pytest.fixture(scope="module")
def ours(kernel):
    with lone_namespace(NETNS) as inside:
        done = subprocess.run(
            [*inside, BPVS, "run", "--", SENDER],
            input=stream(kernel[0]), capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_recording_holds(kernel):
    sent, answers = kernel
    part = sent[: genl.RECORDED_COUNT]
    length = sum(len(scenario) for scenario in part)
    blocks = answers.split(".\n")[:length]
    got = "".join(block + ".\n" for block in blocks)
    if os.environ.get("BPVS_SHIM_RECORD"):
        genl.RECORDED.write_text(got)
    assert genl.differences(part, genl.RECORDED.read_text(), got) == []


def test_answers_are_the_kernels(kernel, ours):
    sent, answers = kernel
    assert genl.differences(sent, answers, ours) == []
