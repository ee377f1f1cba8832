# SPDX-License-Identifier: GPL-2.0-only
"""FTP's control connections under NAT: segments that no server sends at one's bidding."""

import pytest
from harness import MAC_C0, MAC_S0, V4, l4, mac_client, mac_real, same
from scapy.all import TCP, Ether

pytestmark = pytest.mark.usefixtures("no_bugs")


class Control:
    """A control connection: what either side says, and what the other hears."""

    def __init__(self, prog, port):
        self.prog, self.port = prog, port
        # by whether it is the server who speaks
        self.seq = [1000, 5000]
        for reply, flags in ((0, "S"), (1, "SA"), (0, "A")):
            self.segment(reply, flags)
            self.seq[reply] += "S" in flags

    def segment(self, reply, flags="PA", payload=b""):
        """Its number and its text, as they come out."""
        ends = (21, self.port) if reply else (self.port, 21)
        body = l4("tcp", *ends, flags, payload, seq=self.seq[reply], ack=self.seq[not reply])
        if reply:
            pkt = Ether(src=mac_real(), dst=MAC_S0) / V4.ip(V4.real(), V4.client) / body
        else:
            pkt = Ether(src=mac_client(), dst=MAC_C0) / V4.ip(V4.client, V4.vip) / body
        result = self.prog.tc(pkt, "s0" if reply else "c0")
        assert result.fate == "sent", result
        # the link header may be left to the kernel
        tcp = Ether(bytes(Ether(dst=MAC_C0, type=0x0800))[:14] + result.raw[14:])[TCP]
        return tcp.seq, bytes(tcp.payload)

    def say(self, reply, text):
        heard = self.segment(reply, payload=text)
        self.seq[reply] += len(text)
        return heard


@pytest.fixture
def control(ns, prog, port):
    ns.ipvsadm(f"-A -t {V4.vip}:21 -s rr\n-a -t {V4.vip}:21 -r {V4.real()}:21 -m")
    yield Control(prog, port)
    ns.ipvsadm(f"-D -t {V4.vip}:21")


@pytest.mark.parametrize("size", [509, 510, 511, 512, 513])
def test_no_room_to_grow(control, size):
    """An answer that would come to be too long is left as it is, and so are the numbers behind."""
    text, grown = (b"227 (" + addr + b",125,1) " for addr in (b"10,0,2,1", b"10,0,1,100"))
    rest = b"x" * (size - len(text) - 2) + b"\r\n"
    control.say(0, b"PASV\r\n")
    more = len(grown) - len(text) if size + 2 <= 512 else 0
    assert control.say(1, text + rest) == (5001, (grown if more else text) + rest)
    assert control.say(1, b"200 ok\r\n") == (5001 + size + more, b"200 ok\r\n")


def announced(prog):
    """What the tests above announced has another port."""
    return {c["virtual"][1] for c in prog.conns(V4.client, 0)} - {32001}


@pytest.mark.parametrize("announce", ["PORT 10,0,1,1,0,0", "EPRT |1|10.0.1.1|0|"])
def test_port_0_lets_nobody_in(control, prog, port, announce):
    """It is no port to connect to, and not the one that is yet to come."""
    control.say(0, announce.encode() + b"\r\n")
    pkt = Ether(src=mac_client(), dst=MAC_C0) / V4.ip(V4.client, V4.vip) / l4("tcp", port, 20)
    same(prog.tc(pkt), pkt)
    assert not announced(prog)


def test_passive_port_0(control, prog):
    control.say(0, b"PASV\r\n")
    text = b"227 (10,0,2,1,0,0)\r\n"
    assert control.say(1, text) == (5001, text)
    assert not announced(prog)
