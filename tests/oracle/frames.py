# SPDX-License-Identifier: GPL-2.0-only
"""Frames built and read by struct: scapy takes half a minute to import in the guest."""

import dataclasses
import socket
import struct
import zlib

from scenario import host_name

ICMP, TCP, UDP, GRE, ICMP6, SCTP = 1, 6, 17, 47, 58, 132
NAMES = {ICMP: "icmp", TCP: "tcp", UDP: "udp", GRE: "gre", ICMP6: "icmp6", SCTP: "sctp"}
NUMBERS = {"udp": UDP, "tcp": TCP, "sctp": SCTP}
FLAGS = "FSRPAU"  # bit 0 is FIN
ICMP_ERRORS = {ICMP: (3, 4, 5, 11, 12), ICMP6: (1, 2, 3, 4)}
NEIGHBOURS = (130, 131, 132, 133, 134, 135, 136, 137, 143)  # ICMPv6 of no interest here
CHUNKS = {
    "DATA": 0, "INIT": 1, "INIT_ACK": 2, "SACK": 3, "HEARTBEAT": 4, "HEARTBEAT_ACK": 5, "ABORT": 6,
    "SHUTDOWN": 7, "SHUTDOWN_ACK": 8, "ERROR": 9, "COOKIE_ECHO": 10, "COOKIE_ACK": 11,
    "SHUTDOWN_COMPLETE": 14,
}
CHUNK_NAMES = {number: name for name, number in CHUNKS.items()}
CHUNK_BODY = {"DATA": 16, "INIT": 16, "INIT_ACK": 16, "SACK": 12, "SHUTDOWN": 4, "COOKIE_ECHO": 8,
              "HEARTBEAT": 8, "HEARTBEAT_ACK": 8}
GUE_PORTS = range(6080, 6090)  # the scenarios'
PORTS = range(32768, 61000)  # that the kernel takes a tunnel's source port from, by a hash of its own
MORE_FRAGMENTS, DONT_FRAGMENT = 0x2000, 0x4000


def _crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


CRC32C = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 255]
    return struct.pack("<I", crc ^ 0xFFFFFFFF)


def sum16(data):
    """The Internet checksum: 0 over data that includes a right one."""
    if len(data) & 1:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def pack(addr):
    return socket.inet_pton(socket.AF_INET6 if ":" in addr else socket.AF_INET, addr)


def unpack(packed):
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def pseudo(src, dst, proto, length):
    """The pseudo header, near enough the same sum for both families."""
    return src + dst + struct.pack("!II", length, proto)


def _summed(src, dst, proto, data, at):
    """The transport's data with its checksum put in at that place."""
    total = sum16(pseudo(src, dst, proto, len(data)) + data)
    if proto == UDP and total == 0:
        total = 0xFFFF
    return data[:at] + struct.pack("!H", total) + data[at + 2 :]


@dataclasses.dataclass
class Packet:
    """What is sent: addresses, transport, and the knobs of the format's options."""

    src: str
    dst: str
    proto: int
    sport: int = 0
    dport: int = 0
    flags: str = ""
    data: bytes = b""
    seq: int = 0
    ack: int = 0
    chunks: tuple = ()
    icmp: tuple = (8, 0)
    rest: bytes = bytes(4)  # of an ICMP header
    ttl: int = 64
    tos: int = 0
    ident: int = 1
    df: bool = False
    nosum: bool = False
    badsum: bool = False

    def transport(self):
        src, dst = pack(self.src), pack(self.dst)
        ports = struct.pack("!HH", self.sport, self.dport)
        if self.proto == UDP:
            data = ports + struct.pack("!HH", 8 + len(self.data), 0) + self.data
            at = None if self.nosum else 6
        elif self.proto == TCP:
            bits = sum(1 << FLAGS.index(f) for f in self.flags)
            data = ports + struct.pack("!IIBBHHH", self.seq, self.ack, 0x50, bits, 8192, 0, 0)
            data, at = data + self.data, 16
        elif self.proto == SCTP:
            return self._sctp(ports)
        elif self.proto in (ICMP, ICMP6):
            data = bytes([*self.icmp, 0, 0]) + self.rest + self.data
            if self.proto == ICMP:
                return data[:2] + struct.pack("!H", sum16(data)) + data[4:]
            at = 2
        else:
            return self.data
        if at is not None:
            data = _summed(src, dst, self.proto, data, at)
            if self.badsum:
                data = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        return data

    def _sctp(self, ports):
        body = b""
        for name in self.chunks:
            part = bytes(CHUNK_BODY.get(name, 0))
            flags = 3 if name == "DATA" else 0  # first and last fragment
            body += struct.pack("!BBH", CHUNKS[name], flags, 4 + len(part)) + part
        head = ports + struct.pack("!I", 0x1234)
        crc = crc32c(head + bytes(4) + body)
        if self.badsum:
            crc = bytes([crc[0] ^ 0x55]) + crc[1:]
        return head + crc + body

    def datagram(self):
        return ip_header(self, self.transport(), self.ident)

    def fragments(self, size):
        """The datagram in fragments of that many bytes of IP payload."""
        data, result = self.transport(), []
        for at in range(0, len(data), size):
            part, more = data[at : at + size], at + size < len(data)
            if ":" in self.src:
                head = struct.pack("!BBHI", self.proto, 0, at | more, self.ident)
                result.append(ip_header(self, head + part, self.ident, proto=44))
            else:
                offset = at >> 3 | (MORE_FRAGMENTS if more else 0)
                result.append(ip_header(self, part, self.ident, offset=offset))
        return result


