# SPDX-License-Identifier: GPL-2.0-only
"""Messages to the generic netlink family "IPVS", right and wrong, for tests/prog/genl.c to send."""

import pathlib
import random
import socket
import struct

RECORDED = pathlib.Path(__file__).parent / "genl.txt"
RECORDED_SEED, RECORDED_COUNT = 1, 40

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
(
    NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, GET_DEST,
    NEW_DAEMON, DEL_DAEMON, GET_DAEMON, SET_CONFIG, GET_CONFIG, SET_INFO, GET_INFO, ZERO, FLUSH,
) = range(1, 18)  # fmt: skip
SERVICE, DEST, DAEMON = 1, 2, 3

# Of what the kernel takes and ours does not (docs/differences.md) nothing is made here.
V4 = ["10.0.0.1", "10.0.0.2", "10.9.9.254", "127.0.0.1", "10.9.9.255", "0.0.0.0", "224.0.0.1"]
V6 = ["2001:db8::1", "2001:db8::2", "::1", "fe80::1", "ff02::1", "::", "::ffff:10.0.0.1"]
SCHEDS = ["rr", "wrr", "lc", "wlc", "sh", "dh", "mh", "sed", "nq", "fo", "ovf", "lblc", "none"]


def attr(kind, payload, cut=0):
    """An attribute; cut: how many bytes its length claims less, or with a minus more."""
    raw = struct.pack("=HH", 4 + len(payload) - cut, kind) + payload
    return raw + bytes(-len(raw) % 4)


def address(text):
    if ":" in text:
        return socket.inet_pton(socket.AF_INET6, text)
    return socket.inet_pton(socket.AF_INET, text) + bytes(12)


def u16(n):
    return struct.pack("=H", n)


def u32(n):
    return struct.pack("=I", n & 0xFFFFFFFF)


def be16(n):
    return struct.pack(">H", n)


def text(s):
    return s.encode() + b"\0"


