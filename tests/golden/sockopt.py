# SPDX-License-Identifier: GPL-2.0-only
"""Calls of kernel IPVS's socket options, right and wrong, for tests/prog/sockopt.c to make."""

import pathlib
import random
import re
import socket
import struct

from golden.genl import SCHEDS, V4

RECORDED = pathlib.Path(__file__).parent / "sockopt.txt"
RECORDED_SEED, RECORDED_COUNT = 1, 40

BASE = 64 + 1024 + 64
SET_ADD, SET_EDIT, SET_DEL, SET_FLUSH = (BASE + n for n in (2, 3, 4, 5))
SET_ADDDEST, SET_DELDEST, SET_EDITDEST, SET_TIMEOUT = (BASE + n for n in (7, 8, 9, 10))
SET_STARTDAEMON, SET_STOPDAEMON, SET_ZERO = BASE + 11, BASE + 12, BASE + 15
GET_VERSION, GET_INFO, GET_SERVICES, GET_SERVICE, GET_DESTS, _, GET_TIMEOUT, GET_DAEMON = (
    BASE + n for n in range(8)
)
ENTRY, DEST_ENTRY = 104, 96  # bytes of one of a list
ALL = 32  # entries that are room for all there are

# Of what the kernel takes and ours does not (docs/differences.md) nothing is made here.
KINDS = ["raw"] * 30 + ["udp", "tcp", "raw6", "udp6", "tcp6", "unix"]


def v4(text):
    return socket.inet_aton(text)


def be16(n):
    return struct.pack(">H", n)


def key(protocol, address, port, mark):
    return struct.pack("=Hxx4s2sxxI", protocol, v4(address), be16(port), mark)


def daemon(state, device, number):
    return struct.pack("=i16si", state, device, number)


def line(way, option, raw, length=None, kind="raw", level=0):
    length = len(raw) if length is None else length
    return f"{way} {kind} {level} {option} {length} {raw.hex() or '00'}"


def listing(service):
    """All services, and the destinations of one."""
    dests = service + struct.pack("=Ixxxx", ALL)
    return [
        line("get", GET_SERVICES, struct.pack("=Ixxxx", ALL), 8 + ALL * ENTRY),
        line("get", GET_DESTS, dests, len(dests) + ALL * DEST_ENTRY),
    ]


# Without CAP_NET_ADMIN: (call, answer).
UNPRIVILEGED = [
    (line("get", GET_INFO, b"", 12, "udp"), "1"),
    (line("get", GET_INFO, b"", 3, "udp"), "1"),
    (line("get", BASE + 5, b"", 0, "udp"), "1"),
    (line("get", GET_INFO, b"", -1, "udp"), "22"),
    (line("get", BASE + 8, b"", 12, "udp"), "92"),
    (line("set", SET_FLUSH, b"", 0, "udp"), "1"),
    (line("set", SET_ADD, b"", 3, "udp"), "1"),
    (line("set", SET_ADD, b"", -1, "udp"), "22"),
    (line("set", BASE + 6, b"", 3, "udp"), "1"),
    (line("get", 1, b"", 4, "udp"), "0 4 00000000"),  # IP_TOS: not IPVS's
]


