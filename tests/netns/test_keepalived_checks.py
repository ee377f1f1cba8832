# SPDX-License-Identifier: GPL-2.0-only
"""What keepalived does to the tables for its checks and its configuration, one director alone."""

import time
from contextlib import ExitStack

import pytest

import keepalived as ka
from cluster import FAMILIES, METHODS, SERVERS, at, rip, vip
from netns import wait_for

LATE = 5 * ka.CHECK_TIME
ALL = [(m, f) for m in METHODS for f in FAMILIES]
# Checks that a server can fail which serves.
SICK = [(m, f) for m in ("dr", "tun") for f in FAMILIES]


@pytest.fixture(scope="module")
def standing(cluster):
    cluster.alone()
    return cluster


@pytest.fixture
def lone(standing):
    """At the end keepalived ends in good order, and leaves nothing behind."""
    yield standing
    keepalived = standing.d1.keepalived
    try:
        keepalived.stop()
        assert standing.d1.table() == {}
        assert standing.d1.ipvsadm("-L", "--timeout").stdout.endswith("900 120 300\n")
    finally:
        standing.d1.ipvsadm("-C")
        # a server that comes again remembers connections, and thresholds count them
        standing.d1.host.run(standing.bpvs, "flush")
        standing.well()


def keyed(cluster, keys, *lines, **options):
    return [cluster.service(m, f, *lines, **options) for m, f in keys]


def wait_weights(director, keys, weights, seconds=LATE):
    wait_for(f"{weights} at {director.name}", seconds,
             lambda: all(director.servers(*key) == weights for key in keys))


def test_sick_server_is_out_and_its_connections_wait(lone):
    """As with IPVS: their packets are dropped while it is out, and they go on when it is back."""
    lone.start_alone(*keyed(lone, SICK), methods=("dr", "tun"))
    with ExitStack() as stack:
        clients = {key: stack.enter_context(lone.requests(*key)) for key in SICK}
        held = {key: stack.enter_context(lone.session(*key, ("rs2",), patience=90)) for key in SICK}
        lone.sick("rs2")
        wait_weights(lone.d1, SICK, {"rs1": 1, "rs3": 1})
        out = time.monotonic()
        time.sleep(1)
        lone.sick("rs2", False)
        wait_weights(lone.d1, SICK, dict.fromkeys(SERVERS, 1))
        back = time.monotonic()
        for key, s in held.items():
            wait_for(f"{key} to go on", 60, lambda s=s: s.requests[-1].begun > back)
            assert not s.lost() and s.servers() == {"rs2"} and s.gap() > 1, key
        for key, c in clients.items():
            wait_for("requests", 20, lambda c=c: len(c.done(out)) > 5)
            # at most the one that was at the sick server when it went
            assert not c.lost(out) and len(c.lost()) <= 1, (key, c.lost())


def test_inhibit_on_failure(lone):
    """Weight 0 in the place of removal: nothing at all is lost of a server that still serves."""
    weights = {"rs1": 1, "rs2": 3, "rs3": 1}
    lone.start_alone(*keyed(lone, SICK, "inhibit_on_failure", weights=weights, sorry=False),
                     methods=("dr", "tun"))
    wait_weights(lone.d1, SICK, weights)
    with ExitStack() as stack:
        clients = {key: stack.enter_context(lone.requests(*key)) for key in SICK}
        held = {key: stack.enter_context(lone.session(*key, ("rs2",))) for key in SICK}
        lone.sick("rs2")
        wait_weights(lone.d1, SICK, {**weights, "rs2": 0})
        out = time.monotonic()
        for key, c in clients.items():
            wait_for("requests", 20, lambda c=c: len(c.done(out)) > 5)
            assert c.servers(out) == {"rs1", "rs3"}, key
        lone.sick("rs2", False)
        wait_weights(lone.d1, SICK, weights)
        back = time.monotonic()
        for key, c in clients.items():
            wait_for(f"rs2 at {key}", 20, lambda c=c: "rs2" in c.servers(back))
            assert not c.lost(), (key, c.lost())
        for key, s in held.items():
            assert len(s.done(out)) > 3 and not s.lost(), (key, s.lost())


def test_sorry_server(lone):
    lone.start_alone(*lone.services())
    with ExitStack() as stack:
        clients = {key: stack.enter_context(lone.requests(*key)) for key in ALL}
        for name in SERVERS:
            lone.nginx[name].stop()
        wait_weights(lone.d1, ALL, {"sorry": 1})
        out = time.monotonic()
        for key, c in clients.items():
            wait_for("requests", 20, lambda c=c: len(c.done(out)) > 5)
            assert c.servers(out) == {"sorry"} and not c.lost(out), (key, c.lost(out))
        lone.nginx["rs1"].start()
        wait_weights(lone.d1, ALL, {"rs1": 1})
        back = time.monotonic()
        for key, c in clients.items():
            wait_for("requests", 20, lambda c=c: len(c.done(back)) > 5)
            assert c.servers(back) == {"rs1"}, key
            # what the sorry server was asked when it went may wait for it
            assert not c.lost(back) and len(c.lost(out)) <= 1, (key, c.lost(out))