class Maker:
    """One stream of messages; most are right, and what is wrong is one thing at a time."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def key(self):
        r = self.r
        v6 = r.random() < 0.3
        fields = {1: u16(10 if v6 else 2)}
        if r.random() < 0.25:
            fields[5] = u32(r.choice([0, 1, 2, 0x80000000]))
        else:
            fields[2] = u16(r.choice([6, 6, 17, 132]))
            fields[3] = address(r.choice(V6[:2] if v6 else V4[:2]))
            fields[4] = be16(r.choice([0, 80, 80, 443]))
        return fields

    def full_service(self, key):
        r = self.r
        v6 = key[1] == u16(10)
        fields = dict(key)
        fields[6] = text(r.choice(SCHEDS))
        fields[7] = u32(r.choice([0, 1, 4, 5, 8, 0x30, 0x40, 3])) + u32(r.choice([~0, ~0, 0, 5]))
        fields[8] = u32(r.choice([0, 1, 300, 86400]))
        fields[9] = u32(r.choice([128, 64, 1, 0, 129])) if v6 else u32(r.choice([~0, 0xFFFFFF, 0]))
        if r.random() < 0.1:
            fields[11] = text(r.choice(["sip", "", "nope"]))
        return fields

    def dest_key(self, key):
        r = self.r
        v6 = (key[1] == u16(10)) != (r.random() < 0.15)
        fields = {1: address(r.choice(V6 if v6 else V4)), 2: be16(r.choice([0, 80, 8080]))}
        if v6 != (key[1] == u16(10)) or r.random() < 0.7:
            fields[11] = u16(10 if v6 else 2)
        return fields

    def full_dest(self, key):
        r = self.r
        fields = self.dest_key(key)
        fields[3] = u32(r.choice([0, 1, 2, 3, 2 + 8, 0x100]))
        fields[4] = u32(r.choice([0, 1, 1, 5, 65535, 2**31 - 1, -1]))
        fields[5] = u32(r.choice([0, 0, 10, 100]))
        fields[6] = u32(r.choice([0, 0, 5, 11, 2**32 - 1]))
        if r.random() < 0.5:
            fields[13] = bytes([r.choice([0, 1, 1, 1, 2, 2, 3, 17, 255])])
            fields[14] = be16(r.choice([0, 6080, 6080, 65535]))
            fields[15] = u16(r.choice([0, 1, 2, 3, 0x10, 0xFFFF]))
            for _ in range(r.choice([0, 0, 1, 2])):
                fields.pop(r.choice([13, 14, 15]), None)
        return fields

    def nest(self, kind, fields):
        return attr(kind, b"".join(attr(k, v) for k, v in fields.items()))

    def spoiled(self, fields):
        """One field away, short, long, empty, twice, flagged, or one that nobody knows."""
        r = self.r
        fields = dict(fields)
        victim = r.choice(list(fields))
        raw = fields[victim]
        how = r.randrange(9)
        if how == 0:
            del fields[victim]
        elif how == 1:
            fields[victim] = raw[: r.randrange(len(raw) + 1)]
        elif how == 2:
            fields[victim] = raw + bytes([r.randrange(256)] * r.choice([1, 3, 20]))
        elif how == 3:
            fields[victim] = bytes(r.randrange(256) for _ in raw)
            if victim in (1, 2, 3, 4, 7, 8, 13, 14):  # numbers that are known to be taken otherwise
                fields[victim] = raw
        elif how == 4:
            fields[victim | 0x8000] = fields.pop(victim)
        elif how == 5:
            fields[r.choice([0, 99, 1000])] = raw
        elif how == 6:
            fields[10] = raw
        elif how == 7:
            fields[victim] = b""
        else:
            fields[1] = u16(r.choice([0, 1, 3, 10, 2, 65535])) if len(fields[1]) == 2 else raw
        return fields

    def attrs(self, cmd, key):
        r = self.r
        service = self.full_service(key) if cmd in (NEW_SERVICE, SET_SERVICE) else dict(key)
        dest = self.dest_key(key) if cmd == DEL_DEST else self.full_dest(key)
        if r.random() < 0.25:
            service = self.spoiled(service)
        elif r.random() < 0.25:
            dest = self.spoiled(dest)
        raw = self.nest(SERVICE, service) if cmd not in (ZERO, FLUSH) or r.random() < 0.7 else b""
        if cmd in (NEW_DEST, SET_DEST, DEL_DEST):
            raw += self.nest(DEST, dest)
        return raw

    def config(self):
        r = self.r
        values = [0, 1, 100, 900, 2**31 // 1000, 2**31 - 1, 2**31, 2**32 - 1]
        return b"".join(
            attr(k, u32(r.choice(values))[: r.choice([4, 4, 4, 4, 3])])
            for k in (4, 5, 6) if r.random() < 0.6
        )  # fmt: skip

    def daemon(self):
        """None that could be started."""
        r = self.r
        fields = {1: u32(r.choice([0, 1, 2, 3])), 2: text("none0"), 3: u32(7)}
        if r.random() < 0.3:
            fields[5] = bytes([r.choice([10, 224, 239]), 0, 0, 1])
        if r.random() < 0.3:
            fields[6] = address(r.choice(V6))
        if r.random() < 0.5:
            fields = self.spoiled(fields)
        return self.nest(DAEMON, fields) if r.random() < 0.9 else b""

    def message(self, keys):
        r = self.r
        cmd = r.choice(
            [NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE] * 3
            + [NEW_DEST] * 8 + [SET_DEST, DEL_DEST, GET_DEST] * 3
            + [NEW_DAEMON, DEL_DAEMON, GET_DAEMON, SET_CONFIG, GET_CONFIG, SET_INFO, ZERO, FLUSH]
            + [0, 18, 255]
        )  # fmt: skip
        flags = REQUEST | (ACK if r.random() < 0.9 else 0)
        if cmd in (GET_DEST, GET_DAEMON) or r.random() < 0.05:
            flags |= DUMP
        if r.random() < 0.03:
            flags = r.choice([0, ACK, REQUEST | 0x100, REQUEST | 0x8, REQUEST | ACK | 0x800])
        if cmd == SET_CONFIG:
            raw = self.config()
        elif cmd in (NEW_DAEMON, DEL_DAEMON):
            raw = self.daemon()
        else:
            raw = self.attrs(cmd, r.choice(keys))
        claim = 0
        if r.random() < 0.08:
            claim = -r.randrange(1, len(raw) + 9)
        elif r.random() < 0.05:
            raw += bytes(r.randrange(256) for _ in range(r.choice([1, 2, 3])))
        return line(cmd, flags, raw, claim)

    def scenario(self, size=14):
        keys = [self.key() for _ in range(3)]
        times = b"".join(attr(k, u32(n)) for k, n in ((4, 900), (5, 120), (6, 300)))
        start = [line(FLUSH, REQUEST | ACK), line(SET_CONFIG, REQUEST | ACK, times)]
        for key in keys[:2]:
            service = {**key, 6: text("wlc"), 7: u32(0) + u32(~0), 8: u32(0), 9: u32(64)}
            start.append(line(NEW_SERVICE, REQUEST | ACK, self.nest(SERVICE, service)))
        ask = [line(GET_SERVICE, REQUEST | ACK | DUMP), line(GET_CONFIG, REQUEST | ACK)]
        ask += [line(GET_DEST, REQUEST | ACK | DUMP, self.nest(SERVICE, key)) for key in keys]
        return start + [self.message(keys) for _ in range(size)] + ask


def line(cmd, flags, raw=b"", claim=0):
    return f"{cmd:02x} {flags:04x} {raw.hex() or '-'} {claim}"


def scenarios(seed, count):
    return [Maker(f"{seed}/{i}").scenario() for i in range(count)]


def answers(output):
    """What genl printed, by message: the parts of a dump of services are in a hash's order."""
    blocks, block = [], []
    for text_line in output.splitlines():
        if text_line == ".":
            blocks.append(sorted(block))
            block = []
        else:
            block.append(text_line)
    return blocks


def differences(sent, want, got):
    """In each scenario the first message that was answered otherwise; what follows may follow."""
    want, got = answers(want), answers(got)
    found, at = [], 0
    for scenario in sent:
        for i, message in enumerate(scenario, at):
            # The size of the connection table is ours to choose.
            if not message.startswith(f"{GET_INFO:02x} ") and want[i : i + 1] != got[i : i + 1]:
                found.append((message, want[i : i + 1], got[i : i + 1]))
                break
        at += len(scenario)
    assert len(want) == at and len(got) == at, (at, len(want), len(got))
    return found
