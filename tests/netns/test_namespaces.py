# SPDX-License-Identifier: GPL-2.0-only
"""An instance belongs to its network namespace: two know nothing of each other."""

import os
import re

import pytest

import netns
from test_faults import HOLD, cookie_of
from test_faults import table as read_table
from world import at

VIP = {4: "192.168.1.111", 6: "fd00:1::111"}
RIP = {4: "192.168.229.132", 6: "fd00:229::132"}


class Site:
    """client -- director -- rs, with the same addresses wherever it is."""

    def __init__(self, name, build, directory):
        self.name = name
        self.bpvs, self.adm = build / "bpvs" / "bpvs", build / "ipvsadm" / "ipvsadm"
        prefix = f"bpvs-t{os.getpid()}-{name}"
        self.client, self.director, self.rs = (
            netns.Host(f"{prefix}-{host}") for host in ("client", "director", "rs"))
        netns.join(self.client, "eth0", self.director, "eth0")
        netns.join(self.director, "eth1", self.rs, "eth0")
        for host, dev, v4, v6 in (
            (self.client, "eth0", "192.168.1.10/24", "fd00:1::10/64"),
            (self.director, "eth0", f"{VIP[4]}/24", f"{VIP[6]}/64"),
            (self.director, "eth1", "192.168.229.133/24", "fd00:229::133/64"),
            (self.rs, "eth0", f"{RIP[4]}/24", f"{RIP[6]}/64"),
        ):
            host.ip("addr", "add", v4, "dev", dev)
            host.ip("addr", "add", v6, "dev", dev, "nodad")
        for via in ("192.168.229.133", "fd00:229::133"):
            self.rs.ip("route", "add", "default", "via", via)
        for host in (self.client, self.rs):
            # whole packets for XDP, and an end that takes frames from it
            host.run("ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off", "gro", "on")
        conf = directory / f"{name}.conf"
        conf.write_text(
            f"user root; worker_processes 1; pid {directory}/{name}.pid;\n"
            "events { worker_connections 64; }\n"
            "http { access_log off; default_type text/plain;\n"
            f"  server {{ listen 80; listen [::]:80; return 200 '{name}\\n'; }} }}\n")
        self.nginx = ("nginx", "-c", conf, "-p", directory, "-e", directory / f"{name}.log")
        self.rs.run(*self.nginx)
        self.rs.settle()
        self.cookie = cookie_of(self.director)

    def close(self):
        self.rs.run(*self.nginx, "-s", "stop", check=False)
        for host in (self.client, self.director, self.rs):
            if host is self.director:
                host.run(self.bpvs, "down", check=False)
            host.delete()

    def ipvsadm(self, *argv):
        return self.director.run(self.adm, *argv).stdout

    def serve(self):
        for family in (4, 6):
            vip = at(VIP[family], 80)
            self.ipvsadm("-A", "-t", vip, "-s", "rr")
            self.ipvsadm("-a", "-t", vip, "-r", at(RIP[family], 80), "-m")

    def ask(self, family=4):
        return self.client.curl(f"http://{at(VIP[family], 80)}/").strip()

    def is_up(self):
        return self.director.run(self.bpvs, "status", check=False).returncode == 0


@pytest.fixture
def make_site(build, bpvs, tmp_path):
    made = []

    def make(name):
        made.append(Site(name, build, tmp_path))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def sites(make_site):
    return make_site("left"), make_site("right")


def test_first_command_brings_it_up(make_site):
    """As the kernel loads its module: `ipvsadm -A` alone, on all devices, with the defaults."""
    site = make_site("one")
    assert not site.is_up()
    site.serve()
    assert site.ask() == site.ask(6) == "one"
    out = site.director.run(site.bpvs, "status").stdout
    assert "mode: auto\n" in out and re.search(r"eth0 +tc ", out) and re.search(r"eth1 +tc ", out)


@pytest.mark.parametrize("argv", [(), ("-L",), ("-Ln",), ("-C",), ("-Sn",), ("-Z",)],
                         ids=lambda argv: "".join(argv) or "alone")
