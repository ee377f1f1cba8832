# SPDX-License-Identifier: GPL-2.0-only
"""dh, sh and mh choose as kernel IPVS does, by random services and clients (hash_guest.py)."""

import os

import pytest
from vm import HERE, kernel_ipvsadm, vm_missing, vm_run

SEED = os.environ.get("BPVS_FUZZ_SEED", "1")
SERVICES = os.environ.get("BPVS_FUZZ_COUNT", "100")


def test_same_choices(build):
    reason = vm_missing()
    if reason:
        pytest.skip(reason)
    command = [HERE / "hash_guest.py", build, *kernel_ipvsadm(), SEED, SERVICES]
    done = vm_run(["/usr/bin/python3", *map(str, command)], timeout=1500)
    assert done.returncode == 0, f"seed {SEED}\n" + (done.stdout + done.stderr)[-8000:]
    print(done.stdout)
