# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of the packages tier: the packages of this tree, and a Debian 12 to install them into."""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from common import BUILD, ROOT  # noqa: E402
from root import Root, make_rootfs  # noqa: E402


@pytest.fixture(scope="session")
def packages():
    """Their directory. Building them takes most of a minute, if they are not of this source."""
    env = dict(os.environ, BPVS_BUILD=str(BUILD))
    done = subprocess.run([ROOT / "tools/make-deb"], env=env, capture_output=True, text=True,
                          timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return BUILD / "deb"


@pytest.fixture
def make_root(packages, tmp_path):
    if os.geteuid():
        pytest.skip("a chroot needs root")
    made = []

    def make(**kwargs):
        made.append(Root(make_rootfs(), str(tmp_path), packages, **kwargs))
        return made[-1]

    yield make
    for root in made:
        root.close()
