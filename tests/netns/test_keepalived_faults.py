# SPDX-License-Identifier: GPL-2.0-only
"""keepalived and its host fail in various ways, under traffic; what is lost and what must not be."""

import os
import signal
import time
from contextlib import ExitStack

import pytest

import keepalived as ka
from cluster import FAMILIES, METHODS, SERVERS, address, at, rip, vip
from netns import PATIENCE, wait_for

LATE = 60
ALL = [(m, f) for m in METHODS for f in FAMILIES]


@pytest.fixture
def own(cluster):
    """The cluster as it was made: no keepalived, no addresses, no rules."""
    yield cluster
    for director in cluster.directors.values():
        cluster.cable(director, "up")
        if director.keepalived.running():
            director.keepalived.stop()
        director.host.run(cluster.bpvs, "down", check=False)
        director.up()
        for dev in ("eth0", "eth1"):
            director.host.ip("addr", "flush", "dev", dev, "scope", "global")
        cluster.address_host(director.name)
    cluster.well()
    cluster.forget()


def traffic(stack, cluster, **options):
    return {key: stack.enter_context(cluster.requests(*key, **options)) for key in ALL}


def tell(what, clients, since):
    lost = {f"{m}{f}": len(c.lost(since)) for (m, f), c in clients.items()}
    gap = max(c.gap(since) for c in clients.values())
    done = sum(len(c.done(since)) for c in clients.values())
    print(f"{what}: of {done} requests lost {lost}, at most {gap:.2f} s without an answer")


def assert_goes_on(clients, since):
    for key, c in clients.items():
        wait_for(f"requests at {key}", 20, lambda c=c: len(c.done(since)) > 5)
        assert not c.lost(since), (key, c.lost(since))


def peers(director):
    mine, other = ("101", "102") if director.name == "d1" else ("102", "101")
    return (f"unicast_src_ip {address('inside', mine, 4)}",
            ka.block("unicast_peer", address("inside", other, 4)))


def test_link_lost(own):
    """
    Both cables of the master are out, VRRP goes by unicast: until the backup has waited for three
    advertisements nobody answers, and afterwards everybody is served.
    """
    for director in own.directors.values():
        director.keepalived.start(ka.global_defs(), own.vrrp(director, *peers(director)),
                                  *own.services())
    wait_for("d1 to be master", LATE, lambda: own.d1.has_vip() and not own.d2.has_vip())
    for director in own.directors.values():
        own.wait_servers(director, set(SERVERS))
    with ExitStack() as stack:
        # who asks while nobody can answer gives up before the backup is there
        clients = traffic(stack, own, patience=2)
        for key, c in clients.items():
            wait_for("requests", 20, lambda c=c: len(c.done()) > 5)
        out = time.monotonic()
        own.cable(own.d1, "down")
        wait_for("the VIP at d2", LATE, own.d2.has_vip)
        moved = time.monotonic()
        time.sleep(1.5)
        over = time.monotonic()
        tell(f"link lost, VIP moved after {moved - out:.2f} s", clients, out - 2)
        assert_goes_on(clients, over)
        for key, c in clients.items():
            # nobody could have answered meanwhile, and whoever asked then waited in vain
            assert c.lost(), key
            assert all(r.ended > out and r.begun < over for r in c.lost()), (key, c.lost())
        assert not own.d1.has_vip()
        plugged = time.monotonic()
        own.cable(own.d1, "up")
        wait_for("d1 to be master", LATE, lambda: own.d1.has_vip() and not own.d2.has_vip())
        # its checks failed while it was alone
        own.wait_servers(own.d1, set(SERVERS), LATE)
        again = time.monotonic()
        tell(f"link back, master again after {again - plugged:.2f} s", clients, plugged)
        assert_goes_on(clients, again)


def test_sessions_survive_failover_where_servers_follow_from_the_address(own):
    """
    Nobody tells the backup of connections. With sloppy_tcp it takes them up in the middle, and mh
    chooses the server that the master chose: they go on, in all three methods.
    """
    own.start(*own.services(scheduler="mh"))
    for director in own.directors.values():
        director.host.run(own.bpvs, "sysctl", "sloppy_tcp=1")
    with ExitStack() as stack:
        held = {(key, n): stack.enter_context(own.session(*key, patience=30))
                for key in ALL for n in range(2)}
        killed = time.monotonic()
        own.d1.keepalived.kill()
        wait_for("the VIP at d2", LATE, own.d2.has_vip)
        time.sleep(1.5)
        over = time.monotonic()
        for (key, _), s in held.items():
            wait_for(f"{key} to go on", 40, lambda s=s: len(s.done(over)) > 5)
            assert not s.lost() and len(s.servers()) == 1, (key, s.lost())
        gap = max(s.gap(killed) for s in held.values())
        print(f"sloppy_tcp and mh: none of {len(held)} sessions lost, {gap:.2f} s at most to wait")
        assert all(servers for servers in (own.d2.servers(*key) for key in ALL))


