# SPDX-License-Identifier: GPL-2.0-only
"""The installed ipvsadm over a live engine: the original's recorded invocations, case by case."""

import json
import os
import subprocess
import time

import jsonschema
import pytest
from common import BUILD, ROOT, ip, lone_namespace
from golden import cases
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

NETNS = f"ctl-ipvsadm-{os.getpid()}"
SCHEMA = json.loads((ROOT / "docs" / "ipvsadm.schema.json").read_text())
IPVSADM = BUILD / "ipvsadm" / "ipvsadm"


@pytest.fixture(scope="module")
def run():
    """Invocations in a namespace of our own, where the first one brings the engine up."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and BPF")
    assert IPVSADM.exists(), f"{IPVSADM} is not built: run make first"
    with lone_namespace(NETNS) as inside:
        # Found by PATH, so that messages name it as the recordings do.
        env = dict(os.environ, PATH=f"{IPVSADM.parent}:{os.environ['PATH']}")
        yield cases.runner([*inside, "ipvsadm"], env=env)


@pytest.fixture
def clean(run):
    """No services."""
    assert run(["-C"], "").rc == 0
    return run


@pytest.mark.parametrize(
    "case", cases.CASES, ids=lambda c: f"{cases.CASES.index(c)}-{cases.name(c)}"
)
def test_command(case, clean):
    cases.check(case, clean)


def test_timeouts(clean):
    assert clean(["--set", "900", "120", "300"], "").rc == 0
    assert clean(["--set", "100", "0", "30"], "").rc == 0
    assert clean(["-L", "--timeout"], "").out == "Timeout (tcp tcpfin udp): 100 120 30\n"


def test_restore_of_save(clean):
    """What -S prints, -R takes: the tables are the same afterwards."""
    rules = "".join(
        f"-A -t 10.0.{s}.1:80 -s {('rr', 'wrr', 'lc', 'wlc')[s % 4]}\n"
        + "".join(f"-a -t 10.0.{s}.1:80 -r 10.1.{s}.{d}:80 -m -w {d}\n" for d in range(1, 9))
        for s in range(1, 9)
    )
    assert clean(["-R"], rules).rc == 0
    saved = clean(["-S", "-n"], "").out
    assert saved == rules
    assert clean(["-C"], "").rc == 0
    assert clean(["-R"], saved).rc == 0
    assert clean(["-S", "-n"], "").out == rules


REFUSED = "Invalid operation.  Possibly wrong module version, address not unicast, ...\n"


@pytest.mark.parametrize(
    "address, good",
    [
        ("10.9.9.254", True),  # our own: delivered here
        ("127.0.0.1", True),
        ("10.9.9.255", False),  # broadcast on d0
        ("0.0.0.0", False),
        ("0.1.2.3", True),
        ("240.0.0.1", True),
        ("192.0.2.1", True),  # no route there
        ("[::1]", True),
        ("[fe80::1]", False),
        ("[::]", False),
        ("[::ffff:192.0.2.1]", False),
        ("[2001:db8::1]", True),
    ],
)
def test_server_addresses(address, good, clean):
    service = "[2001:db8::100]:80" if address[0] == "[" else "10.0.0.1:80"
    clean(["-A", "-t", service, "-s", "rr"], "")
    done = clean(["-a", "-t", service, "-r", f"{address}:80", "-g"], "")
    assert (done.rc, done.err) == ((0, "") if good else (255, REFUSED))
    # Listed as it was asked for, our own address too.
    listed = clean(["-L", "-n"], "").out
    assert (f"  -> {address}:80".ljust(33) + " Route   1 " in listed) == good


def test_large_restore(clean):
    """1000 services of 100 servers, in single operations."""
    rules = "".join(
        f"-A -t 10.{s // 250}.{s % 250}.1:80 -s wrr\n"
        + "".join(
            f"-a -t 10.{s // 250}.{s % 250}.1:80 -r 172.16.{s % 250}.{d}:80 -m -w {d % 7 + 1}\n"
            for d in range(1, 101)
        )
        for s in range(1000)
    )
    start = time.monotonic()
    assert clean(["-R"], rules).rc == 0
    took = time.monotonic() - start
    assert clean(["-S", "-n"], "").out == rules
    assert clean(["-C"], "").rc == 0
    assert took < 60, f"{took:.1f} s"


def datagrams(count):
    """UDP from that many clients to the service, put on d1: they come in by d0."""
    frames = [
        Ether(dst="02:00:00:00:99:fe", src="02:00:00:00:99:01")
        / IP(src=f"10.9.9.{n + 1}", dst="10.9.9.254")
        / UDP(sport=4000 + n, dport=53)
        / b"x"
        for n in range(count)
    ]
    script = (
        "import socket, sys; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW);"
        " s.bind(('d1', 0)); [s.send(bytes.fromhex(w)) for w in sys.argv[1:]]"
    )
    command = ["nsenter", f"--net=/run/netns/{NETNS}", "/usr/bin/python3", "-c", script]
    subprocess.run([*command, *(bytes(f).hex() for f in frames)], check=True, timeout=20)


def test_json_of_connections(clean):
    ip("-n", NETNS, "link", "set", "d0", "address", "02:00:00:00:99:fe")
    clean(["-A", "-u", "10.9.9.254:53", "-s", "rr", "-p", "300", "-M", "255.255.255.254"], "")
    clean(["-a", "-u", "10.9.9.254:53", "-r", "10.9.9.200:5300", "-m", "-x", "7"], "")
    datagrams(4)
    listed = lambda *words: json.loads(clean(["-L", "--json", *words], "").out)
    conns = listed("-c")
    jsonschema.validate(conns, SCHEMA, jsonschema.Draft7Validator)
    real = [c for c in conns["connections"] if not c["template"]]
    assert sorted(c["client"]["port"] for c in real) == [4000, 4001, 4002, 4003]
    assert all(c["state"] == "UDP" and 0 < c["expires_ms"] <= 300_000 for c in real)
    assert all(c["destination"] == {"address": "10.9.9.200", "port": 5300} for c in real)
    templates = [c["client"]["address"] for c in conns["connections"] if c["template"]]
    assert sorted(templates) == ["10.9.9.0", "10.9.9.2", "10.9.9.4"]
    # As many as are listed as text.
    assert len(clean(["-Lnc"], "").out.splitlines()) == 2 + len(conns["connections"]) == 2 + 4 + 3
    document = listed()
    jsonschema.validate(document, SCHEMA, jsonschema.Draft7Validator)
    (service,) = document["services"]
    (server,) = service["destinations"]
    assert service["statistics"]["connections"] == server["statistics"]["connections"] == 4
    assert document["total"]["statistics"]["packets_in"] == 4
    assert (server["inactive_connections"], server["persistent_connections"]) == (4, 3)
    assert server["upper_threshold"] == 7
