# SPDX-License-Identifier: GPL-2.0-only
"""The labs without an engine: wires, servers, XDP across them, and nothing left behind."""

import os
import pathlib
import socket

import pytest

import netns

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module", params=["nat", "dr", "tun"])
def lab(request, make_lab):
    return make_lab(request.param, "xdp", "--bare")


def test_servers_answer_the_director(lab):
    for n in (1, 2):
        for addr in (lab.at[f"RIP{n}"], f"[{lab.at[f'RIP{n}_6']}]"):
            assert lab.director.curl(f"http://{addr}/") == lab.at[f"TEXT{n}"] + "\n"


def test_udp_answers_come_from_where_they_must(lab):
    """The VIP on a DR or TUN real server, the real server itself behind NAT."""
    for n, rs in ((1, lab.rs1), (2, lab.rs2)):
        for af, key in ((socket.AF_INET, ""), (socket.AF_INET6, "6")):
            own = lab.at[f"RIP{n}{'_6' if key else ''}"]
            asked = own if lab.name == "nat" else lab.at[f"VIP{key}"]
            with rs.socket(af, socket.SOCK_DGRAM) as sock:
                sock.settimeout(10 * netns.PATIENCE)
                sock.connect((asked, 53))
                sock.send(b"hello")
                assert sock.recv(100).decode() == lab.at[f"TEXT{n}"] + "\n"


def test_routes_and_vip_are_the_labs(lab):
    for rs in (lab.rs1, lab.rs2):
        default = rs.ip("route", "show", "default") + rs.ip("-6", "route", "show", "default")
        vips = rs.ip("addr", "show", "dev", "lo")
        if lab.name == "nat":
            assert f"via {lab.at['DIP']} " in default and f"via {lab.at['DIP6']} " in default
        else:
            assert default == ""
            assert f"{lab.at['VIP']}/32" in vips and f"{lab.at['VIP6']}/128" in vips


@pytest.fixture(scope="module")
def reflector(tmp_path_factory):
    obj = tmp_path_factory.mktemp("bpf") / "reflect.bpf.o"
    include = f"-I/usr/include/{os.uname().machine}-linux-gnu"
    netns.run("clang-19", "-O2", "-g", "-target", "bpf", "-mcpu=v3", include, "-c",
              HERE / "reflect.bpf.c", "-o", obj)
    return obj


@pytest.mark.parametrize("port", [7001, 7002], ids=["tx", "redirect"])
def test_frames_from_xdp_cross_every_wire_of_the_director(lab, reflector, port):
    """Checksums included: the client's kernel verifies those of what comes back."""
    wires = {"eth0": [lab.client, lab.rs1, lab.rs2]}
    if lab.name == "nat":
        wires = {"eth0": [lab.client], "eth1": [lab.rs1, lab.rs2]}
    for dev, hosts in wires.items():
        addr = lab.at["VIP" if lab.name == "nat" and dev == "eth0" else "DIP"]
        lab.director.ip("link", "set", "dev", dev, "xdpdrv", "object", reflector, "section", "xdp")
        try:
            for host in hosts:
                with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.settimeout(10 * netns.PATIENCE)
                    sock.connect((addr, port))
                    for n in range(3):
                        sock.send(f"{host.name} {n}".encode())
                        assert sock.recv(100).decode() == f"{host.name} {n}"
        finally:
            lab.director.ip("link", "set", "dev", dev, "xdpdrv", "off")


def test_a_second_up_is_refused(lab):
    done = lab.lab("up", "--bare", check=False)
    assert done.returncode == 1
    assert "up already" in done.stderr
    assert lab.rs1.curl("http://127.0.0.1/")


def test_down_leaves_nothing(lab):
    """Runs last: takes the module's lab down."""
    said = lab.down()
    assert said.stdout + said.stderr == ""
    assert lab.at["NS"] not in netns.run("ip", "netns").stdout
    assert not pathlib.Path(lab.at["STATE"]).exists()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = pathlib.Path("/proc", name, "cmdline").read_bytes().decode()
        except OSError:
            continue
        assert lab.at["STATE"] not in line
    assert lab.down().returncode == 0


@pytest.mark.parametrize(
    "argv",
    [("xyz", "up"), ("nat", "fly"), ("nat", "up", "--mode", "fast"), ("nat",), ("nat", "sh", "me")],
)
def test_misuse(build, argv):
    env = dict(os.environ, BPVS_LAB_PREFIX=f"bpvs-t{os.getpid()}")
    done = netns.run(build.parent / "lab" / "lab", *argv, env=env, check=False)
    assert done.returncode in (1, 2)
    assert done.stderr
