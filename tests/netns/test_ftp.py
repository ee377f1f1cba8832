# SPDX-License-Identifier: GPL-2.0-only
"""
FTP under NAT without persistence, with vsftpd and curl: the server says its own address, the client
hears the virtual one.
"""

import os
import pathlib
import re
import subprocess
import tempfile

import pytest

import netns
from ftp import Server, Session

families = pytest.mark.parametrize("family", [4, 6])
VIP = {4: "VIP", 6: "VIP6"}
RIPS = {4: ("RIP1", "RIP2"), 6: ("RIP1_6", "RIP2_6")}
# passive: EPSV, PASV; active: EPRT, PORT
WAYS = {"epsv": [], "pasv": ["--disable-epsv"], "eprt": ["-P", "-"],
        "port": ["-P", "-", "--disable-eprt"]}
CASES = [(way, family) for way in WAYS for family in (4, 6)
         if family == 4 or way.startswith("e")]


@pytest.fixture(scope="session")
def vsftpd():
    """Unpacked: installed it would be a service of this machine."""
    from vm import library_path, unpacked
    try:
        return unpacked("vsftpd") / "usr" / "sbin" / "vsftpd", library_path(("libwrap0",))
    except subprocess.CalledProcessError:
        pytest.skip("Debian's vsftpd cannot be downloaded")


def at(addr, port=21):
    return f"[{addr}]:{port}" if ":" in addr else f"{addr}:{port}"


@pytest.fixture(scope="module", params=["xdp", "tc"])
def lab(request, make_lab, vsftpd):
    lab = make_lab("nat", request.param)
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory).chmod(0o755)
        yield from served(lab, vsftpd, pathlib.Path(directory))


def served(lab, vsftpd, directory):
    lab.servers = [Server(*vsftpd, host, directory, name)
                   for host, name in ((lab.rs1, "rs1"), (lab.rs2, "rs2"))]
    for family in (4, 6):
        vip = at(lab.at[VIP[family]])
        lab.ipvsadm("-A", "-t", vip, "-s", "rr")
        for rip in RIPS[family]:
            lab.ipvsadm("-a", "-t", vip, "-r", at(lab.at[rip]), "-m")
    yield lab
    for server in lab.servers:
        server.stop()
    lab.down()


def curl(lab, *argv, **kwargs):
    return lab.client.run("curl", "-gsS", "--max-time", "20", *argv, **kwargs)


def url(lab, family, path):
    vip = lab.at[VIP[family]]
    return f"ftp://[{vip}]/{path}" if family == 6 else f"ftp://{vip}/{path}"


@pytest.mark.parametrize("way, family", CASES)
def test_download(lab, way, family):
    """Four files by one control connection: its numbers are moved four times. Then the other."""
    where = url(lab, family, "name")
    seen = []
    for _ in lab.servers:
        said = curl(lab, *WAYS[way], where, where, where, where).stdout
        seen.append(said)
    assert sorted(seen) == ["rs1" * 4, "rs2" * 4]


@pytest.mark.parametrize("way, family", CASES)
def test_upload(lab, way, family, tmp_path):
    data = os.urandom(700000)
    (tmp_path / "up").write_bytes(data)
    name = f"in/{way}{family}"
    curl(lab, *WAYS[way], "-T", tmp_path / "up", url(lab, family, name))
    got = [(s.root / name).read_bytes() for s in lab.servers if (s.root / name).exists()]
    assert got == [data]
