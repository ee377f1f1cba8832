# SPDX-License-Identifier: GPL-2.0-only
"""
Real servers on a VLAN of the wire that clients come by: tags come and go on the way.

    client ---- untagged ---- director eth0, eth0.100 ---- tag 100 ---- rs1, rs2 eth0.100
"""

import os
import socket

import pytest

import netns
from world import AF, FLAG, NGINX, VIP, at

families = pytest.mark.parametrize("family", [4, 6])
methods = pytest.mark.parametrize("method", ["nat", "dr"])
CLIENT = {4: "192.168.1.10", 6: "fd00:1::10"}
RIP = {"rs1": {4: "192.168.229.132", 6: "fd00:229::132"},
       "rs2": {4: "192.168.229.134", 6: "fd00:229::134"}}
BITS = {4: 24, 6: 64}


@pytest.fixture(scope="module")
def vlans():
    host = netns.Host(f"bpvs-t{os.getpid()}-try")
    try:
        host.ip("link", "add", "eth0", "type", "dummy")
        netns.run("ip", "-n", host.name, "link", "add", "link", "eth0", "name", "eth0.100",
                  "type", "vlan", "id", "100")
    except AssertionError as err:
        pytest.skip(f"no VLAN device in this kernel: {str(err).splitlines()[-1]}")
    finally:
        host.delete()


class Wire:
    def __init__(self, mode, build, directory):
        self.mode, self.build, self.dir = mode, build, directory
        self.bpvs, self.adm = build / "bpvs" / "bpvs", build / "ipvsadm" / "ipvsadm"
        prefix = f"bpvs-t{os.getpid()}-v"
        self.hosts = {name: netns.Host(f"{prefix}-{name}")
                      for name in ("switch", "client", "director", "rs1", "rs2")}
        for name, host in self.hosts.items():
            setattr(self, name, host)

    def up(self):
        self.switch.ip("link", "add", "wire", "up", "type", "bridge")
        for name, host in self.hosts.items():
            if host is not self.switch:
                netns.join(host, "eth0", self.switch, name)
                self.switch.ip("link", "set", name, "master", "wire")
                self.finish(host, name)
        for name in ("director", "rs1", "rs2"):
            self.hosts[name].ip("link", "add", "link", "eth0", "name", "eth0.100",
                                "type", "vlan", "id", "100")
            self.hosts[name].ip("link", "set", "eth0.100", "up")
        self.address(self.client, "eth0", CLIENT)
        self.address(self.director, "eth0", VIP)
        self.address(self.director, "eth0.100", {4: "192.168.229.133", 6: "fd00:229::133"})
        for name in ("rs1", "rs2"):
            self.real_server(name)
        self.director.run(self.bpvs, "up", "--mode", self.mode, "--conns", "1k")
        for host in (self.client, self.director, self.rs1, self.rs2):
            host.settle()

    def finish(self, host, name):
        """XDP sees what is in the frame: tags and checksums are put there by who sends."""
        if self.mode != "xdp":
            return
        off = ("tx", "off", "tso", "off", "gso", "off", "txvlan", "off", "rxvlan", "off")
        self.switch.run("ethtool", "-K", name, *off)
        if name == "director":
            host.run("ethtool", "-K", "eth0", "txvlan", "off", "rxvlan", "off")
            self.switch.run("ethtool", "-K", name, "gro", "on")
            self.switch.ip("link", "set", name, "xdpdrv", "object",
                           self.build / "bpf" / "pass.bpf.o", "section", "xdp")
        else:
            host.run("ethtool", "-K", "eth0", *off)

    @staticmethod
    def address(host, dev, addrs):
        for family, addr in addrs.items():
            host.ip("addr", "add", f"{addr}/{BITS[family]}", "dev", dev,
                    *(("nodad",) if family == 6 else ()))

    def real_server(self, name):
        """Answers from its own address go back by the director, those from the VIP directly."""
        host = self.hosts[name]
        self.address(host, "eth0.100", RIP[name])
        for via in ("192.168.229.133", "fd00:229::133"):
            host.ip("route", "add", "default", "via", via)
        host.run(self.bpvs, "realserver", "up", "--mode", "dr", "--vip", VIP[4], "--vip", VIP[6],
                 "--dev", "eth0.100")
        for f in (4, 6):
            host.ip(f"-{f}", "rule", "add", "from", VIP[f], "lookup", "7", "pref", "100")
            host.ip(f"-{f}", "route", "add", "default", "dev", "eth0", "table", "7")
            host.ip("neigh", "add", CLIENT[f], "lladdr", self.client.mac(), "dev", "eth0")
        conf = self.dir / f"{name}.conf"
        conf.write_text(NGINX.format(dir=self.dir, name=name))
        host.run("nginx", "-c", conf, "-p", self.dir, "-e", self.dir / f"{name}.log")

    def down(self):
        for name in ("rs1", "rs2"):
            self.hosts[name].run("nginx", "-c", self.dir / f"{name}.conf", "-p", self.dir,
                                 "-s", "stop", check=False)
            self.hosts[name].run(self.bpvs, "realserver", "down", check=False)
        self.director.run(self.bpvs, "down", check=False)
        for host in self.hosts.values():
            host.delete()

    def ipvsadm(self, *argv):
        return self.director.run(self.adm, *argv).stdout

    def counter(self, label):
        out = self.director.run(self.bpvs, "status", "-v").stdout
        return next(int(ln.split()[2]) for ln in out.splitlines() if ln.split()[1:2] == [label])