def quorum_script(cluster):
    """Notes its arguments, each call a line."""
    notes = cluster.dir / "notes"
    notes.write_text("")
    script = cluster.dir / "quorum"
    script.write_text(f'#!/bin/sh\necho "$@" >>{notes}\n')
    script.chmod(0o755)
    return script, notes


def test_quorum(lone):
    script, notes = quorum_script(lone)
    lines = ("quorum 2", f'quorum_up "{script} up"', f'quorum_down "{script} down"')
    lone.start_alone(lone.service("dr", 4, *lines), lone.service("dr", 6, *lines, sorry=False),
                     methods=("dr",))
    wait_for("quorum_up", 20, lambda: notes.read_text().split() == ["up", "up"])
    lone.sick("rs1")
    wait_weights(lone.d1, [("dr", 4), ("dr", 6)], {"rs2": 1, "rs3": 1})
    assert notes.read_text().split() == ["up", "up"]
    lone.sick("rs2")
    # with a sorry server the one that is left goes, without one it stays
    wait_weights(lone.d1, [("dr", 4)], {"sorry": 1})
    wait_weights(lone.d1, [("dr", 6)], {"rs3": 1})
    wait_for("quorum_down", 20, lambda: notes.read_text().split()[2:] == ["down", "down"])
    lone.sick("rs2", False)
    wait_weights(lone.d1, [("dr", 4), ("dr", 6)], {"rs2": 1, "rs3": 1})
    wait_for("quorum_up", 20, lambda: notes.read_text().split()[4:] == ["up", "up"])


def counters(director, key):
    """Real server -> packets in, of a service."""
    out = director.ipvsadm("-Ln", "--stats", "--exact", "-t", at(vip(*key), 80)).stdout
    names = {at(rip(n, key[1]), 80): n for n in SERVERS}
    lines = [line.split() for line in out.splitlines()]
    return {names[w[1]]: int(w[3]) for w in lines if w[:1] == ["->"] and w[1] in names}


def test_reload_changes_weights_only(lone):
    lone.start_alone(*lone.services(scheduler="wrr"))
    with ExitStack() as stack:
        clients = {key: stack.enter_context(lone.requests(*key)) for key in ALL}
        held = {(key, n): stack.enter_context(lone.session(*key, (n,)))
                for key in ALL for n in SERVERS}
        before = {key: counters(lone.d1, key) for key in ALL}
        weights = {"rs1": 5, "rs2": 0, "rs3": 2}
        lone.d1.keepalived.reload(ka.global_defs(),
                                  *lone.services(scheduler="wrr", weights=weights))
        wait_weights(lone.d1, ALL, weights)
        done = time.monotonic()
        for key, c in clients.items():
            wait_for("requests", 30, lambda c=c: len(c.done(done)) >= 14)
            assert c.servers(done) == {"rs1", "rs3"}, key
            assert not c.lost(), (key, c.lost())
        for (key, name), s in held.items():
            wait_for("requests", 20, lambda s=s: len(s.done(done)) > 3)
            assert not s.lost() and s.servers() == {name}, (key, s.lost())
        for key in ALL:
            now = counters(lone.d1, key)
            assert all(now[n] > before[key][n] for n in SERVERS), (before[key], now)


def test_reload_adds_and_removes(lone):
    """What is in both configurations is not touched, be it a service or a server."""
    lone.start_alone(*keyed(lone, SICK), methods=("dr", "tun"))
    stays = ("dr", 4)
    with lone.requests(*stays) as client, lone.session(*stays, ("rs1",)) as held:
        before = counters(lone.d1, stays)
        fewer = [ka.real_server(rip(n, 4), ka.http_get()) for n in ("rs1", "rs3")]
        lone.d1.keepalived.reload(ka.global_defs(), ka.virtual_server(vip(*stays), "DR", fewer),
                                  lone.service("nat", 6))
        wait_for("the new tables", LATE, lambda: {
            key: lone.d1.servers(*key) for key in ALL if lone.d1.servers(*key) is not None
        } == {stays: {"rs1": 1, "rs3": 1}, ("nat", 6): dict.fromkeys(SERVERS, 1)})
        done = time.monotonic()
        wait_for("requests", 20, lambda: len(client.done(done)) > 5)
        assert not client.lost(done) and len(client.lost()) <= 1
        assert not held.lost() and counters(lone.d1, stays)["rs1"] > before["rs1"]
        assert "rs" in lone.client.curl(f"http://{at(vip('nat', 6), 80)}/", "-g")


