# SPDX-License-Identifier: GPL-2.0-only
"""What debian/ says and something else in the tree says, too."""

import re
import subprocess

from common import ROOT


def test_build_depends():
    """Whoever needs a package to build names it in tools/deps and in debian/control."""
    control = (ROOT / "debian/control").read_text()
    depends = re.search(r"^Build-Depends: (.*?)^\S", control, re.M | re.S)[1]
    named = {d.split()[0] for d in depends.split(",")} - {"debhelper-compat"}
    build = re.search(r"^build=\((.*?)\)", (ROOT / "tools/deps").read_text(), re.M | re.S)[1]
    essential = {"gcc", "libc6-dev", "make"}
    assert named == set(build.split()) - essential


def test_version():
    version = re.search(r"version: '([^']*)'", (ROOT / "meson.build").read_text())[1]
    assert (ROOT / "debian/changelog").read_text().startswith(f"bpvs ({version}) bookworm;")


def test_changelog():
    done = subprocess.run(["dpkg-parsechangelog", "-l", ROOT / "debian/changelog"],
                          capture_output=True, text=True, check=True)
    assert done.stderr == ""