def test_master_stopped_in_order(own):
    """It says so, and the backup does not wait."""
    own.start(*own.services())
    with ExitStack() as stack:
        clients = traffic(stack, own)
        for key, c in clients.items():
            wait_for("requests", 20, lambda c=c: len(c.done()) > 5)
        stopped = time.monotonic()
        own.d1.keepalived.stop()
        wait_for("the VIP at d2", LATE, own.d2.has_vip)
        moved = time.monotonic()
        time.sleep(1.5)
        tell(f"master stopped, VIP moved after {moved - stopped:.2f} s", clients, stopped - 2)
        assert_goes_on(clients, time.monotonic())
        assert own.d1.table() == {} and not own.d1.has_vip()


def test_checker_killed(own):
    """The child that drives the tables is replaced, and finds them as they are: nothing is lost."""
    own.alone()
    own.start_alone(*own.services())
    keepalived = own.d1.keepalived
    with ExitStack() as stack:
        clients = traffic(stack, own)
        held = {key: stack.enter_context(own.session(*key)) for key in ALL}
        before, old = len(keepalived.log()), keepalived.checker()
        os.kill(old, signal.SIGKILL)
        wait_for("another checker", LATE, lambda: keepalived.children() not in ([], [old]))
        keepalived.wait_logged("Startup complete|Respawning|Starting Healthcheck", LATE, before)
        wait_for("its answer", LATE, lambda: keepalived.logged("already exists", before))
        time.sleep(3)
        own.wait_servers(own.d1, set(SERVERS))
        # it is the new one who does the work
        own.nginx["rs2"].stop()
        own.wait_servers(own.d1, {"rs1", "rs3"}, LATE)
        out = time.monotonic()
        assert_goes_on(clients, out)
        for key, c in clients.items():
            assert all("Refused" in r.error or "Reset" in r.error for r in c.lost()), c.lost()
        for key, s in held.items():
            assert s.servers() == {"rs2"} or not s.lost(), (key, s.lost())


def packets(director, key):
    out = director.ipvsadm("-Ln", "--stats", "--exact", "-t", at(vip(*key), 80)).stdout
    return next(int(line.split()[3]) for line in out.splitlines() if line.startswith("TCP"))


def test_killed_and_started_under_traffic(own):
    """
    Without VRRP, which would take the addresses away: not one request may be lost, and services
    are the same ones as before, so their counters go on.
    """
    own.alone()
    own.start_alone(*own.services())
    with ExitStack() as stack:
        clients = traffic(stack, own)
        held = {key: stack.enter_context(own.session(*key)) for key in ALL}
        time.sleep(1)
        for _ in range(3):
            begun = time.monotonic()
            before = {key: packets(own.d1, key) for key in ALL}
            own.d1.keepalived.kill()
            own.start_alone(*own.services())
            assert all(packets(own.d1, key) >= before[key] > 0 for key in ALL), before
            time.sleep(1)
            assert_goes_on(clients, begun)
        for key, s in held.items():
            assert len(s.servers()) == 1 and not s.lost(), (key, s.lost())


MANY = 60


def many_services():
    """More than is done in the moment that it takes to kill."""
    servers = [ka.block(f"real_server {address('inside', str(20 + n), 4)} 80", "weight 1")
               for n in range(20)]
    return [ka.virtual_server(vip("dr", 4), "DR", servers, port=port)
            for port in range(1000, 1000 + MANY)]


