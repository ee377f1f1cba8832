# SPDX-License-Identifier: GPL-2.0-only
"""
Two directors, three real servers and one that is sorry:

    client --- outside --- d1, d2 --- inside --- rs1, rs2, rs3, sorry
       |                                |
       +--------------------------------+

Of d1 and d2 the one that is VRRP's master has the virtual addresses: NAT's outside with the real
servers' gateway inside, direct routing's and the tunnels' inside, where the client is, too.
"""

import os
import pathlib
import shutil
import signal

import keepalived as ka
import netns
from traffic import Requests, Session
from world import Nginx, World, at, both

FAMILIES = (4, 6)
METHODS = ("nat", "dr", "tun")
SERVERS = ("rs1", "rs2", "rs3")
PREFIX = {"outside": ("192.168.1.", "fd00:1::", 24), "inside": ("192.168.229.", "fd00:229::", 24)}
# host, device, network, last part of its address
WIRES = [
    ("client", "eth0", "outside", "10"),
    ("client", "eth1", "inside", "10"),
    ("d1", "eth0", "outside", "101"),
    ("d1", "eth1", "inside", "101"),
    ("d2", "eth0", "outside", "102"),
    ("d2", "eth1", "inside", "102"),
    ("rs1", "eth0", "inside", "11"),
    ("rs2", "eth0", "inside", "12"),
    ("rs3", "eth0", "inside", "13"),
    ("sorry", "eth0", "inside", "19"),
]
HOSTS = list(dict.fromkeys(w[0] for w in WIRES))
# hook by which each director serves: so both are under every test
HOOK = {"d1": "tc", "d2": "xdp"}
CONNS = "64k"


def address(network, last, family):
    return PREFIX[network][0 if family == 4 else 1] + last


def vip(method, family):
    return {"nat": address("outside", "111", family), "dr": address("inside", "111", family),
            "tun": address("inside", "112", family)}[method]


def gateway(family):
    return address("inside", "133", family)


def rip(name, family):
    return address("inside", next(w[3] for w in WIRES if w[0] == name), family)


class Director:
    """One of the two, with its keepalived."""

    def __init__(self, cluster, name):
        self.name, self.cluster = name, cluster
        self.host = netns.Host(f"{cluster.prefix}-{name}")
        self.keepalived = ka.Keepalived(cluster.binary, cluster.bpvs, self.host, cluster.dir, name)

    def up(self):
        self.host.run(self.cluster.bpvs, "up", "--mode", HOOK[self.name], "--conns", CONNS)

    def ipvsadm(self, *argv, **kwargs):
        return self.host.run(self.cluster.build / "ipvsadm" / "ipvsadm", *argv, **kwargs)

    def table(self):
        """Virtual endpoint -> real endpoint -> (weight, active, inactive), as -Ln tells."""
        services = {}
        for line in self.ipvsadm("-Ln").stdout.splitlines()[3:]:
            words = line.split()
            if words[0] != "->":
                current = services.setdefault(words[1], {})
            else:
                current[words[1]] = tuple(int(w) for w in words[3:6])
        return services

    def servers(self, method, family, port=80):
        """Names of the servers that a service has, each with its weight; None: no such service."""
        listed = self.table().get(at(vip(method, family), port))
        if listed is None:
            return None
        names = {at(rip(n, family), port): n for n in (*SERVERS, "sorry")}
        return {names[r]: weight for r, (weight, _, _) in listed.items()}

    def has_vip(self):
        return f" {vip('nat', 4)}/" in self.host.ip("-o", "-4", "addr")

    def down(self):
        if self.keepalived.process:
            self.keepalived.kill()
        # scripts that it had just started
        for pid in netns.run("ip", "netns", "pids", self.host.name, check=False).stdout.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.host.run(self.cluster.bpvs, "down", check=False)
        self.host.delete()