def ip_header(packet, data, ident, offset=0, proto=None):
    """The packet's IP header and that data."""
    src, dst = pack(packet.src), pack(packet.dst)
    proto = packet.proto if proto is None else proto
    if len(src) == 16:
        head = struct.pack("!IHBB", 6 << 28 | packet.tos << 20, len(data), proto, packet.ttl)
        return head + src + dst + data
    offset |= DONT_FRAGMENT if packet.df else 0
    head = struct.pack("!BBHHHBBH", 0x45, packet.tos, 20 + len(data), ident, offset, packet.ttl,
                       proto, 0) + src + dst
    return head[:10] + struct.pack("!H", sum16(head)) + head[12:] + data


def ether(dst, src, datagram):
    kind = b"\x86\xdd" if datagram[0] >> 4 == 6 else b"\x08\x00"
    return dst + src + kind + datagram


@dataclasses.dataclass
class Seen:
    """A datagram read."""

    raw: bytes
    src: str = ""
    dst: str = ""
    proto: int = 0
    ttl: int = 0
    tos: int = 0
    df: bool = False
    label: int = 0
    ident: int | None = None
    fragment: tuple | None = None  # offset, more
    data: bytes = b""  # the transport's
    head_ok: bool = True
    whole: bool = True  # not cut short, as those quoted by ICMP are
    inner: "Seen | None" = None

    @property
    def last(self):
        """The innermost of tunnels."""
        return self.inner.last if self.inner else self

    @property
    def ports(self):
        if self.proto in (TCP, UDP, SCTP) and len(self.data) >= 4:
            return struct.unpack("!HH", self.data[:4])
        return None, None

    @property
    def is_error(self):
        return self.proto in ICMP_ERRORS and self.data[0] in ICMP_ERRORS[self.proto]


def read(raw):
    """Read a datagram, and those inside if it is a tunnel's."""
    seen = Seen(raw)
    if raw[0] >> 4 == 4:
        size = (raw[0] & 15) * 4
        seen.tos, length, seen.ident, offset, seen.ttl, seen.proto = struct.unpack(
            "!xBHHHBB", raw[:10])
        seen.src, seen.dst = unpack(raw[12:16]), unpack(raw[16:20])
        seen.head_ok = sum16(raw[:size]) == 0
        seen.df = bool(offset & DONT_FRAGMENT)
        if offset & 0x3FFF:
            seen.fragment = ((offset & 0x1FFF) << 3, bool(offset & MORE_FRAGMENTS))
        seen.data, seen.whole = raw[size:length], length <= len(raw)
    else:
        first, length, seen.proto, seen.ttl = struct.unpack("!IHBB", raw[:8])
        seen.tos, seen.label = first >> 20 & 255, first & 0xFFFFF
        seen.src, seen.dst = unpack(raw[8:24]), unpack(raw[24:40])
        seen.data, seen.whole = raw[40 : 40 + length], 40 + length <= len(raw)
        if seen.proto == 44 and len(seen.data) >= 8:
            seen.proto, offset, seen.ident = struct.unpack("!BxHI", seen.data[:8])
            seen.fragment = (offset & 0xFFF8, bool(offset & 1))
            seen.data = seen.data[8:]
    if seen.fragment is None:
        _read_inner(seen)
    return seen


def _read_inner(seen):
    data = seen.data
    if seen.proto in (4, 41) and len(data) >= 20:
        seen.inner = read(data)
    elif seen.proto == GRE and len(data) >= 24 and data[2:4] in (b"\x08\x00", b"\x86\xdd"):
        seen.inner = read(data[8 if data[0] & 0x80 else 4 :])
    elif seen.proto == UDP and seen.ports[1] in GUE_PORTS and is_gue(data):
        seen.inner = read(data[12 + (data[8] & 31) * 4 :])


def is_gue(data):
    return len(data) >= 32 and data[8] < 32 and data[9] in (4, 41)


