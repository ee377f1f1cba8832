# SPDX-License-Identifier: GPL-2.0-only
"""Clients and real servers on the director itself, as kernel IPVS served them (here.py)."""

import json
import os
import pathlib
import re
import socket
import time

import ftp
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
    assert "some" in clear.stats("tcp", f"-t {here.at(family, 'v', 80)}")


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
def test_the_neighbour_is_confirmed(clear, family):
    """By clients here alone: or a server that has moved would never be found."""
    service(clear, family, "v", proto="-u")
    neigh = (f"-{family}", "neigh")
    where = (here.ADDRESS[family]["r1"], "dev", "eth1")
    clear.dir.ip(*neigh, "replace", where[0], "lladdr", clear.rs.mac(), *where[1:], "nud", "stale")
    end = time.monotonic() + 10 * netns.PATIENCE
    while "STALE" in (state := clear.dir.ip(*neigh, "show", *where)):
        assert time.monotonic() < end, state
        assert clear.ask_udp(clear.dir, family, "v", 80)[0].startswith("r1:80 to v")
        time.sleep(0.1)


def passive(session, said):
    """Where a client connects to that follows what it is told: a virtual address is said."""
    if numbers := re.search(r"\((\d+(?:,\d+){5})\)", said):
        numbers = numbers[1].split(",")
        assert ".".join(numbers[:4]) == session.vip
        return int(numbers[4]) * 256 + int(numbers[5])
    return int(re.search(r"\(\|\|\|(\d+)\|\)", said)[1])


@pytest.mark.parametrize("vip", ["v", "w"])
@pytest.mark.parametrize("family, way", [(4, "PASV"), (4, "EPSV"), (6, "EPSV"), (4, "PORT"),
                                         (6, "EPRT")])
def test_ftp(clear, family, way, vip):
    """Several files by one control connection: the numbers of what follows an answer move."""
    where = here.at(family, vip, 21)
    clear.ipvsadm("-A", "-t", where, "-s", "rr")
    clear.ipvsadm("-a", "-t", where, "-r", here.at(family, "r1", 21), "-m")
    server = ftp.Spoken(clear.rs, family, here.ADDRESS[family]["r1"])
    try:
        session = ftp.Session(clear.dir, family, here.ADDRESS[family][vip]).login()
        for number in range(4):
            data, said = one_file(clear, session, way, f"file {number}")
            assert data == f"file {number}" and said == "226 sent"
        assert session.say("NOOP") == "200 ok"
        session.close()
    finally:
        server.stop()


def one_file(clear, session, way, name):
    """What came, and the answer to that it was asked for."""
    family, own = session.family, here.ADDRESS[session.family]["v"]
    if way in ("PASV", "EPSV"):
        data = session.connect(passive(session, session.say(way)))
        said = session.say(f"RETR {name}")
    else:
        with clear.dir.socket(here.AF[family], socket.SOCK_STREAM) as listener:
            listener.settimeout(10 * netns.PATIENCE)
            listener.bind((own, 0))
            listener.listen()
            port = listener.getsockname()[1]
            text = ",".join([*own.split("."), str(port >> 8), str(port & 255)])
            session.say(f"PORT {text}" if way == "PORT" else f"EPRT |2|{own}|{port}|")
            said = session.say(f"RETR {name}")
            data, (address, sport, *_) = listener.accept()
            assert (address, sport) == (session.vip, 20)
    with data:
        return data.recv(100).decode(), said


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


# Debian's kernels have ipvlan, too, the host's may not.
@pytest.mark.parametrize("kind", ["macvlan", *(["ipvlan"] if os.environ.get("BPVS_VM") else [])])
@pytest.mark.parametrize("place", ["tc"], indirect=True)  # neither has native XDP
@families
def test_a_device_on_a_device(clear, family, kind):
    """What leaves passes both, and is a server's answer but once."""
    own, peer = ("10.7.7.1", "10.7.7.2") if family == 4 else ("fd00:7::1", "fd00:7::2")
    bits, opt = ("24", []) if family == 4 else ("64", ["nodad"])
    mode = "bridge" if kind == "macvlan" else "l2"
    clear.dir.ip("link", "add", "up0", "link", "eth0", "type", kind, "mode", mode)
    clear.cl.ip("addr", "add", f"{peer}/{bits}", "dev", "eth0", *opt)
    sock = None
    try:
        clear.dir.ip("addr", "add", f"{own}/{bits}", "dev", "up0", *opt)
        clear.dir.ip("link", "set", "up0", "up")
        where = f"[{own}]:82" if family == 6 else f"{own}:82"
        clear.ipvsadm("-A", "-u", where, "-s", "rr")
        clear.ipvsadm("-a", "-u", where, "-r", where, "-g")
        assert filters(clear, "up0") == filters(clear, "eth0") == ["ingress", "egress"]
        sock = clear.dir.bound(here.AF[family], socket.SOCK_DGRAM, own, 82)
        with clear.cl.socket(here.AF[family], socket.SOCK_DGRAM) as client:
            client.settimeout(5 * netns.PATIENCE)
            for number in (1, 2, 3):
                client.sendto(b"question", (own, 82))
                data, who = sock.recvfrom(100)
                sock.sendto(data, who)
                assert client.recv(100) == b"question"
                counted = clear.stats("udp", f"-u {where}").split()
                # docs/differences.md: ipvlan's have the MAC of the device below and come in by both
                into = number * 2 if kind == "ipvlan" else number
                assert counted[:3] == ["1", str(into), str(number)]
    finally:
        if sock:
            sock.close()
        clear.dir.ip("link", "del", "up0")
        clear.cl.ip("addr", "del", f"{peer}/{bits}", "dev", "eth0")


def flood(host, family, port, flows):
    """A datagram of each of so many flows, which nobody answers."""
    for sport in range(1024, 1024 + flows):
        with host.socket(here.AF[family], socket.SOCK_DGRAM) as sock:
            sock.bind((here.ADDRESS[family]["cl"], sport))
            sock.sendto(b"x", (here.ADDRESS[family]["v"], port))


def test_a_full_table(build):
    """Connections that found no room are known by nothing but the real server's endpoint."""
    small = here.World(f"here-{os.getpid()}-full", build / "ipvsadm" / "ipvsadm", None,
                       build / "bpvs" / "bpvs", "tc", "1k")
    try:
        small.up()
        for family in (4, 6):
            service(small, family, "v", proto="-u")
            small.ipvsadm("-A", "-u", here.at(family, "v", 0), "-s", "rr", "-p")
            small.ipvsadm("-a", "-u", here.at(family, "v", 0), "-r", here.at(family, "r2", 0), "-g")
        flood(small.cl, 4, 82, 8000)
        for family in (4, 6):
            asked = [small.ask_udp(small.dir, family, "v", 80,
                                   then=lambda sock, f=family: small.conns(f, sock))
                     for _ in range(8)]
            assert all(said.startswith("r1:80 to v") for said, _ in asked), asked
            assert [] in [rows for _, rows in asked]
    finally:
        small.down()


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
