# SPDX-License-Identifier: GPL-2.0-only
"""
Real SCTP associations through the director: NAT to another port, DR, TUN; XDP, TC; IPv4, IPv6. The
labs' hosts that TC serves leave checksums and cutting into packets to their devices, so whole and
unfinished packets come by.
"""

import hashlib
import os
import re
import socket
import threading
import time

import pytest

import netns

LABS = [(name, mode) for name in ("nat", "dr", "tun") for mode in ("xdp", "tc")]
FLAG = {"nat": "-m", "dr": "-g", "tun": "-i"}
AF = {4: socket.AF_INET, 6: socket.AF_INET6}
PORT = 7000
RPORT = {"nat": 7001, "dr": PORT, "tun": PORT}
families = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module", params=LABS, ids=["-".join(lab) for lab in LABS])
def lab(request, make_lab):
    name, mode = request.param
    lab = make_lab(name, mode)
    yield lab
    lab.down()


def at(addr, port):
    return f"[{addr}]:{port}" if ":" in addr else f"{addr}:{port}"


class Server:
    """Says its name, then the digest of what it is sent, of each association."""

    def __init__(self, host, family, addr, port, name):
        self.name = name
        self.sock = host.socket(AF[family], socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        self.sock.bind((addr, port))
        self.sock.listen()
        self.sock.settimeout(0.5)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.ended.is_set():
            try:
                conn, _ = self.sock.accept()
            except TimeoutError:
                continue
            with conn:
                conn.settimeout(10 * netns.PATIENCE)
                self.answer(conn)

    def answer(self, conn):
        conn.sendall(self.name.encode())
        left = int(conn.recv(100))
        digest = hashlib.sha256()
        while left > 0 and (data := conn.recv(65536)):
            digest.update(data)
            left -= len(data)
        conn.sendall(digest.digest())
        conn.recv(100)  # until the client shuts down

    def close(self):
        # A listening SCTP socket cannot be shut down: its thread is told.
        self.ended.set()
        self.thread.join(10)
        self.sock.close()


@pytest.fixture
def service(request, lab, family):
    """The service's address; its two servers are there for as long."""
    suffix = "" if family == 4 else "_6"
    vip = lab.at["VIP" if family == 4 else "VIP6"]
    svc = at(vip, PORT)
    rport = RPORT[lab.name]
    servers = []
    lab.ipvsadm("-A", "--sctp-service", svc, "-s", "rr")
    for n, host in ((1, lab.rs1), (2, lab.rs2)):
        rip = lab.at[f"RIP{n}{suffix}"]
        lab.ipvsadm("-a", "--sctp-service", svc, "-r", at(rip, rport), FLAG[lab.name])
        own = rip if lab.name == "nat" else vip
        servers.append(Server(host, family, own, rport, f"rs{n}"))
    yield vip
    for server in servers:
        server.close()
    lab.ipvsadm("-D", "--sctp-service", svc)


def source(lab, family):
    """The client's own address: an endpoint that is bound to none tells the server all it has."""
    show = lab.client.ip("-o", f"-{family}", "addr", "show", "scope", "global")
    return re.search(r"inet6? ([0-9a-f.:]+)/", show).group(1)


class Association:
    def __init__(self, lab, family, vip):
        self.lab, self.vip = lab, vip
        self.sock = lab.client.socket(AF[family], socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        self.sock.bind((source(lab, family), 0))
        self.sock.settimeout(20 * netns.PATIENCE)
        self.sock.connect((vip, PORT))
        self.name_of_client = self.sock.getsockname()[:2]
        self.name = self.sock.recv(100).decode()

    def talk(self, size, piece):
        content = os.urandom(size)
        self.sock.sendall(str(size).encode())
        for i in range(0, size, piece):
            self.sock.sendall(content[i : i + piece])
        assert self.sock.recv(100) == hashlib.sha256(content).digest()

    def listed(self):
        """Its line of the connections' list, as words."""
        addr, port = self.name_of_client
        lines = self.lab.ipvsadm("-Lnc").splitlines()
        (line,) = [ln.split() for ln in lines if f" {at(addr, port)} " in ln]
        return line

    def close(self):
        """Shut it down; the state that it is in when both have had their say."""
        self.sock.close()
        end = time.monotonic() + 2 * netns.PATIENCE
        while (state := self.listed()[2]) != "CLOSED" and time.monotonic() < end:
            time.sleep(0.1)
        return state


def actives(lab):
    out = lab.ipvsadm("-Ln", "--sctp-service", at(lab.at["VIP"], PORT))
    return [int(line.split()[4]) for line in out.splitlines() if line.startswith("  -> 1")]


@families
def test_associations(lab, family, service):
    """In turn; listed as ESTABLISHED while they last, and active; over when they are shut down."""
    names = []
    for size, piece in ((5, 5), (3000, 100), (40000, 1400), (40000, 20000)):
        one = Association(lab, family, service)
        names.append(one.name)
        one.talk(size, piece)
        line = one.listed()
        assert (line[0], line[2]) == ("SCTP", "ESTABLISHED"), line
        if family == 4:
            assert sorted(actives(lab)) == [0, 1]
        assert one.close() == "CLOSED"
    assert names in (["rs1", "rs2"] * 2, ["rs2", "rs1"] * 2)