class Maker:
    """One stream of calls; most are right, and what is wrong is one thing at a time."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def key(self):
        r = self.r
        if r.random() < 0.25:
            return key(6, "0.0.0.0", 0, r.choice([1, 2, 0x80000000]))
        return key(r.choice([6, 6, 17, 132]), r.choice(V4[:2]), r.choice([0, 80, 80, 443]), 0)

    def service(self, service):
        r = self.r
        sched = r.choice([*SCHEDS, *SCHEDS, "", "nope", "sixteen-letters-"]).encode()
        flags = r.choice([0, 1, 4, 5, 8, 0x30, 0x40, 3])
        timeout = r.choice([0, 1, 300, 86400])
        netmask = v4(r.choice(["255.255.255.255", "255.255.255.0", "0.0.0.0"]))
        if r.random() < 0.05:  # a protocol that no service can have
            service = struct.pack("=H", r.choice([0, 1, 47, 0x106])) + service[2:]
        return service + struct.pack("=16sII4s", sched, flags, timeout, netmask)

    def dest(self):
        r = self.r
        return struct.pack(
            "=4s2sxxIiII", v4(r.choice(V4)), be16(r.choice([0, 80, 8080])),
            r.choice([0, 1, 2, 3, 2 + 8, 0x100]), r.choice([0, 1, 1, 5, 65535, 2**31 - 1, -1]),
            r.choice([0, 0, 10, 100]), r.choice([0, 0, 5, 11, 2**32 - 1]),
        )  # fmt: skip

    def setting(self, keys):
        """(option, bytes)"""
        r = self.r
        service = self.service(r.choice(keys))
        option = r.choice(
            [SET_ADD, SET_EDIT, SET_DEL] * 3 + [SET_ADDDEST] * 8 + [SET_EDITDEST, SET_DELDEST] * 3
            + [SET_TIMEOUT, SET_TIMEOUT, SET_STARTDAEMON, SET_STOPDAEMON, SET_ZERO, SET_FLUSH]
        )  # fmt: skip
        if option in (SET_ADDDEST, SET_EDITDEST, SET_DELDEST):
            return option, service + self.dest()
        if option == SET_TIMEOUT:
            values = [0, 1, 100, 900, 2**31 // 1000, 2**31 - 1, -1, -(2**31)]
            return option, struct.pack("=iii", *(r.choice(values) for _ in range(3)))
        if option in (SET_STARTDAEMON, SET_STOPDAEMON):
            device = r.choice([b"none0", b"", b"sixteen-letters-"])  # none that could be started
            return option, daemon(r.choice([0, 1, 2, 3]), device, 7)
        if option == SET_ZERO and r.random() < 0.3:
            service = key(0, "0.0.0.0", 0, 0) + service[16:]
        return option, b"" if option == SET_FLUSH else service

    def getting(self, keys):
        """(option, bytes, length)"""
        r = self.r
        service, some = r.choice(keys), r.choice([0, 1, 2, ALL])
        return r.choice([
            (GET_VERSION, b"\0", 64), (GET_VERSION, b"\0", 100),
            (GET_INFO, b"\0", 12), (GET_INFO, b"\0", 20),
            (GET_SERVICES, struct.pack("=Ixxxx", some), 8 + some * ENTRY),
            (GET_SERVICE, service, ENTRY), (GET_SERVICE, service, ENTRY), (GET_SERVICE, service, ENTRY + 9),
            (GET_DESTS, service + struct.pack("=Ixxxx", some), 24 + some * DEST_ENTRY),
            (GET_TIMEOUT, b"\0", 12), (GET_DAEMON, b"\0", 48),
        ])  # fmt: skip

    def call(self, keys):
        r = self.r
        way = "set" if r.random() < 0.75 else "get"
        if way == "set":
            option, raw = self.setting(keys)
            length = len(raw)
        else:
            option, raw, length = self.getting(keys)
        wrong = r.random()
        if wrong < 0.08:
            length = r.choice([0, 1, length - 1, length + 1, length + 8, -1, -(2**31)])
        elif wrong < 0.12:
            option = BASE + r.choice([-1, 0, 1, 5, 6, 8, 13, 14, 16, 100])
        made = line(way, option, raw, length, r.choice(KINDS), 6 if wrong > 0.98 else 0)
        return re.sub(r"\S+$", "-", made) if 0.12 < wrong < 0.14 else made

    def scenario(self, size=16):
        keys = [self.key() for _ in range(3)]
        start = [line("set", SET_FLUSH, b""), line("set", SET_TIMEOUT, struct.pack("=iii", 900, 120, 300))]
        rest = struct.pack("=16sIII", b"wlc", 0, 0, 0xFFFFFFFF)
        start += [line("set", SET_ADD, k + rest) for k in keys[:2]]
        ask = [line("get", GET_TIMEOUT, b"\0", 12), line("get", GET_INFO, b"\0", 12)]
        return start + [self.call(keys) for _ in range(size)] + ask + [l for k in keys for l in listing(k)]


def scenarios(seed, count):
    return [Maker(f"{seed}/{i}").scenario() for i in range(count)]


# ---- what is answered ----


def entries(raw, head, size):
    """A list's head and its entries: services come in a hash's order."""
    return [raw[:head].hex(), *sorted(raw[at : at + size].hex() for at in range(head, len(raw), size))]


def normal(call, answer):
    """What has to be the same: the size of the connection table is ours to choose."""
    way, _kind, level, option, asked, _hex = call.split()
    error, *rest = answer.split()
    if way == "set" or error != "0" or int(level):
        return answer
    option, raw = int(option), bytes.fromhex(rest[1]) if len(rest) > 1 else b""
    if option == GET_VERSION:
        words = re.sub(r"\(size=\d+\)", "(size=N)", raw[: int(rest[0])].decode())
        return words, int(rest[0]) == raw.index(0) + 1
    if option == GET_INFO:
        return rest[0], raw[:4], raw[8:]
    if option == GET_SERVICES and (int(asked) - 8) // ENTRY < ALL:
        return rest[0], len(raw)  # any of them
    if option == GET_SERVICES:
        return rest[0], entries(raw, 8, ENTRY)
    return answer


def differences(sent, want, got):
    """In each scenario the first call that was answered otherwise; what follows may follow."""
    want, got, found, at = want.splitlines(), got.splitlines(), [], 0
    for scenario in sent:
        for call, theirs, ours in zip(scenario, want[at:], got[at:]):
            if normal(call, theirs) != normal(call, ours):
                found.append((call, theirs, ours))
                break
        at += len(scenario)
    assert len(want) == at and len(got) == at, (at, len(want), len(got))
    return found
