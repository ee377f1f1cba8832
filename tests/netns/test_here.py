# SPDX-License-Identifier: GPL-2.0-only
"""Clients and real servers on the director itself, as kernel IPVS served them (here.py)."""

import json
import os
import pathlib
import re
import socket
import time

import here
import netns
import pytest
import world

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "here.json"
FULL = os.environ.get("BPVS_HERE") == "full"
# What lasts until a client gives up; the rest of both families in TC's mode is enough of a sample.
SLOW = r"Timeout"
PLENTY = 10  # s for what will be answered
SAMPLE = {"tc": "", "xdp": r"^(nat|server here|vip is server)"}
# Listed in docs/differences.md: name, protocol, what the kernel did, what is done here.
DIFFERENT = [
    # answers under direct routing are not looked at as they come in
    (r"dr w", "tcp", "1 some some some some", "1 some none some none"),
    (r"dr w", "udp", r"1 1 1 (\d+) \d+", r"1 1 0 \1 0"),
    # its send() fails; here an ICMP error tells, as it tells other clients
    (r"nobody .", "udp", "PermissionError", "ConnectionRefusedError"),
    # recorded with a wait of 1 s, in which a SYN that was refused does not go again
    (r"nobody w", "tcp", "TimeoutError", "ConnectionRefusedError"),
]
# The kernel's packet finds no way from there to the server, which here it does.
SERVED = r"nat w here"
families = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module", params=["tc", "xdp"])
def place(request, build):
    made = here.World(f"here-{os.getpid()}", build / "ipvsadm" / "ipvsadm", None,
                      build / "bpvs" / "bpvs", request.param)
    try:
        made.seconds = PLENTY
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture
def clear(place):
    yield place
    place.ipvsadm("-C")


def service(place, family, vip, server="r1", port=80, proto="-t"):
    place.ipvsadm("-A", proto, here.at(family, vip, 80), "-s", "rr")
    place.ipvsadm("-a", proto, here.at(family, vip, 80), "-r", here.at(family, server, port), "-m")


def filters(place, dev):
    """Which sides of a device a program of ours is on."""
    return [side for side in ("ingress", "egress")
            if "bpvs" in place.dir.run("tc", "filter", "show", "dev", dev, side).stdout]


def bugs(place):
    text = place.dir.run(place.bpvs, "status", "-v").stdout
    return [ln for ln in text.splitlines() if re.match(r" +BUG .* [1-9]\d* ", ln)]


def test_egress_is_met_where_it_has_to_be(clear):
    """First of all, before anything else asks for it."""
    assert [filters(clear, d) for d in ("lo", "eth0")] == [["ingress"], ["ingress"]]
    service(clear, 4, "v")
    assert [filters(clear, d) for d in ("lo", "eth0")] == [["ingress", "egress"], ["ingress"]]
    clear.ipvsadm("-a", "-t", here.at(4, "v", 80), "-r", here.at(4, "d", 8080), "-m")
    assert all(filters(clear, d) == ["ingress", "egress"] for d in ("lo", "eth0", "eth1"))
    clear.dir.ip("link", "add", "later", "type", "veth", "peer", "name", "later1")
    clear.ipvsadm("-Ln")
    assert filters(clear, "later") == ["ingress", "egress"]
    clear.dir.ip("link", "del", "later")


def expected(name, proto, golden):
    for where, which, kernel, ours in DIFFERENT:
        if which == proto and re.fullmatch(where, name):
            golden = [re.sub(f"^{kernel}$", ours, g) for g in golden]
    return golden


def test_as_the_kernel_did(place):
    golden = json.loads(GOLDEN.read_text())
    steps = [s for s in here.steps() if FULL or re.match(SAMPLE[place.mode], s[0])]
    wrong = []
    for name, family, proto, *rest in steps:
        key = f"{name} {proto}{family}"
        want = expected(name, proto, golden[key])
        if re.fullmatch(SERVED, name):
            assert re.search(SLOW, want[0])
            want = [golden[f"nat v here {proto}{family}"][0],
                    want[1].replace("SYN_RECV", "ESTABLISHED"),
                    golden[f"nat v here {proto}{family}"][2]]
        elif not FULL and re.search(SLOW, want[0]):
            continue
        place.seconds = here.SECONDS if re.search(SLOW, want[0]) else PLENTY
        result = here.play_one(place, family, proto, *rest)
        if result != want:
            wrong.append(f"{key}: kernel {golden[key]}, here {result}")
    place.seconds = PLENTY
    assert not wrong, "\n".join(wrong)
    assert not bugs(place)


def talk(host, family, name, words):
    """The bytes that come back, behind the greeting."""
    with host.socket(here.AF[family], socket.SOCK_STREAM) as sock:
        sock.settimeout(20 * netns.PATIENCE)
        sock.connect((here.ADDRESS[family][name], 80))
        assert b" to " in sock.recv(100)
        sock.sendall(words)
        if words != b"get":
            sock.shutdown(socket.SHUT_WR)
        data = bytearray()
        while more := sock.recv(1 << 16):
            data += more
        return data


