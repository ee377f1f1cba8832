# SPDX-License-Identifier: GPL-2.0-only
"""
Every function that looks at a file by its path, at /proc/net/NAME by every path that leads there:
prints where the answer is another than about /proc/net/dev, which all network namespaces have, or
about the file when it is open. With "absent": where there is one.
"""

import ctypes
import errno
import os
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
FDCWD, EMPTY_PATH, EACCESS = -100, 0x1000, 0x200
# The structures' numbers and times, which are those of the last look.
STAT, STATX = (slice(8, 16), slice(72, 120)), (slice(32, 40), slice(64, 128))
NET = f"/proc/{os.getpid()}/net"
ROOM = object()
NAMES = ["", "_app", "_conn", "_conn_sync", "_stats", "_stats_percpu", "_status"]


def call(name, fields, *argv):
    """What it answers, without the file's number and times; and the number."""
    room = ctypes.create_string_buffer(1024)
    ctypes.set_errno(0)
    result = getattr(LIBC, name)(*(room if word is ROOM else word for word in argv))
    found = bytearray(room.raw)
    number = bytes(found[fields[0]]) if fields else None
    for field in fields:
        found[field] = bytes(field.stop - field.start)
    return (result, ctypes.get_errno(), bytes(found)), number


def calls(directory, path):
    """All of them, (name, fields, arguments)."""
    path = path.encode()
    for suffix in ("", "64"):
        for name in ("stat", "lstat"):
            if directory == FDCWD:
                yield f"{name}{suffix}", STAT, path, ROOM
                yield f"__{name.replace('stat', 'xstat')}{suffix}", STAT, 1, path, ROOM
        yield f"fstatat{suffix}", STAT, directory, path, ROOM, 0
        yield f"fstatat{suffix}", STAT, directory, path, ROOM, EMPTY_PATH
        yield f"__fxstatat{suffix}", STAT, 1, directory, path, ROOM, 0
    yield "statx", STATX, directory, path, 0, 0x7FF, ROOM
    for mode in (os.F_OK, os.R_OK, os.W_OK, os.X_OK, os.R_OK | os.W_OK):
        if directory == FDCWD:
            for name in ("access", "eaccess", "euidaccess"):
                yield name, (), path, mode
        yield "faccessat", (), directory, path, mode, 0
        yield "faccessat", (), directory, path, mode, EACCESS
    if directory == FDCWD:
        for name in ("getxattr", "lgetxattr"):
            yield name, (), path, b"system.posix_acl_access", ROOM, 1024
        for name in ("listxattr", "llistxattr"):
            yield name, (), path, ROOM, 1024


def of_fd(fd):
    for suffix in ("", "64"):
        yield f"fstat{suffix}", STAT, fd, ROOM
        yield f"__fxstat{suffix}", STAT, 1, fd, ROOM
        yield f"fstatat{suffix}", STAT, fd, b"", ROOM, EMPTY_PATH
    yield "statx", STATX, fd, b"", EMPTY_PATH, 0x7FF, ROOM


def ways(name):
    """(directory's descriptor, path); the working directory is NET."""
    net, proc = (os.open(path, os.O_RDONLY) for path in (NET, "/proc"))
    for where in ("/proc/net", "/proc/self/net", "/proc/thread-self/net", NET, "//proc/./net",
                  f"/proc/self/task/{os.getpid()}/net", "."):  # fmt: skip
        yield FDCWD, f"{where}/{name}"
    yield FDCWD, name
    yield net, name
    yield proc, f"net/{name}"


def complain(*words):
    print(*words)
    complain.count += 1


def shown(name):
    for (directory, path), (_, twin) in zip(ways(name), ways("dev")):
        numbers = set()
        pairs = list(zip(calls(directory, path), calls(directory, twin)))
        fd = os.open(path, os.O_RDONLY, dir_fd=None if directory == FDCWD else directory)
        beside = os.open("/proc/net/dev", os.O_RDONLY)
        pairs += zip(of_fd(fd), of_fd(beside))
        for ours, theirs in pairs:
            (got, number), (want, other) = call(*ours), call(*theirs)
            if got != want:
                complain(ours, got[:2], want[:2], got[2] == want[2])
            if number:
                numbers.add(number)
            if number and number == other:
                complain(ours, "has the other's number")
        if len(numbers) != 1:
            complain(path, numbers)
        os.close(fd)
        os.close(beside)


def absent(name):
    for directory, path in ways(name):
        for ours in calls(directory, path):
            (result, error, _), _ = call(*ours)
            if (result, error) != (-1, errno.ENOENT):
                complain(ours, result, error)


def main():
    complain.count = 0
    os.chdir(NET)
    check = absent if sys.argv[1:] == ["absent"] else shown
    for name in NAMES:
        check(f"ip_vs{name}")
    # What nobody has.
    for name in ("ip_vs_", "ip_vs_none", "ip_vs2", "ip_v"):
        absent(name)
    print(complain.count, "differences")


main()