@pytest.fixture(scope="module", params=["xdp", "tc"])
def wire(request, vlans, build, bpvs, tmp_path_factory):
    made = Wire(request.param, build, tmp_path_factory.mktemp("vlan"))
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture
def service(wire):
    made = []

    def make(family, method, kind, port):
        vip = at(VIP[family], port)
        wire.ipvsadm("-A", kind, vip, "-s", "rr")
        made.append((kind, vip))
        for name in ("rs1", "rs2"):
            wire.ipvsadm("-a", kind, vip, "-r", at(RIP[name][family], port), FLAG[method])
        return vip

    yield make
    for kind, vip in made:
        wire.ipvsadm("-D", kind, vip)


@methods
@families
def test_web_pages_by_turns(wire, service, family, method):
    (wire.dir / "blob").write_bytes(blob := os.urandom(300_000))
    vip = service(family, method, "-t", 80)
    answers = [wire.client.curl(f"http://{vip}/").strip() for _ in range(6)]
    assert sorted(answers) == ["rs1"] * 3 + ["rs2"] * 3, answers
    sent = wire.counter("nat-in" if method == "nat" else "direct")
    for _ in range(2):
        wire.client.curl(f"http://{vip}/blob", "-o", wire.dir / "got")
        assert (wire.dir / "got").read_bytes() == blob
    assert wire.counter("nat-in" if method == "nat" else "direct") > sent + 20


@methods
@families
def test_datagrams(wire, service, family, method):
    service(family, method, "-u", 5000)
    ears = {name: wire.hosts[name].bound(AF[family], socket.SOCK_DGRAM,
                                         RIP[name][family] if method == "nat" else VIP[family],
                                         5000)
            for name in ("rs1", "rs2")}
    for name in ("rs1", "rs2", "rs1", "rs2"):
        with wire.client.socket(AF[family], socket.SOCK_DGRAM) as mouth:
            mouth.settimeout(10 * netns.PATIENCE)
            mouth.connect((VIP[family], 5000))
            mouth.send(b"question")
            ear = netns.heard(ears.values())
            assert ear, "nobody heard the question"
            data, who = ear.recvfrom(100)
            assert data == b"question"
            ear.sendto(b"answer", who)
            assert mouth.recv(100) == b"answer"
            assert not netns.heard(ears.values(), 0), "heard twice"
    for ear in ears.values():
        ear.close()


def test_status_tells_of_the_vlan(wire):
    """XDP sits on the parent alone, TC on both."""
    out = wire.director.run(wire.bpvs, "status").stdout
    lines = dict(line.split(None, 1) for line in out.splitlines() if line.startswith("  "))
    assert lines["eth0"] == ("xdp native + tc" if wire.mode == "xdp" else "tc")
    assert lines["eth0.100"].startswith("tc")


def test_xdp_does_the_work(wire, service):
    """What comes tagged or leaves tagged is no reason to hand a packet up, once neighbours are
    known."""
    if wire.mode != "xdp":
        return
    vip = service(4, "nat", "-t", 80)
    for _ in range(2):
        wire.client.curl(f"http://{vip}/")
    before = {label: wire.counter(label) for label in ("up-neighbour", "up-device")}
    for _ in range(4):
        wire.client.curl(f"http://{vip}/")
    # now and then one packet confirms the neighbour
    assert all(wire.counter(label) - n <= 4 for label, n in before.items())
