# SPDX-License-Identifier: GPL-2.0-only
"""What of this tier takes minutes has a target of its own."""

import os

# `make check-shim`; tests/prog/test_shim.py and test_proc.py have the kernel's recorded answers.
LONG = ["test_vm_shim.py", "test_vm_proc.py"]
collect_ignore = [] if os.environ.get("BPVS_SHIM") == "full" else LONG
