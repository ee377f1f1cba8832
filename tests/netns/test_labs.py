# SPDX-License-Identifier: GPL-2.0-only
"""Real connections through the director: NAT, DR, TUN; XDP, TC; IPv4, IPv6; TCP, UDP."""

import hashlib
import itertools
import os
import pathlib
import socket
import threading

import pytest

import netns

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LABS = [(name, mode) for name in ("nat", "dr", "tun") for mode in ("xdp", "tc")]
METHOD = {"nat": "Masq", "dr": "Route", "tun": "Tunnel"}
FLAG = {"nat": "-m", "dr": "-g", "tun": "-i"}
families = pytest.mark.parametrize("family", [4, 6])
# Of the UDP clients: one by chance that is still in the table would not take its turn.
PORTS = itertools.count(20000)


@pytest.fixture(scope="module")
def engine(build):
    tool = build / "ipvsadm" / "ipvsadm"
    if not tool.exists():
        pytest.skip(f"{tool} is not built")


@pytest.fixture(scope="module", params=LABS, ids=["-".join(lab) for lab in LABS])
def lab(request, engine, make_lab):
    name, mode = request.param
    lab = make_lab(name, mode)
    yield lab
    lab.down()


def vip(lab, family):
    return lab.at["VIP" if family == 4 else "VIP6"]


def at(addr, port):
    """As ipvsadm and URLs write it."""
    return f"[{addr}]:{port}" if ":" in addr else f"{addr}:{port}"


def assert_in_turn(lab, answers):
    assert set(answers) == lab.texts
    assert all(a != b for a, b in zip(answers, answers[1:])), answers


@families
def test_tcp_in_turn(lab, family):
    url = f"http://{at(vip(lab, family), 80)}/"
    assert_in_turn(lab, [lab.client.curl(url).strip() for _ in range(6)])


def ask_udp(lab, family):
    """An emulated host may give up on a neighbour: there it is asked again, in the same flow."""
    af = socket.AF_INET if family == 4 else socket.AF_INET6
    tries = max(1, round(netns.PATIENCE))
    with lab.client.socket(af, socket.SOCK_DGRAM) as sock:
        sock.bind(("", next(PORTS)))
        sock.connect((vip(lab, family), 53))  # so that only the VIP may answer
        sock.settimeout(3 if tries > 1 else 10)
        for _ in range(tries):
            sock.send(b"hello")
            try:
                return sock.recv(100).decode().strip()
            except TimeoutError:
                pass
    raise AssertionError(f"asked {tries} times, no answer")


@families
def test_udp_in_turn(lab, family):
    assert_in_turn(lab, [ask_udp(lab, family) for _ in range(6)])


@families
def test_large_download(lab, family):
    """Full segments, and with TC segments of many packets, in the direction of the answers."""
    content = os.urandom(3_000_000)
    for rs in ("rs1", "rs2"):
        pathlib.Path(lab.at["STATE"], rs, "www", "large").write_bytes(content)
    url = f"http://{at(vip(lab, family), 80)}/large"
    target = pathlib.Path(lab.at["STATE"], "got")
    for _ in range(2):
        lab.client.curl(url, "-o", target)
        assert target.read_bytes() == content


class Sink:
    """A TCP server that answers with the digest of what it was sent, once."""

    def __init__(self, host, af, addr, port):
        self.server = host.bound(af, socket.SOCK_STREAM, addr, port)
        self.server.listen()
        self.server.settimeout(40 * netns.PATIENCE)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        try:
            conn, _ = self.server.accept()
        except OSError:
            return
        with conn:
            conn.settimeout(30 * netns.PATIENCE)
            digest = hashlib.sha256()
            while data := conn.recv(65536):
                digest.update(data)
            conn.sendall(digest.digest())

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join()


@families
def test_large_upload(lab, family):
    """In the direction that the director forwards: with TUN the header must find room."""
    af = socket.AF_INET if family == 4 else socket.AF_INET6
    suffix = "" if family == 4 else "_6"
    content = os.urandom(3_000_000)
    service = at(vip(lab, family), 9000)
    lab.ipvsadm("-A", "-t", service, "-s", "rr")
    sinks = []
    for n, rs in ((1, lab.rs1), (2, lab.rs2)):
        rip = lab.at[f"RIP{n}{suffix}"]
        lab.ipvsadm("-a", "-t", service, "-r", at(rip, 9000), FLAG[lab.name])
        sinks.append(Sink(rs, af, rip if lab.name == "nat" else vip(lab, family), 9000))
    try:
        for _ in sinks:
            with lab.client.socket(af, socket.SOCK_STREAM) as sock:
                sock.settimeout(30 * netns.PATIENCE)
                sock.connect((vip(lab, family), 9000))
                sock.sendall(content)
                sock.shutdown(socket.SHUT_WR)
                assert sock.recv(100) == hashlib.sha256(content).digest()
    finally:
        for sink in sinks:
            sink.close()
        lab.ipvsadm("-D", "-t", service)


@families
def test_tables_tell_of_it(lab, family):
    lab.client.curl(f"http://{at(vip(lab, family), 80)}/")
    service = at(vip(lab, family), 80)
    lines = lab.ipvsadm("-Ln", "-t", service).splitlines()
    assert sum(METHOD[lab.name] in line for line in lines) == 2
    entries = [line.split() for line in lab.ipvsadm("-Lnc").splitlines()]
    assert any(line[0] == "TCP" and line[4] == service for line in entries if len(line) > 5)
    stats = lab.ipvsadm("-Ln", "--stats", "--exact", "-t", service).splitlines()
    total = next(line.split() for line in stats if line.startswith("TCP"))
    assert int(total[2]) >= 1 and int(total[3]) >= 4


def test_clients_know_the_director_only(lab):
    """Who answers for the VIP: had a real server answered ARP, balancing would be luck."""
    lab.client.curl(f"http://{lab.at['VIP']}/")
    assert lab.director.mac() in lab.client.ip("neigh", "show", lab.at["VIP"])


@pytest.mark.parametrize("mode", ["xdp", "tc"])
def test_demo(engine, build, mode):
    env = dict(os.environ, MODE=mode, BPVS_BUILD=str(build), BPVS_LAB_PREFIX=f"bpvs-d{os.getpid()}")
    done = netns.run(ROOT / "lab" / "demo", env=env, timeout=300)
    assert done.stdout.count("I am RealServer1 192.168.229.132") >= 36
    assert f"bpvs-d{os.getpid()}" not in netns.run("ip", "netns").stdout
