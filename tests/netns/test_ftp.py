# SPDX-License-Identifier: GPL-2.0-only
"""
FTP under NAT without persistence, with vsftpd and curl: the server says its own address, the client
hears the virtual one.
"""

import json
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
WAYS = {"epsv": [], "pasv": ["--disable-epsv", "--no-ftp-skip-pasv-ip"], "eprt": ["-P", "-"],
        "port": ["-P", "-", "--disable-eprt"]}
CASES = [(way, family) for way in WAYS for family in (4, 6)
         if family == 4 or way.startswith("e")]


@pytest.fixture(scope="session")
def vsftpd():
    """Unpacked: installed it would be a service of this machine."""
    from vm import library_path, unpacked
    try:
        libraries = library_path(("libwrap0", "libnsl2", "libtirpc3"))
        return unpacked("vsftpd") / "usr" / "sbin" / "vsftpd", libraries
    except subprocess.CalledProcessError:
        pytest.skip("Debian's vsftpd cannot be downloaded")


def at(addr, port=21):
    return f"[{addr}]:{port}" if ":" in addr else f"{addr}:{port}"


@pytest.fixture(scope="module", params=["xdp", "tc"])
def lab(request, make_lab, vsftpd, bpvs):
    lab = make_lab("nat", request.param)
    lab.bpvs = bpvs
    lab.records = lambda: records(lab)
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory).chmod(0o755)
        yield from served(lab, vsftpd, pathlib.Path(directory))


def records(lab):
    """What is kept of control connections beside the table."""
    filters = lab.director.run("tc", "-j", "filter", "show", "dev", "eth0", "ingress").stdout
    (prog,) = re.findall(r'"prog":\{"id":(\d+)', filters)
    for number in show("prog", prog)["map_ids"]:
        if show("map", number)["name"] == "bpvs_ftp":
            return len(json.loads(netns.run("bpftool", "-j", "map", "dump", "id", number).stdout))
    raise AssertionError("no such map")


def show(kind, number):
    return json.loads(netns.run("bpftool", "-j", kind, "show", "id", number).stdout)


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
    return lab.client.run("curl", "-gsS", "--max-time", f"{20 * netns.PATIENCE:g}", *argv, **kwargs)


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


@pytest.mark.parametrize("way, family", [("pasv", 4), ("port", 4), ("epsv", 6), ("eprt", 6)])
def test_upload(lab, way, family, tmp_path):
    data = os.urandom(700000)
    (tmp_path / "up").write_bytes(data)
    name = f"in/{way}{family}"
    curl(lab, *WAYS[way], "-T", tmp_path / "up", url(lab, family, name))
    got = [(s.root / name).read_bytes() for s in lab.servers if (s.root / name).exists()]
    assert got == [data]


def connections(lab):
    """{(client's port is known, virtual port, destination): state}"""
    found = {}
    for line in lab.ipvsadm("-Lnc").splitlines()[2:]:
        _, _, state, client, virtual, dest = line.split()
        found[(not client.endswith(":0"), int(virtual.rsplit(":", 1)[1]), dest)] = state
    return found


@pytest.fixture
def session(lab, family):
    lab.director.run(lab.bpvs, "flush")
    made = Session(lab.client, family, lab.at[VIP[family]]).login()
    yield made
    made.close()


def passive(session):
    """The port that the client is told, and that nothing but the virtual address is."""
    if session.family == 6:
        said = session.say("EPSV")
        return int(re.search(r"\(\|\|\|(\d+)\|\)", said)[1])
    said = session.say("PASV")
    numbers = re.search(r"\((\d+(?:,\d+){5})\)", said)[1].split(",")
    assert ".".join(numbers[:4]) == session.vip
    return int(numbers[4]) * 256 + int(numbers[5])


@families
def test_life(lab, session, family):
    """Announced, found by the client's packet, held by; and a flush ends both and the record."""
    port = passive(session)
    announced = connections(lab)
    (rip,) = {dest.rsplit(":", 1)[0] for _, _, dest in announced}
    assert announced == {(True, 21, f"{rip}:21"): "ESTABLISHED",
                         (False, port, f"{rip}:{port}"): "LISTEN"}
    data = session.connect(port)
    assert connections(lab) == {(True, 21, f"{rip}:21"): "ESTABLISHED",
                                (True, port, f"{rip}:{port}"): "ESTABLISHED"}
    # nobody else is let in by what was announced once
    other = lab.client.socket(data.family, data.type)
    other.settimeout(2)
    assert other.connect_ex((session.vip, port)) != 0
    other.close()
    assert session.say("RETR name").startswith("150")
    assert data.recv(100).decode() in ("rs1", "rs2")
    data.close()
    assert session.answer().startswith("226")
    passive(session)
    assert lab.records() == 1
    lab.director.run(lab.bpvs, "flush")
    assert connections(lab) == {}
    assert lab.records() == 0


def test_flush_of_three(lab):
    """Template, control and data connection: each has to go before what controls it can."""
    vip = at(lab.at["VIP"])
    lab.director.run(lab.bpvs, "flush")
    lab.ipvsadm("-E", "-t", vip, "-s", "rr", "-p", "300")
    session = Session(lab.client, 4, lab.at["VIP"]).login()
    try:
        session.connect(passive(session)).close()
        assert len(connections(lab)) == 3
        lab.director.run(lab.bpvs, "flush")
        assert connections(lab) == {}
    finally:
        session.close()
        lab.ipvsadm("-E", "-t", vip, "-s", "rr")


@families
def test_answer_lost(lab, session, family):
    """The server says it again: the client hears the same, and its numbers fit."""
    word = "0x32323720" if family == 4 else "0x32323920"
    lab.client.run("nft", "-f", "-", input=f"""
        table inet once {{
          chain in {{
            type filter hook input priority 0;
            tcp sport 21 @th,256,32 {word} numgen inc mod 1000 0 counter drop
          }}
        }}""")
    try:
        port = passive(session)
        rules = lab.client.run("nft", "list", "table", "inet", "once").stdout
    finally:
        lab.client.run("nft", "delete", "table", "inet", "once")
    assert "counter packets 1 " in rules
    with session.connect(port) as data:
        assert session.say("RETR name").startswith("150")
        assert data.recv(100).decode() in ("rs1", "rs2")
    assert session.answer().startswith("226")
    assert session.say("NOOP").startswith("200")


def test_longer(lab):
    """The virtual address is longer than the server's, so that each answer makes more of it."""
    vip, rip = "192.168.111.111", "192.168.229.5"
    lab.client.ip("route", "add", vip, "via", lab.at["VIP"])
    lab.rs1.ip("addr", "add", f"{rip}/24", "dev", "eth0")
    lab.ipvsadm("-A", "-t", f"{vip}:21", "-s", "rr")
    lab.ipvsadm("-a", "-t", f"{vip}:21", "-r", rip, "-m")
    try:
        said = curl(lab, *WAYS["pasv"], *[f"ftp://{vip}/name"] * 5).stdout
    finally:
        lab.ipvsadm("-D", "-t", f"{vip}:21")
        lab.rs1.ip("addr", "del", f"{rip}/24", "dev", "eth0")
        lab.client.ip("route", "del", vip)
    assert said == "rs1" * 5


def test_no_bug(lab):
    out = lab.director.run(lab.bpvs, "status", "-v").stdout
    assert re.findall(r" (bug-\S+) +(\d+)", out) == [("bug-map", "0"), ("bug-table", "0")]
