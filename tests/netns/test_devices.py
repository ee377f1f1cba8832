# SPDX-License-Identifier: GPL-2.0-only
"""Devices that come while nobody calls a tool: `bpvs watch`, and the count of what comes past."""

import contextlib
import json
import signal
import socket
import subprocess
import time

import pytest
from test_faults import lone  # noqa: F401
from test_namespaces import VIP, Site

import netns
from world import AF, at

LATE = {4: ("10.3.0.1/24", "10.3.0.10/24"), 6: ("fd00:3::1/64", "fd00:3::10/64")}
families = pytest.mark.parametrize("family", [4, 6])


@contextlib.contextmanager
def watching(host, bpvs, says="covered"):
    """`bpvs watch`, from when it listens until SIGTERM, to which it owes the status 0."""
    process = subprocess.Popen(["ip", "netns", "exec", host.name, bpvs, "watch"],
                               stdout=subprocess.PIPE, text=True)
    try:
        said = process.stdout.readline()
        assert says in said, said
        yield process
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30 * netns.PATIENCE) == 0


def late_client(site):
    """Another client, on a cable that was not there before."""
    host = netns.Host(f"{site.client.name}-late")
    netns.join(host, "eth0", site.director, "late0")
    for director, client in LATE.values():
        nodad = ["nodad"] if ":" in director else []
        site.director.ip("addr", "add", director, "dev", "late0", *nodad)
        host.ip("addr", "add", client, "dev", "eth0", *nodad)
        host.ip("route", "add", "default", "via", director.split("/")[0])
    return host


@pytest.fixture(scope="module")
def shared_site(build, bpvs, tmp_path_factory):
    made = Site("dev", build, tmp_path_factory.mktemp("site"))
    made.director.run(made.bpvs, "up", "--mode", "tc", "--conns", "1k")
    made.serve()
    yield made
    made.close()


@pytest.fixture
def site(shared_site):
    yield shared_site
    netns.run("ip", "netns", "del", f"{shared_site.client.name}-late", check=False)
    # its end here goes when the kernel has time
    netns.wait_for("late0 to go", 30, lambda: "late0" not in shared_site.director.ip("link"))


def past(host, bpvs):
    return json.loads(host.run(bpvs, "status", "--json").stdout)["past"]


def covered(host, dev):
    return "bpvs_tc" in host.run("tc", "filter", "show", "dev", dev, "ingress").stdout


def wait_covered(host, dev, wanted=True):
    netns.wait_for(f"{dev} to be {'' if wanted else 'un'}covered", 30,
                   lambda: covered(host, dev) == wanted)


def test_watch_serves_clients_of_a_new_device(site):
    with watching(site.director, site.bpvs):
        client = late_client(site)
        wait_covered(site.director, "late0")
        for family in (4, 6):
            assert client.curl(f"http://{at(VIP[family], 80)}/").strip() == "dev"
    assert past(site.director, site.bpvs)["packets"] == 0


@families
def test_without_it_status_tells_what_came_past(site, family):
    """A SYN and a datagram for services, by a device that no tool has seen; and what is none's."""
    site.ipvsadm("-A", "-u", at(VIP[family], 53))
    before = past(site.director, site.bpvs)["packets"]
    client = late_client(site)
    assert not covered(site.director, "late0")
    for kind, port in ((socket.SOCK_STREAM, 80), (socket.SOCK_DGRAM, 53),
                       (socket.SOCK_STREAM, 81), (socket.SOCK_DGRAM, 80)):
        with client.socket(AF[family], kind) as sock, pytest.raises(ConnectionRefusedError):
            sock.settimeout(10 * netns.PATIENCE)
            sock.connect((VIP[family], port))
            sock.send(b"?")
            sock.recv(10)
    with client.socket(AF[family], socket.SOCK_STREAM) as sock:
        with pytest.raises(ConnectionRefusedError):
            sock.connect((LATE[family][0].split("/")[0], 80))
    told = site.director.run(site.bpvs, "status").stdout
    assert (f"past BPVS: {before + 2} packets for services, by devices that were not served "
            "(last: late0)\n") in told
    # by which the device has been covered
    assert client.curl(f"http://{at(VIP[family], 80)}/").strip() == "dev"
    assert past(site.director, site.bpvs) == {
        "counted": True, "packets": before + 2, "last_device": "late0"}


def test_what_is_served_is_not_counted(site):
    """A local real server has its packets from the stack; nobody came past for that."""
    before = past(site.director, site.bpvs)["packets"]
    with site.director.bound(socket.AF_INET, socket.SOCK_STREAM, VIP[4], 8080) as server:
        server.listen()
        site.ipvsadm("-A", "-t", at(VIP[4], 8080), "-s", "rr")
        site.ipvsadm("-a", "-t", at(VIP[4], 8080), "-r", at(VIP[4], 8080))
        with site.client.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(10 * netns.PATIENCE)
            sock.connect((VIP[4], 8080))
    for family in (4, 6):
        assert site.ask(family) == "dev"
    assert past(site.director, site.bpvs)["packets"] == before