def checksum(seen):
    """The transport's checksum: ok, bad, none, or '' where there is none to look at."""
    data = seen.data
    if not seen.whole or seen.fragment is not None:
        return ""
    if seen.proto == SCTP and len(data) >= 12:
        return "ok" if crc32c(data[:8] + bytes(4) + data[12:]) == data[8:12] else "bad"
    if seen.proto == UDP and data[6:8] == b"\0\0":
        return "none"
    if seen.proto == GRE:
        return "none" if not data[0] & 0x80 else "bad" if sum16(data) else "ok"
    if seen.proto == ICMP:
        return "bad" if sum16(data) else "ok"
    if seen.proto in (TCP, UDP, ICMP6):
        head = pseudo(pack(seen.src), pack(seen.dst), seen.proto, len(data))
        return "bad" if sum16(head + data) else "ok"
    return ""


def tcp_end(seen):
    """The number behind what a TCP segment has."""
    data = seen.data
    seq, flags = struct.unpack("!I", data[4:8])[0], data[13]
    return seq + len(data) - (data[12] >> 4) * 4 + (flags & 1) + (flags >> 1 & 1)


def _transport_words(seen):
    """Protocol, flags and the rest of what a result says of a transport."""
    data, words = seen.data, []
    if seen.proto == TCP and len(data) >= 20:
        bits = data[13]
        words = ["".join(f for n, f in enumerate(FLAGS) if bits >> n & 1) or "-"]
        words.append("seq {} ack {}".format(*struct.unpack("!II", data[4:12])))
        data = data[(data[12] >> 4) * 4 :]
    elif seen.proto == UDP:
        data = data[8:]
    elif seen.proto == SCTP:
        words, data = [_chunk_words(data)], b""
    elif seen.proto in (ICMP, ICMP6):
        words = [f"{data[0]}/{data[1]}"]
        data = data[8:]
    return words, data


def _chunk_words(data):
    names, at = [], 12
    while at + 4 <= len(data):
        kind, size = data[at], struct.unpack("!H", data[at + 2 : at + 4])[0]
        names.append(CHUNK_NAMES.get(kind, str(kind)))
        at += max(4, size + 3 & ~3)
    return ",".join(names)


def _tunnel_words(seen):
    """What the header between the outer one and the packet in it says."""
    if seen.proto not in (UDP, GRE):
        return ["ipip"]
    total = checksum(seen)
    words = [f"sum {total}"] if total else []
    if seen.proto == GRE:
        return [f"gre {seen.data[:4].hex()}", *words]
    ports = "" if seen.ports[0] in PORTS else f"from {seen.ports[0]} "
    return [f"gue {ports}to {seen.ports[1]} {seen.data[8:12].hex()}", *words]


def describe(seen, idents=()):
    """One line about a datagram. `idents`: those of the packets sent, to see which are kept."""
    if seen.inner:
        outer = [f"{host_name(seen.src)} > {host_name(seen.dst)}", *_tunnel_words(seen),
                 f"ttl {seen.ttl}", *(["df"] if seen.df else []),
                 *([f"tos {seen.tos:#x}"] if seen.tos else []),
                 *([] if seen.head_ok else ["header sum bad"])]
        return f"[{' '.join(outer)}] {describe(seen.inner, idents)}"
    sport, dport = seen.ports if seen.fragment is None else (None, None)
    port = lambda p: "" if p is None else f":{p}"
    text = [f"{host_name(seen.src)}{port(sport)} > {host_name(seen.dst)}{port(dport)}",
            NAMES.get(seen.proto, f"proto {seen.proto}")]
    words, data = _transport_words(seen) if seen.fragment is None else ([], seen.data)
    text += words
    if seen.fragment is not None:
        text.append(f"fragment {seen.fragment[0]}{'+' if seen.fragment[1] else ''}")
    text.append(f"ttl {seen.ttl}")
    text += [f"tos {seen.tos:#x}"] if seen.tos else []
    text += ["df"] if seen.df else []
    # The stack labels what it makes up itself at random: ICMP and resets.
    if seen.label and seen.proto != ICMP6 and "R" not in "".join(words[:1]):
        text.append(f"label {seen.label:#x}")
    text += [] if seen.head_ok else ["header sum bad"]
    total = checksum(seen)
    text += [f"sum {total}"] if total else []
    if seen.ident is not None and seen.ident in idents:
        text.append("id kept")
    if seen.is_error:
        return " ".join([*text, _quoted(seen, data)])
    if data:
        text.append(f"len {len(data)} data {zlib.crc32(data) & 0xFFFF:04x}")
    return " ".join(text)


def _quoted(seen, data):
    """What an ICMP error says: its MTU, and the packet it is about."""
    mtu = struct.unpack("!I", seen.data[4:8])[0]
    words = [f"rest {mtu}"] if mtu else []
    try:
        about = describe(read(data))
    except (struct.error, IndexError, ValueError):
        about = data.hex()
    return " ".join([*words, f"quotes {len(data)}", f"about ({about})"])
