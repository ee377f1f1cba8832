# SPDX-License-Identifier: GPL-2.0-only
"""Where things are, and the least that an instance needs, for every tier."""

import contextlib
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("BPVS_BUILD", ROOT / "build"))


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def lone_namespace(name):
    """A network namespace with one device to serve; yields the words that run a program in it."""
    inside = ["nsenter", f"--net=/run/netns/{name}"]
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "link", "add", "d0", "type", "veth", "peer", "name", "d1")
        ip("-n", name, "address", "add", "10.9.9.254/24", "dev", "d0")
        for dev in ("d0", "d1"):
            ip("-n", name, "link", "set", dev, "up")
        yield inside
    finally:
        bpvs = BUILD / "bpvs" / "bpvs"
        if bpvs.exists():
            subprocess.run([*inside, bpvs, "down"], check=False)
        ip("netns", "del", name)
