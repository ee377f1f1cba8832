# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of the netns tier: a bare pair of hosts, and the labs of lab/topo.sh."""

import os
import pathlib
import socket
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import netns  # noqa: E402
from cluster import Cluster  # noqa: E402
from world import World  # noqa: E402


def sctp_sockets():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


# VLAN devices, SCTP and the ends of tunnels are modules that the host's kernel need not have; the VM
# tier runs these.
collect_ignore = [] if os.environ.get("BPVS_VLAN") else ["test_vlan.py"]
collect_ignore += [] if sctp_sockets() else ["test_associations.py"]
collect_ignore += [] if os.environ.get("BPVS_TUNNELS") else ["test_tunnel_types.py"]
# These take minutes: `make check-keepalived`; test_keepalived.py is the sample.
if os.environ.get("BPVS_KEEPALIVED") != "full":
    collect_ignore += ["test_keepalived_checks.py", "test_keepalived_faults.py"]
# VRRP and the checks go by the clock, which an emulated machine cannot keep.
if netns.PATIENCE > 1:
    collect_ignore += ["test_keepalived.py"]

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "vm"))


@pytest.fixture(scope="session", autouse=True)
def root():
    if os.geteuid():
        pytest.skip("the netns tier needs root")


@pytest.fixture(scope="session")
def bpvs(build):
    tool = build / "bpvs" / "bpvs"
    if not tool.exists():
        pytest.skip(f"{tool} is not built")
    return tool


@pytest.fixture
def pair():
    """A real server `rs` and a `peer`, which is director and client to it, on one cable."""
    prefix = f"bpvs-t{os.getpid()}"
    rs, peer = netns.Host(f"{prefix}-rs"), netns.Host(f"{prefix}-peer")
    netns.join(rs, "eth0", peer, "eth0")
    for host, last in ((rs, "132"), (peer, "10")):
        host.ip("addr", "add", f"192.168.229.{last}/24", "dev", "eth0")
        host.ip("addr", "add", f"fd00:229::{last}/64", "dev", "eth0", "nodad")
    # what is sent by hand finds its way without neighbour discovery
    for host, other, last in ((rs, peer, "10"), (peer, rs, "132")):
        for addr in (f"192.168.229.{last}", f"fd00:229::{last}"):
            host.ip("neigh", "add", addr, "lladdr", other.mac(), "dev", "eth0")
    rs.settle()
    yield rs, peer
    rs.delete()
    peer.delete()


class Lab:
    """One of the labs, up for as long as the tests that share it."""

    def __init__(self, name, mode, build):
        self.name = name
        self.mode = mode
        self.env = dict(
            os.environ, BPVS_LAB_PREFIX=f"bpvs-t{os.getpid()}", BPVS=str(build / "bpvs" / "bpvs"),
            BPVS_BUILD=str(build),
        )
        lines = self.lab("env").stdout.splitlines()
        self.at = dict(line.split("=", 1) for line in lines)
        self.texts = {self.at["TEXT1"], self.at["TEXT2"]}

    def lab(self, *argv, **kwargs):
        return netns.run(ROOT / "lab" / "lab", self.name, *argv, env=self.env, **kwargs)

    def up(self, *options):
        self.lab("up", "--mode", self.mode, *options)
        self.client, self.director, self.rs1, self.rs2 = (
            netns.Host(self.at["NS"] + host, make=False)
            for host in ("client", "director", "rs1", "rs2")
        )

    def down(self):
        return self.lab("down")

    def ipvsadm(self, *argv):
        env = dict(os.environ, PATH=self.at["PATH"])
        return self.director.run("ipvsadm", *argv, env=env).stdout


@pytest.fixture(scope="module")
def make_lab(build, bpvs):
    """Labs by name and mode, each taken down at the end."""
    made = []

    def make(name, mode, *options):
        lab = Lab(name, mode, build)
        made.append(lab)
        lab.up(*options)
        return lab

    yield make
    for lab in made:
        lab.down()


@pytest.fixture(scope="module", params=["xdp", "tc"])
def world(request, build, bpvs, tmp_path_factory):
    """The director between routers (world.py), one for each hook, shared by a module's tests."""
    made = World(f"bpvs-t{os.getpid()}-w", request.param, build, tmp_path_factory.mktemp("world"))
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def keepalived():
    """Debian's own, unpacked: installed it would be a service of this machine."""
    from vm import unpacked
    try:
        return unpacked("keepalived") / "usr" / "sbin" / "keepalived"
    except subprocess.CalledProcessError:
        pytest.skip("Debian's keepalived cannot be downloaded")


@pytest.fixture(scope="module")
def cluster(build, bpvs, keepalived):
    """Two directors, four servers, a client (cluster.py), without keepalived running."""
    made = Cluster(f"bpvs-t{os.getpid()}-ka", build, keepalived)
    try:
        made.up()
        yield made
    finally:
        made.down()