# ---- the watch, without traffic ----


def test_watch_follows(lone):  # noqa: F811
    """New, renamed, become a port and none any more, away and back, gone: and nothing stays."""
    lone.up("--mode", "tc")
    with watching(lone.host, lone.bpvs) as watch:
        for n in range(8):
            netns.join(lone.host, f"late{n}", lone.peer, f"late{n}")
        for n in range(8):
            wait_covered(lone.host, f"late{n}")
        lone.host.ip("link", "set", "late0", "name", "wan0")
        lone.host.ip("link", "add", "name", "wire", "type", "bridge")
        wait_covered(lone.host, "wire")
        lone.host.ip("link", "set", "wan0", "master", "wire")
        wait_covered(lone.host, "wan0", False)
        assert "clsact" not in lone.host.run("tc", "qdisc", "show", "dev", "wan0").stdout
        lone.host.ip("link", "set", "wan0", "nomaster")
        wait_covered(lone.host, "wan0")
        # both before the watch has a look, with its number: the kernel takes all filters off on the way
        watch.send_signal(signal.SIGSTOP)
        elsewhere = netns.Host(f"{lone.peer.name}-away")
        number = [link["ifindex"] for link in lone.links() if link["ifname"] == "late1"]
        lone.host.ip("link", "set", "late1", "netns", elsewhere.name)
        elsewhere.ip("link", "set", "late1", "netns", lone.host.name)
        elsewhere.delete()
        assert number == [link["ifindex"] for link in lone.links() if link["ifname"] == "late1"]
        assert not covered(lone.host, "late1")
        watch.send_signal(signal.SIGCONT)
        wait_covered(lone.host, "late1")
        lone.host.ip("link", "del", "late2")
        assert lone.devices()["wan0"] == "tc" and "late2" not in lone.devices()
        objects = lone.objects()
        lone.down()
        lone.assert_bare(objects)


def test_watch_outlives_the_engine(lone):  # noqa: F811
    with watching(lone.host, lone.bpvs, says="waiting"):
        lone.up("--mode", "tc")
        netns.join(lone.host, "late0", lone.peer, "late0")
        wait_covered(lone.host, "late0")
        lone.down()
        assert not covered(lone.host, "late0")
        netns.join(lone.host, "late1", lone.peer, "late1")
        lone.up("--mode", "tc", "--dev", "eth0")
        netns.join(lone.host, "late2", lone.peer, "late2")
        time.sleep(0.3)
        assert [covered(lone.host, dev) for dev in ("eth0", "late1", "late2")] == [
            True, False, False]
        lone.down()
    lone.assert_bare()


def test_watch_tells_that_devices_were_named(lone):  # noqa: F811
    lone.up("--mode", "tc", "--dev", "eth0")
    with watching(lone.host, lone.bpvs, says="--dev") as watch:
        lone.down()
        lone.up("--mode", "tc")
        # nothing of that need be an event of a device
        netns.join(lone.host, "late0", lone.peer, "late0")
        wait_covered(lone.host, "late0")
        assert "devices are covered as they come\n" in iter(watch.stdout.readline, "")


def test_down_among_devices_that_come(lone):  # noqa: F811
    """Whatever the watch is doing at that moment, nothing is put on after a down."""
    with watching(lone.host, lone.bpvs, says="waiting"):
        for n in range(3):
            lone.up("--mode", "tc")
            maker = subprocess.Popen(
                ["ip", "-n", lone.host.name, "-b", "-"], stdin=subprocess.PIPE, text=True)
            maker.stdin.write("".join(f"link add m{n}x{i} type veth peer name w{n}x{i}\n"
                                      for i in range(12)))
            maker.stdin.close()
            time.sleep(0.02 * n)
            lone.down()
            assert maker.wait(30 * netns.PATIENCE) == 0
            lone.assert_bare()
            netns.run("ip", "-n", lone.host.name, "-b", "-", input="".join(
                f"link del m{n}x{i}\n" for i in range(12)))


def test_watch_takes_no_arguments_and_needs_root(lone):  # noqa: F811
    done = lone.host.run(lone.bpvs, "watch", "eth0", check=False)
    assert (done.returncode, done.stderr) == (2, "bpvs watch: unexpected argument: eth0\n")
    done = lone.host.run("setpriv", "--reuid=65534", "--clear-groups", lone.bpvs, "watch",
                         check=False)
    assert done.returncode == 1 and "must be root" in done.stderr
