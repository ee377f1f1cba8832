# SPDX-License-Identifier: GPL-2.0-only
"""Bounds that IPVS does not have are told, not passed over."""

import os
import subprocess

import pytest
from common import BUILD

MOST = 1024


@pytest.fixture
def adm(request):
    name = f"bn-limits-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)

    def run(*argv, stdin=None):
        command = ["ip", "netns", "exec", name, BUILD / "ipvsadm" / "ipvsadm", *argv]
        return subprocess.run(command, input=stdin, text=True, capture_output=True, check=False)

    run.name = name
    yield run
    subprocess.run(["ip", "netns", "exec", name, BUILD / "bpvs" / "bpvs", "down"], check=False)
    subprocess.run(["ip", "netns", "del", name], check=False)


def test_destinations_of_a_service(adm):
    lines = ["-A -t 10.0.0.1:80 -s lc"]
    lines += [f"-a -t 10.0.0.1:80 -r 10.1.{i // 250}.{i % 250 + 1}:80" for i in range(MOST)]
    assert adm("-R", stdin="\n".join(lines)).stderr == ""
    more = adm("-a", "-t", "10.0.0.1:80", "-r", "10.9.9.9:80")
    assert (more.returncode, "No room" in more.stderr) == (255, True)
    assert adm("-Ln").stdout.count("  -> 10.") == MOST
    assert adm("-d", "-t", "10.0.0.1:80", "-r", "10.1.0.1:80").returncode == 0
    assert adm("-a", "-t", "10.0.0.1:80", "-r", "10.9.9.9:80").returncode == 0


def test_destinations_in_all(adm):
    """Full services of the largest weight, 65,536 destinations in all."""
    lines = []
    for s in range(64):
        lines.append(f"-A -t 10.0.0.1:{1000 + s} -s wlc")
        lines += [
            f"-a -t 10.0.0.1:{1000 + s} -r 10.{10 + s}.{i // 250}.{i % 250 + 1}:80 -w 2147483647"
            for i in range(MOST)
        ]
    assert adm("-R", stdin="\n".join(lines)).stderr == ""
    listing = adm("-Ln").stdout
    assert listing.count("  -> 10.") == 65536
    assert listing.count(" 2147483647 ") == 65536
    assert adm("-C").returncode == 0


def test_a_stranger_with_the_lock(adm):
    """The lock of up and down is an address that anybody may bind: who is not root is named, not
    waited for. Changes have a lock that nobody else can reach."""
    squat = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind('\\0bpvs-tables');"
             "s.listen(); print('held', flush=True); sys.stdin.read()")
    assert adm("-C").returncode == 0, "an instance is there"
    stranger = subprocess.Popen(
        ["ip", "netns", "exec", adm.name, "setpriv", "--reuid=65534", "--clear-groups",
         "/usr/bin/python3", "-c", squat], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert stranger.stdout.readline() == "held\n"
        for verb in ("up", "down"):
            refused = subprocess.run(
                ["ip", "netns", "exec", adm.name, BUILD / "bpvs" / "bpvs", verb],
                text=True, capture_output=True, check=False, timeout=60)
            assert refused.returncode != 0
            assert "65534" in refused.stderr and "holds the lock" in refused.stderr
        assert adm("-A", "-t", "10.0.0.1:80").returncode == 0
    finally:
        stranger.communicate("")
