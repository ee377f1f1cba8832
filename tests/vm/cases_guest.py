#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""In the guest: the recorded invocations once more, by the socket options of kernel IPVS.

cases_guest.py IPVSADM LIBRARIES PRELOADED
"""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from golden import cases  # noqa: E402

program, libraries, preloaded = sys.argv[1:]
subprocess.run(["modprobe", "ip_vs"], check=True)
run = cases.runner(
    ["ipvsadm"], executable=program,
    env={**os.environ, "LD_LIBRARY_PATH": libraries, "LD_PRELOAD": preloaded},
)  # fmt: skip
print(json.dumps({n: cases.outcome(cases.CASES[n], run) for n in cases.BY_OPTIONS}))