@families
@pytest.mark.parametrize("client,server,port", [("dir", "r1", 80), ("dir", "d", 8080),
                                                ("cl", "d", 8080)])
def test_much_data(clear, family, client, server, port):
    """Segments that are cut, and checksums that are made, by the devices."""
    service(clear, family, "v", server, port)
    host = getattr(clear, client)
    assert talk(host, family, "v", b"get") == bytes(here.BIG)
    assert talk(host, family, "v", bytes(here.BIG)) == str(here.BIG).encode()
    assert "some" in clear.stats("tcp")


@families
def test_reverse_path_filters_are_content(clear, family):
    clear.dir.sysctl("net.ipv4.conf.all.rp_filter", 1)
    try:
        for vip in "vw":
            service(clear, family, vip)
            assert clear.ask_tcp(clear.dir, family, vip, 80)[0] == "r1:80 to v"
            assert clear.ask_udp(clear.dir, family, vip, 80)[0]
    finally:
        clear.dir.sysctl("net.ipv4.conf.all.rp_filter", 0)


@families
@pytest.mark.parametrize("vip", ["v", "w"])
def test_the_first_packet_waits_for_the_neighbour(clear, family, vip):
    service(clear, family, vip, proto="-u")
    # both what the engine and what the kernel know
    clear.dir.ip(f"-{family}", "neigh", "flush", "dev", "eth1")
    time.sleep(1.2)
    assert clear.ask_udp(clear.dir, family, vip, 80)[0].startswith("r1:80 to v")


@families
def test_a_mark_of_this_hosts_own(clear, family):
    nft = "table inet here { chain out { type route hook output priority mangle; " \
          f"ip{'6' * (family == 6)} daddr {here.ADDRESS[family]['w']} meta mark set 7; }}; }}"
    clear.ipvsadm("-A", "-f", "7", *(["-6"] if family == 6 else []), "-s", "rr")
    clear.ipvsadm("-a", "-f", "7", *(["-6"] if family == 6 else []),
                  "-r", here.at(family, "r1", 0), "-m")
    try:
        clear.dir.run("nft", nft)
        for proto in here.PROTO:
            said, _ = clear.ask(proto, clear.dir, family, "w", 80)
            assert said.startswith("r1:80 to v")
    finally:
        clear.dir.run("nft", "delete", "table", "inet", "here", check=False)


@families
def test_curl_and_nginx(clear, family, tmp_path):
    nginx = world.Nginx(clear.dr, tmp_path, "dr")
    clear.ipvsadm("-A", "-t", here.at(family, "v", 80), "-s", "rr")
    clear.ipvsadm("-a", "-t", here.at(family, "v", 80), "-r", here.at(family, "r2", 80), "-m")
    (tmp_path / "file").write_bytes(os.urandom(1 << 20))
    # the address that another server of the test has is taken
    conf = tmp_path / "dr.conf"
    text = conf.read_text().replace("listen 80;", f"listen {here.ADDRESS[4]['r2']}:80;")
    text = text.replace("listen [::]:80 ipv6only=on;", f"listen [{here.ADDRESS[6]['r2']}]:80;")
    conf.write_text(text)
    nginx.start()
    try:
        assert clear.dir.curl(f"http://{here.at(family, 'v', 80)}/") == "dr\n"
        clear.dir.curl(f"http://{here.at(family, 'v', 80)}/file", "-o", str(tmp_path / "got"))
        assert (tmp_path / "got").read_bytes() == (tmp_path / "file").read_bytes()
    finally:
        nginx.stop(check=False)


def test_nothing_is_left(place):
    """The last: it takes the instance down, and brings it up again."""
    knob = "net.ipv4.conf.lo.accept_local"
    theirs = ["tc", "filter", "add", "dev", "eth1", "egress", "pref", "7", "bpf", "bytecode",
              "1,6 0 0 0"]
    service(place, 4, "v", "d", 8080)
    place.dir.run(*theirs)
    assert place.dir.run("sysctl", "-n", knob).stdout == "1\n"
    place.dir.run(place.bpvs, "down")
    assert place.dir.run("sysctl", "-n", knob).stdout == "0\n"
    for dev in ("lo", "eth0"):
        assert "clsact" not in place.dir.run("tc", "qdisc", "show", "dev", dev).stdout
    # somebody else's filter keeps the qdisc, and only that is there
    assert filters(place, "eth1") == []
    assert "bytecode" in place.dir.run("tc", "filter", "show", "dev", "eth1", "egress").stdout
    place.dir.run("tc", "qdisc", "del", "dev", "eth1", "clsact")
