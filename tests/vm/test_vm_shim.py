# SPDX-License-Identifier: GPL-2.0-only
"""
Messages to the family and socket options as they are, and ipvsadm without the family: what kernel
6.1 answers, and ours. With BPVS_SHIM=full (make check-shim); make check compares with what was
recorded (tests/prog/test_shim.py).
"""

import json
import os
import subprocess

import pytest
from common import BUILD, ROOT, lone_namespace
from golden import cases, genl, sockopt
from vm import HERE, kernel_ipvsadm, vm_missing, vm_run

SEED = int(os.environ.get("BPVS_SHIM_SEED", 2))
COUNT = int(os.environ.get("BPVS_SHIM_COUNT", 150))
KERNEL = os.environ.get("BPVS_SHIM_KERNEL", "6.1")
NETNS = f"shim-genl-{os.getpid()}"
BPVS = BUILD / "bpvs" / "bpvs"
INTERFACES = {"genl": genl, "sockopt": sockopt}


def sender(name):
    return BUILD / "tests" / "prog" / name


def sent(name, fresh):
    made = INTERFACES[name]
    if fresh:
        return made.scenarios(SEED, COUNT)
    return made.scenarios(made.RECORDED_SEED, made.RECORDED_COUNT)


def stream(scenarios):
    return "".join(line + "\n" for scenario in scenarios for line in scenario)


@pytest.fixture(scope="module")
def kernel(build, tmp_path_factory):
    """What the kernel answers: answers(name, fresh)."""
    reason = vm_missing(KERNEL)
    if reason:
        pytest.skip(reason)
    home, out = build / "shim-sent", tmp_path_factory.mktemp("answers")
    home.mkdir(exist_ok=True)
    words = []
    for name in INTERFACES:
        for fresh in (False, True):
            path = home / f"{name}-{fresh}"
            path.write_text(stream(sent(name, fresh)))
            words += [sender(name), path]
    done = vm_run([HERE / "shim_guest", *words], timeout=900, kernel=KERNEL, options=["--out", out])
    assert done.returncode == 0, done.stderr
    return lambda name, fresh: (out / f"{name}-{fresh}").read_text()


@pytest.mark.parametrize("name", INTERFACES)
def test_the_recording_holds(name, kernel):
    made, got = INTERFACES[name], kernel(name, False)
    if os.environ.get("BPVS_SHIM_RECORD"):
        made.RECORDED.write_text(got)
    assert made.differences(sent(name, False), made.RECORDED.read_text(), got) == []


@pytest.mark.parametrize("name", INTERFACES)
def test_answers_are_the_kernels(name, kernel):
    scenarios = sent(name, True)
    with lone_namespace(NETNS) as inside:
        done = subprocess.run(
            [*inside, BPVS, "run", "--", sender(name)],
            input=stream(scenarios), capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert INTERFACES[name].differences(scenarios, kernel(name, True), done.stdout) == []


def test_the_recording_by_options_holds():
    """tests/prog/test_shim.py compares ours with it."""
    reason = vm_missing(KERNEL)
    if reason:
        pytest.skip(reason)
    words = [HERE / "cases_guest.py", *kernel_ipvsadm(), sender("libno-family.so")]
    done = vm_run(words, timeout=900, kernel=KERNEL)
    assert done.returncode == 0, done.stderr
    got = {int(n): outcome for n, outcome in json.loads(done.stdout).items()}
    if os.environ.get("BPVS_SHIM_RECORD"):
        cases.OPTIONS.clear()
        differing = {str(n): got[n] for n in got if got[n] != cases.by_options(n)}
        (ROOT / "tests/golden/commands-sockopt.json").write_text(json.dumps(differing, indent=1) + "\n")
        cases.OPTIONS.update(differing)
    assert got == {n: cases.by_options(n) for n in cases.BY_OPTIONS}