def test_killed_at_any_instant(own):
    """Whatever it was doing: the tables can be read and written, and what is started next ends with
    all that it is told to have."""
    services = many_services()
    keepalived = own.d1.keepalived
    partial = 0
    for n in range(12):
        keepalived.start(ka.global_defs(*(["lvs_flush"] if n % 3 == 2 else [])), *services,
                         options=("-C",))
        time.sleep(0.05 + 0.06 * n * min(PATIENCE, 3))
        keepalived.kill()
        listed = own.d1.table()
        partial += 0 < sum(len(servers) for servers in listed.values()) < MANY * 20
        assert all(len(servers) <= 20 for servers in listed.values())
        own.d1.ipvsadm("-A", "-t", "192.168.1.99:9", "-s", "rr")
        own.d1.ipvsadm("-D", "-t", "192.168.1.99:9")
        if n % 4 == 3:
            own.d1.ipvsadm("-C")
    print(f"{partial} of 12 kills left a table half full")
    before = len(keepalived.log())
    keepalived.start(ka.global_defs(), *services, options=("-C",))
    wait_for("the whole table", LATE, lambda: keepalived.logged("Startup complete", before))
    assert sorted(map(len, own.d1.table().values())) == [20] * MANY
    keepalived.stop()
    assert own.d1.table() == {}


def test_sync_daemon_is_refused(own):
    """There is no synchronisation to start; keepalived says so and does the rest."""
    own.start(*own.services(), globals_=("lvs_sync_daemon eth1 lvs id 7",))
    for director in own.directors.values():
        said = director.keepalived.complaints()
        assert any("STARTDAEMON" in line and "Protocol not supported" in line
                   for line in said), director.keepalived.log()
    for key in ALL:
        assert own.client.curl(f"http://{at(vip(*key), 80)}/", "-g").strip() in SERVERS
    before = len(own.d2.keepalived.log())
    own.d1.keepalived.stop()
    wait_for("the VIP at d2", LATE, own.d2.has_vip)
    own.d2.keepalived.wait_logged("Entering MASTER STATE", LATE, before)
    time.sleep(1.5)
    assert own.client.curl(f"http://{at(vip('nat', 6), 80)}/", "-g").strip() in SERVERS


def test_tunnels_of_other_types(own):
    keepalived = own.d1.keepalived
    gue = ka.block(f"real_server {rip('rs1', 4)} 80", "weight 1",
                   "lvs_method TUN type gue port 6080")
    gre = ka.block(f"real_server {rip('rs2', 4)} 80", "weight 1", "lvs_method TUN type gre csum")
    keepalived.start(ka.global_defs(), ka.virtual_server(vip("tun", 4), "TUN", [gue, gre]),
                     options=("-C",))
    wait_for("both", LATE, lambda: own.d1.servers("tun", 4) == {"rs1": 1, "rs2": 1})
    listed = own.d1.ipvsadm("-Ln", "--tun-info").stdout
    assert "gue:6080:-c" in listed and "gre:+c" in listed
    assert keepalived.running()


def test_ipvs_in_another_namespace(own):
    """net_namespace_ipvs: VRRP and checks here, the tables there."""
    own.d1.keepalived.start(f"net_namespace_ipvs {own.d2.host.name}", ka.global_defs(),
                            own.service("nat", 4), own.service("nat", 6), options=("-C",))
    own.wait_servers(own.d2, set(SERVERS), LATE, methods=("nat",))
    assert own.d1.table() == {}
    own.nginx["rs3"].stop()
    own.wait_servers(own.d2, {"rs1", "rs2"}, LATE, methods=("nat",))
    own.d1.keepalived.stop()
    assert own.d2.table() == {}


def test_keepalived_brings_the_engine_up(own):
    """As the module is autoloaded: no `bpvs up` before."""
    own.d1.host.run(own.bpvs, "down")
    assert own.d1.host.run(own.bpvs, "status", check=False).returncode
    own.alone()
    own.start_alone(own.service("nat", 4), own.service("nat", 6), methods=("nat",))
    for family in FAMILIES:
        assert own.client.curl(f"http://{at(vip('nat', family), 80)}/", "-g").strip() in SERVERS


def test_engine_taken_down_beneath_it(own):
    """What an operator should not do: no harm to keepalived, and a restart sets all right."""
    own.alone()
    own.start_alone(*own.services())
    keepalived = own.d1.keepalived
    own.d1.host.run(own.bpvs, "down")
    own.nginx["rs2"].stop()
    keepalived.wait_logged("Removing service .192.168.229.12", LATE)
    own.nginx["rs2"].start()
    time.sleep(2)
    assert keepalived.running()
    keepalived.stop()
    own.start_alone(*own.services())
    for key in ALL:
        assert own.client.curl(f"http://{at(vip(*key), 80)}/", "-g").strip() in SERVERS