@pytest.mark.parametrize("flush", [False, True])
def test_lvs_flush(lone, flush):
    lone.d1.ipvsadm("-A", "-u", "192.168.1.200:53", "-s", "rr")
    lone.start_alone(lone.service("dr", 4), lone.service("dr", 6), methods=("dr",),
                     globals_=("lvs_flush",) if flush else ())
    assert ("192.168.1.200:53" in lone.d1.table()) == (not flush)
    if not flush:
        lone.d1.ipvsadm("-D", "-u", "192.168.1.200:53")


def test_thresholds(lone):
    lone.start_alone(*lone.services(per_server=("uthreshold 2", "lthreshold 1"), sorry=False))
    out = lone.d1.ipvsadm("-Ln", "--thresholds").stdout
    assert len([ln for ln in out.splitlines() if ln.split()[2:4] == ["2", "1"]]) == 3 * len(ALL)
    for key in (("nat", 4), ("tun", 6)):
        with ExitStack() as stack:
            held = [stack.enter_context(lone.session(*key)) for _ in range(6)]
            assert sorted(s.servers().pop() for s in held) == sorted(2 * SERVERS), key
            with pytest.raises(OSError):
                held[0].connect()


def test_lvs_timeouts(lone):
    """Set at the start; `lone` sees that they are put back at the end."""
    lone.start_alone(lone.service("dr", 4), lone.service("dr", 6), methods=("dr",),
                     globals_=("lvs_timeouts tcp 100 tcpfin 50 udp 30",))
    assert lone.d1.ipvsadm("-L", "--timeout").stdout.endswith("100 50 30\n")


OPTIONS = """
virtual_server_group many {
  192.168.1.121 80
  192.168.1.122-123 81
}
virtual_server group many {
  lvs_sched mh
  flag-1
  lvs_method DR
  protocol TCP
  real_server 192.168.229.11 80 { weight 7 }
}
virtual_server 192.168.1.130 53 {
  lvs_sched sh
  lvs_method TUN
  protocol UDP
  ops
  real_server 192.168.229.11 53 { weight 1 }
}
virtual_server 192.168.1.131 80 {
  lvs_sched wlc
  lvs_method NAT
  persistence_timeout 77
  persistence_granularity 255.255.255.0
  protocol TCP
  real_server 192.168.229.11 8080 { weight 65535 }
  real_server 192.168.229.12 8080 {
    lvs_method TUN
    weight 2
  }
}
virtual_server fd00:1::131 80 {
  lvs_sched wlc
  lvs_method NAT
  persistence_timeout 78
  persistence_granularity 64
  protocol TCP
  real_server fd00:229::11 8080 { weight 1 }
}
virtual_server fwmark 9 {
  lvs_sched wrr
  lvs_method DR
  protocol TCP
  real_server 192.168.229.11 0 { weight 4 }
}
virtual_server 192.168.1.132 5060 {
  lvs_sched rr
  lvs_method NAT
  persistence_engine sip
  persistence_timeout 60
  protocol UDP
  real_server 192.168.229.11 5060 { weight 1 }
}
"""
# of a tunnel keepalived makes the port the service's
RULES = """
-A -t 192.168.1.121:80 -s mh -b mh-fallback
-a -t 192.168.1.121:80 -r 192.168.229.11:80 -g -w 7
-A -t 192.168.1.122:81 -s mh -b mh-fallback
-a -t 192.168.1.122:81 -r 192.168.229.11:81 -g -w 7
-A -t 192.168.1.123:81 -s mh -b mh-fallback
-a -t 192.168.1.123:81 -r 192.168.229.11:81 -g -w 7
-A -t 192.168.1.131:80 -s wlc -p 77 -M 255.255.255.0
-a -t 192.168.1.131:80 -r 192.168.229.11:8080 -m -w 65535
-a -t 192.168.1.131:80 -r 192.168.229.12:80 -i -w 2 --tun-type ipip
-A -u 192.168.1.130:53 -s sh -o
-a -u 192.168.1.130:53 -r 192.168.229.11:53 -i -w 1 --tun-type ipip
-A -u 192.168.1.132:5060 -s rr -p 60 --pe sip
-a -u 192.168.1.132:5060 -r 192.168.229.11:5060 -m -w 1
-A -t [fd00:1::131]:80 -s wlc -p 78 -M 64
-a -t [fd00:1::131]:80 -r [fd00:229::11]:8080 -m -w 1
-A -f 9 -s wrr
-a -f 9 -r 192.168.229.11:0 -g -w 4
"""


def test_options_arrive(lone):
    """Every kind of service that keepalived has words for."""
    keepalived = lone.d1.keepalived
    before = len(keepalived.log()) if keepalived.log_file.exists() else 0
    keepalived.start(ka.global_defs(), OPTIONS, options=("-C",))
    keepalived.wait_logged("Startup complete", since=before)
    assert sorted(lone.d1.ipvsadm("-Sn").stdout.split("\n")) == sorted(RULES.split("\n")[1:])
    assert not keepalived.complaints(before)
