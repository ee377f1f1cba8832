# SPDX-License-Identifier: GPL-2.0-only
"""Under `bpvs run`: open sockets in the namespace named, return, and count its services by them."""

import ctypes
import os
import socket
import struct
import sys

for library in ("libnl-3.so.200", "libnl-genl-3.so.200"):
    ctypes.CDLL(library, ctypes.RTLD_GLOBAL)
# By way of the whole program, so that what is preloaded comes first.
nl = ctypes.CDLL(None)
nl.nl_socket_alloc.restype = ctypes.c_void_p
CLONE_NEWNET, REQUEST, DUMP, GET_SERVICE = 0x40000000, 1, 0x300, 4
SKIP, VALID, CUSTOM = 1, 0, 3

own = os.open("/proc/self/ns/net", os.O_RDONLY)
other = os.open(sys.argv[1], os.O_RDONLY)
sk = ctypes.c_void_p(nl.nl_socket_alloc())
assert nl.setns(other, CLONE_NEWNET) == 0
assert nl.genl_connect(sk) == 0
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
assert nl.setns(own, CLONE_NEWNET) == 0

found = []
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(
    lambda msg, arg: found.append(msg) or SKIP
)
family = nl.genl_ctrl_resolve(sk, b"IPVS")
assert family > 1023, family
nl.nl_socket_modify_cb(sk, VALID, CUSTOM, callback, None)
assert nl.genl_send_simple(sk, family, GET_SERVICE, 1, DUMP) >= 0
assert nl.nl_recvmsgs_default(sk) == 0
GET_INFO = 64 + 1024 + 64 + 1
_version, _size, services = struct.unpack("III", raw.getsockopt(socket.SOL_IP, GET_INFO, 12))
print(len(found), "answered,", services, "by the option")
