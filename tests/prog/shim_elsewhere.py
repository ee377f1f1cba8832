# SPDX-License-Identifier: GPL-2.0-only
"""Under `bpvs run`: open a socket in the namespace named, return, and count its services by it."""

import ctypes
import os
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
print(len(found), "answered")