class Cluster:
    def __init__(self, prefix, build, binary):
        self.prefix, self.build, self.binary = prefix, build, binary
        self.bpvs = build / "bpvs" / "bpvs"
        # not below /tmp: keepalived runs no script that lies where others may write
        self.dir = pathlib.Path("/run") / prefix
        self.hosts = {}
        self.directors = {}
        self.nginx = {}

    # ---- making it ----

    def up(self, directors=("d1", "d2")):
        self.dir.mkdir(mode=0o755)
        self.switch = netns.Host(f"{self.prefix}-switch")
        self.switch.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
                        "net.ipv6.conf.default.disable_ipv6=1")
        World.batch(self.switch, [f"link add {net} up type bridge" for net in PREFIX])
        for name in HOSTS:
            if name in HOOK:
                self.directors[name] = Director(self, name)
                self.hosts[name] = self.directors[name].host
            else:
                self.hosts[name] = netns.Host(f"{self.prefix}-{name}")
        self.client = self.hosts["client"]
        self.d1, self.d2 = self.directors.values()
        World.batch(self.switch, [
            line for host, dev, net, _ in WIRES for line in (
                f"link add {World.plug(host, dev)} type veth peer name {dev} "
                f"netns {self.prefix}-{host}",
                f"link set {World.plug(host, dev)} master {net} up",
            )
        ])
        for host, dev, _, _ in WIRES:
            self.prepare_xdp(host, dev)
        for name in HOSTS:
            self.address_host(name)
        self.write_check()
        for name in (*SERVERS, "sorry"):
            self.real_server(name)
        for host in self.hosts.values():
            host.settle()
        for name in directors:
            self.directors[name].up()

    def prepare_xdp(self, host, dev):
        """As World.prepare_xdp(): packets are finished where they are made, frames cross."""
        off = ("tx", "off", "tso", "off", "gso", "off")
        plug = World.plug(host, dev)
        self.switch.run("ethtool", "-K", plug, *off)
        if HOOK.get(host) == "xdp":
            self.switch.run("ethtool", "-K", plug, "gro", "on")
            self.switch.ip("link", "set", plug, "xdpdrv", "object",
                           self.build / "bpf" / "pass.bpf.o", "section", "xdp")
        else:
            self.hosts[host].run("ethtool", "-K", dev, *off)

    def address_host(self, name):
        host = self.hosts[name]
        lines = []
        if name in HOOK:
            host.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
                     "net.ipv4.conf.all.send_redirects=0",
                     "net.ipv4.conf.default.send_redirects=0")
        for owner, dev, net, last in WIRES:
            if owner == name:
                lines += [f"link set {dev} up",
                          f"addr add {address(net, last, 4)}/24 dev {dev}",
                          f"addr add {address(net, last, 6)}/64 dev {dev} nodad"]
        if name in (*SERVERS, "sorry"):
            lines += both(lambda f: f"route add default via {gateway(f)}")
        World.batch(host, lines)

    def real_server(self, name):
        host = self.hosts[name]
        vips = [w for m in ("dr", "tun") for f in FAMILIES for w in ("--vip", vip(m, f))]
        host.run(self.bpvs, "realserver", "up", "--mode", "tun", *vips)
        self.nginx[name] = Nginx(host, self.dir, name)
        self.nginx[name].start()

    def write_check(self):
        self.check = self.dir / "check"
        self.check.write_text(f'#!/bin/sh\n[ ! -e {self.dir}/"$1".sick ] || exit 1\n'
                              'exec curl -gfsS -m 3 -o /dev/null "http://$2/"\n')
        self.check.chmod(0o755)

    def down(self):
        for name, nginx in self.nginx.items():
            if nginx.pid_file.exists():
                nginx.stop(check=False)
            self.hosts[name].run(self.bpvs, "realserver", "down", check=False)
        for director in self.directors.values():
            director.down()
        for name, host in [*self.hosts.items(), ("switch", getattr(self, "switch", None))]:
            if name not in HOOK and host:
                host.delete()
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- the world that keepalived looks at ----

    def well(self):
        """All servers as they were."""
        for name, nginx in self.nginx.items():
            (self.dir / f"{name}.sick").unlink(missing_ok=True)
            if not nginx.pid_file.exists():
                nginx.start()

    def sick(self, name, sick=True):
        """For HTTP_GET and MISC_CHECK a server can be ill that answers everybody else."""
        mark = self.dir / f"{name}.sick"
        if sick:
            mark.touch()
        else:
            mark.unlink()

    def cable(self, director, state):
        # VRRP's own first, or the master would still say that it goes for want of the other
        for dev in ("eth1", "eth0"):
            self.switch.ip("link", "set", World.plug(director.name, dev), state)

    # ---- configuration ----

    def check_of(self, method, name, family):
        if method == "nat":
            return ka.tcp_check()
        if method == "dr":
            return ka.http_get()
        addr = rip(name, family)
        return ka.misc_check(self.check, name, f"[{addr}]" if family == 6 else addr)

    def service(self, method, family, *lines, sorry=True, weights=None, per_server=(), **options):
        servers = [
            ka.real_server(rip(name, family), self.check_of(method, name, family), *per_server,
                           weight=(weights or {}).get(name, 1))
            for name in SERVERS
        ]
        if sorry:
            lines = (f"sorry_server {rip('sorry', family)} 80", *lines)
        return ka.virtual_server(vip(method, family), method.upper(), servers, *lines, **options)

    def services(self, *lines, **options):
        return [self.service(m, f, *lines, **options) for m in METHODS for f in FAMILIES]

    @staticmethod
    def vrrp(director, *lines):
        """IPv4's addresses are in the advertisements, and IPv6's are where the instance is."""
        master = director.name == "d1"
        first = [f"{vip('nat', 4)}/24 dev eth0", f"{gateway(4)}/24 dev eth1",
                 f"{vip('dr', 4)}/32 dev eth1", f"{vip('tun', 4)}/32 dev eth1"]
        rest = [f"{vip('nat', 6)}/64 dev eth0", f"{gateway(6)}/64 dev eth1",
                f"{vip('dr', 6)}/128 dev eth1", f"{vip('tun', 6)}/128 dev eth1"]
        return ka.block(
            "vrrp_instance lvs", f"state {'MASTER' if master else 'BACKUP'}", "interface eth1",
            "virtual_router_id 51", f"priority {150 if master else 100}", "advert_int 1",
            "garp_master_delay 1", ka.block("track_interface", "eth0", "eth1"),
            ka.block("virtual_ipaddress", *first), ka.block("virtual_ipaddress_excluded", *rest),
            *lines)

    def alone(self):
        """d1 has the addresses for good, so that its keepalived can do without VRRP; as there IPv6's
        are deprecated, or checks would come from an address that the real servers have, too."""
        each = [(vip("nat", f), "eth0", f) for f in FAMILIES] + \
            [(a, "eth1", f) for f in FAMILIES for a in (gateway(f), vip("dr", f), vip("tun", f))]
        World.batch(self.d1.host, [f"addr add {a} dev {dev}" + " preferred_lft 0" * (f == 6)
                                   for a, dev, f in each])
        self.forget()

    def forget(self):
        """Who had an address before, and told nobody that it was gone."""
        for host in self.hosts.values():
            host.ip("neigh", "flush", "all")

    def start_alone(self, *services, globals_=(), names=SERVERS, methods=METHODS):
        self.d1.keepalived.start(ka.global_defs(*globals_), *services, options=("-C",))
        self.wait_servers(self.d1, set(names), methods=methods)

    def start(self, *services, globals_=(), vrrp=()):
        for director in self.directors.values():
            director.keepalived.start(ka.global_defs(*globals_), self.vrrp(director, *vrrp),
                                      *services)
        netns.wait_for("d1 to be master", 30, lambda: self.d1.has_vip() and not self.d2.has_vip())
        for director in self.directors.values():
            self.wait_servers(director, set(SERVERS))

    @staticmethod
    def wait_servers(director, names, seconds=30, methods=METHODS):
        """Wait until each service has these servers, no others."""
        def there():
            table = director.table()
            return all(
                {r.rpartition(":")[0].strip("[]") for r in table.get(at(vip(m, f), 80), {})} ==
                {rip(n, f) for n in names} for m in methods for f in FAMILIES)
        netns.wait_for(f"{sorted(names)} at {director.name}", seconds, there)

    # ---- traffic ----

    def requests(self, method, family, **options):
        return Requests(self.client, family, vip(method, family), **options)

    def session(self, method, family, names=SERVERS, **options):
        """A connection that one of these servers has."""
        seen = []
        for _ in range(40):
            session = Session(self.client, family, vip(method, family), **options)
            netns.wait_for("an answer", 10, lambda s=session: s.requests)
            seen.append(session.requests[0])
            if seen[-1].server in names:
                return session
            session.stop()
        raise AssertionError(f"{method} IPv{family}: none of {names} answers: {seen}")
