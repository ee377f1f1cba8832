# SPDX-License-Identifier: GPL-2.0-only
"""Where things are, for every tier."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("BPVS_BUILD", ROOT / "build"))
