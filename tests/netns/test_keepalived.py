# SPDX-License-Identifier: GPL-2.0-only
"""
Debian's keepalived drives two directors: NAT by TCP_CHECK, direct routing by HTTP_GET, tunnels by
MISC_CHECK, each for IPv4 and IPv6. A sample; `make check-keepalived` runs the rest, too.

What requests are lost is judged by when they began, not by how many they are.
"""

import time
from contextlib import ExitStack

import pytest

from cluster import FAMILIES, METHODS, SERVERS, at, vip
from keepalived import CHECK_TIME
from netns import wait_for

# A busy machine is late. What is asserted of time is that things do not take for ever.
SLACK = 5
ALL = [(m, f) for m in METHODS for f in FAMILIES]
# The master is dead to the backup after three advertisements and what its priority lacks of 256.
DEAD = 3 + (256 - 100) / 256


@pytest.fixture(scope="module")
def started(cluster):
    cluster.start(*cluster.services())
    return cluster


@pytest.fixture
def pair(started):
    yield started
    started.well()


def traffic(stack, cluster):
    return {key: stack.enter_context(cluster.requests(*key)) for key in ALL}


def tell(what, clients, since):
    for key, c in clients.items():
        print(f"{what}: {key[0]} IPv{key[1]}: {len(c.lost(since))} of {len(c.done(since))} lost, "
              f"{c.gap(since):.2f} s without an answer")


def assert_all_answered(clients, since):
    for key, c in clients.items():
        wait_for(f"requests at {key}", 20, lambda c=c: len(c.done(since)) > 5)
        assert not c.lost(since), (key, c.lost(since))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_every_vip(pair, method, family):
    """By turns; a check that failed meanwhile on a busy machine began another turn."""
    url = f"http://{at(vip(method, family), 80)}/"
    for _ in range(5):
        pair.wait_servers(pair.d1, set(SERVERS))
        before = pair.d1.keepalived.log()
        answers = [pair.client.curl(url, "-g").strip() for _ in range(6)]
        if set(answers) == set(SERVERS) and answers[:3] == answers[3:]:
            return
        assert pair.d1.keepalived.log() != before, answers
    raise AssertionError(f"checks fail all the time: {answers}")


def test_both_directors_are_ready(pair):
    assert set(pair.d1.table()) == set(pair.d2.table()) == {at(vip(*key), 80) for key in ALL}


def sessions(stack, cluster, names=SERVERS):
    """One connection for each service, to one of these servers."""
    return {key: stack.enter_context(cluster.session(*key, names)) for key in ALL}


def test_stopped_server_goes_and_comes(pair):
    with ExitStack() as stack:
        clients = traffic(stack, pair)
        stay = sessions(stack, pair, ("rs1", "rs3"))
        stopped = time.monotonic()
        pair.nginx["rs2"].stop()
        gone = {}

        def out():
            table = {key: pair.d1.servers(*key) for key in ALL if key not in gone}
            for key, servers in table.items():
                if "rs2" not in servers:
                    gone[key] = time.monotonic()
            return len(gone) == len(ALL)
        wait_for("rs2 to be out", CHECK_TIME * SLACK, out)
        for key, when in gone.items():
            print(f"rs2 out of {key[0]} IPv{key[1]} after {when - stopped:.2f} s, "
                  f"{CHECK_TIME} s by the timers")
        tell("server stopped", clients, stopped)
        # what was lost was asked while the dead server was listed
        after = max(gone.values())
        assert_all_answered(clients, after)
        for key, c in clients.items():
            assert c.servers(after) == {"rs1", "rs3"}, key
        pair.nginx["rs2"].start()
        pair.wait_servers(pair.d1, set(SERVERS), CHECK_TIME * SLACK)
        back = time.monotonic()
        for key, c in clients.items():
            wait_for(f"rs2 to answer at {key}", 20, lambda c=c: "rs2" in c.servers(back))
        assert_all_answered(clients, after)
        for key, s in stay.items():
            assert not s.lost(), (key, s.lost())


def test_master_killed_and_back(pair):
    """
    keepalived killed leaves addresses and tables, so its host serves until the backup has told
    everybody that it is master; connections that stand then are reset, as nobody told it of them.
    """
    pair.wait_servers(pair.d2, set(SERVERS))
    with ExitStack() as stack:
        clients = traffic(stack, pair)
        standing = sessions(stack, pair)
        killed = time.monotonic()
        pair.d1.keepalived.kill()
        wait_for("the VIP at d2", DEAD * SLACK, pair.d2.has_vip)
        moved = time.monotonic()
        # d2 tells it five times at once and five times more a second later
        time.sleep(1.5)
        over = time.monotonic()
        print(f"VIP moved {moved - killed:.2f} s after the kill, {DEAD:.2f} s by VRRP's timers")
        tell("master killed", clients, killed)
        assert_all_answered(clients, over)
        for key, c in clients.items():
            # what was asked before the takeover and answered after it is one at most
            assert all(r.ended > killed for r in c.lost()), key
        for key, s in standing.items():
            wait_for(f"the reset of {key}", 30, lambda s=s: s.lost())
            assert "ConnectionReset" in s.lost()[0].error, (key, s.lost()[0])
            assert s.lost()[0].begun > killed
        at_d2 = [pair.d2.ipvsadm("-Ln", "--stats", "--exact", "-t", at(vip(*key), 80)).stdout
                 for key in ALL]
        assert all(int(out.splitlines()[3].split()[2]) > 0 for out in at_d2), at_d2

        before = len(pair.d1.keepalived.log())
        started = time.monotonic()
        pair.d1.keepalived.start()
        wait_for("d1 to be master again", 60,
                 lambda: pair.d1.has_vip() and not pair.d2.has_vip())
        time.sleep(1.5)
        tell("master back", clients, started)
        assert_all_answered(clients, time.monotonic())
        assert pair.d1.table() and set(pair.d1.table()) == set(pair.d2.table())
        # the tables were left standing, and that is all that there was to say
        complaints = pair.d1.keepalived.complaints(before)
        assert complaints and all("already exists" in line for line in complaints), complaints
    pair.wait_servers(pair.d1, set(SERVERS))