def test_listing_brings_it_up_too(make_site, argv):
    site = make_site("one")
    site.ipvsadm(*argv)
    assert site.is_up()
    assert read_table(site.ipvsadm("-Ln")) == {}


@pytest.mark.parametrize("argv", [("--help",), ("-h",), ("-v",)])
def test_help_does_not(make_site, argv):
    site = make_site("one")
    site.ipvsadm(*argv)
    assert not site.is_up()


@pytest.mark.parametrize("modes", [("tc", "tc"), ("tc", "xdp")], ids="-".join)
def test_two_at_once(sites, modes):
    """The same VIP, other real servers, other tables, settings, statistics and connections."""
    left, right = sites
    for site, mode in zip(sites, modes):
        site.director.run(site.bpvs, "up", "--mode", mode, "--conns", "1k")
        site.serve()
    for family in (4, 6):
        assert [site.ask(family) for site in (left, right, left)] == ["left", "right", "left"]
    left.ipvsadm("--set", "100", "10", "50")
    left.director.run(left.bpvs, "sysctl", "sloppy_tcp=1")
    assert "100 10 50" in left.ipvsadm("-L", "--timeout")
    assert "900 120 300" in right.ipvsadm("-L", "--timeout")
    assert right.director.run(right.bpvs, "sysctl", "sloppy_tcp").stdout.strip().endswith("= 0")
    conns = [site.ipvsadm("-Ln", "--stats", "--exact", "-t", at(VIP[4], 80)) for site in sites]
    assert [int(re.search(r"TCP +\S+ +(\d+)", text).group(1)) for text in conns] == [2, 1]
    left.ipvsadm("-C")
    assert read_table(left.ipvsadm("-Ln")) == {} != read_table(right.ipvsadm("-Ln"))
    assert right.ask() == "right"
    left.director.run(left.bpvs, "down")
    assert not left.is_up() and right.is_up()
    assert right.ask() == right.ask(6) == "right"
    assert not (HOLD / str(left.cookie)).exists() and (HOLD / str(right.cookie)).exists()


def test_from_any_process_in_the_namespace(sites, build):
    """ip netns exec has a mount namespace and /sys of its own, nsenter has not: all the same."""
    left, right = sites
    for site in sites:
        site.serve()
    adm = build / "ipvsadm" / "ipvsadm"
    ways = {
        "ip netns exec": ("ip", "netns", "exec", left.director.name),
        "nsenter": ("nsenter", f"--net=/run/netns/{left.director.name}"),
        "nested": ("ip", "netns", "exec", right.director.name, "ip", "netns", "exec",
                   left.director.name),
        "no /sys, no /run": ("ip", "netns", "exec", left.director.name, "unshare", "--mount",
                             "sh", "-c", 'umount -l /run /sys 2>/dev/null; exec "$@"', "sh"),
    }
    lists = {way: netns.run(*argv, adm, "-Sn").stdout for way, argv in ways.items()}
    assert len(set(lists.values())) == 1 and len(lists["nsenter"].splitlines()) == 4, lists


@pytest.mark.parametrize("verb", ["up", "down"])
def test_namespace_deleted_while_up(make_site, verb):
    """Nobody is left to take its pins away but the next up or down elsewhere."""
    gone, here, other = make_site("gone"), make_site("here"), make_site("other")
    for site in (gone, other):
        site.director.run(site.bpvs, "up", "--conns", "1k", "--mode", "tc")
        site.serve()
    if verb == "down":
        here.director.run(here.bpvs, "up", "--conns", "1k")
    pins = HOLD / str(gone.cookie)
    assert pins.exists()
    gone.director.delete()
    # the kernel takes a namespace apart when it has time, devices late: then the peers go, too
    netns.wait_for("the namespace to end", 30, lambda: "eth0" not in gone.client.ip("link"))
    assert pins.exists()
    here.director.run(here.bpvs, verb)
    assert not pins.exists()
    assert other.ask() == "other" and (HOLD / str(other.cookie)).exists()
