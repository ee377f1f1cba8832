# SPDX-License-Identifier: GPL-2.0-only
"""
A director between routers, for what the labs have no wires for:

    client --- home --- a, b --- outer --- director --- inner --- rs1, rs2
                                                          |
                                             c, d --- beyond --- far

Client and director can each go by a or b, the director to `far` by c or d. What real servers say as
the VIP (direct routing, tunnels) passes the director by: router a has a foot in `inner` too.
"""

import socket
import subprocess
import time

import netns

VIP = {4: "192.168.1.111", 6: "fd00:1::111"}
AF = {4: socket.AF_INET, 6: socket.AF_INET6}
FLAG = {"nat": "-m", "dr": "-g", "tun": "-i"}
PREFIX = {
    "home": ("10.1.0.", "fd00:10:1::", 24),
    "outer": ("192.168.1.", "fd00:1::", 24),
    "inner": ("192.168.229.", "fd00:229::", 24),
    "beyond": ("10.3.0.", "fd00:10:3::", 24),
}
# host, device, network, last part of its address; * = without the network's route
WIRES = [
    ("client", "eth0", "home", "10"),
    ("a", "eth0", "home", "1"),
    ("b", "eth0", "home", "2"),
    ("a", "eth1", "outer", "1"),
    ("b", "eth1", "outer", "2"),
    ("director", "eth0", "outer", "111"),
    ("director", "eth1", "inner", "133"),
    ("a", "eth2", "inner", "251*"),
    ("rs1", "eth0", "inner", "132"),
    ("rs2", "eth0", "inner", "134"),
    ("c", "eth0", "inner", "201"),
    ("d", "eth0", "inner", "202"),
    ("c", "eth1", "beyond", "201"),
    ("d", "eth1", "beyond", "202"),
    ("far", "eth0", "beyond", "3"),
]
HOSTS = list(dict.fromkeys(w[0] for w in WIRES))
ROUTERS = ("a", "b", "c", "d", "director")
DEFAULTS = {
    "client": ("home", "1"), "director": ("outer", "1"), "rs1": ("inner", "133"),
    "rs2": ("inner", "133"), "c": ("inner", "133"), "d": ("inner", "133"), "far": ("beyond", "201"),
}
# by which way answers from the VIP leave
AROUND = {"rs1": ("inner", "251"), "rs2": ("inner", "251"), "c": ("inner", "251"),
          "d": ("inner", "251"), "far": ("beyond", "201")}


def address(network, last, family):
    return PREFIX[network][0 if family == 4 else 1] + last


def at(addr, port):
    """As ipvsadm and URLs write it."""
    return f"[{addr}]:{port}" if ":" in addr else f"{addr}:{port}"


def both(words):
    """ip's commands for IPv4 and IPv6: words(family) says each."""
    return [words(f) for f in (4, 6)]


NGINX = """
user root; worker_processes 1; pid {dir}/{name}.pid; error_log {dir}/{name}.log;
events {{ worker_connections 512; }}
http {{
  access_log off; default_type text/plain; client_max_body_size 64m;
  client_body_temp_path {dir}/{name}.body; proxy_temp_path {dir}/{name}.proxy;
  fastcgi_temp_path {dir}/{name}.fcgi; uwsgi_temp_path {dir}/{name}.uwsgi;
  scgi_temp_path {dir}/{name}.scgi;
  keepalive_requests 1000000; keepalive_timeout 600;
  server {{
    listen 80; listen [::]:80 ipv6only=on; root {dir};
    location = / {{ return 200 "{name}\\n"; }}
    location = /health {{
      if (-e {dir}/{name}.sick) {{ return 503; }}
      return 200 "well\\n";
    }}
  }}
}}
"""


class Nginx:
    """A web server that answers with its name; /health fails while the file NAME.sick is there."""

    def __init__(self, host, directory, name):
        self.host = host
        self.words = ("nginx", "-c", directory / f"{name}.conf", "-p", directory,
                      "-e", directory / f"{name}.log")
        self.pid_file = directory / f"{name}.pid"
        self.words[2].write_text(NGINX.format(dir=directory, name=name))

    def start(self):
        self.host.run(*self.words)

    def stop(self, **kwargs):
        self.host.run(*self.words, "-s", "stop", **kwargs)
        # until then its ports are taken
        netns.wait_for("nginx to end", 10, lambda: not self.pid_file.exists())


class World:
    def __init__(self, prefix, mode, build, directory):
        self.mode = mode
        self.build = build
        self.dir = directory
        self.bpvs = build / "bpvs" / "bpvs"
        self.prefix = prefix
        self.vip = VIP
        self.port = 10000
        self.nginx = {}

    # ---- making it ----

    def up(self):
        self.switch = netns.Host(f"{self.prefix}-switch")
        self.switch.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
                        "net.ipv6.conf.default.disable_ipv6=1")
        self.batch(self.switch, [f"link add {net} up type bridge" for net in PREFIX])
        for name in HOSTS:
            setattr(self, name, netns.Host(f"{self.prefix}-{name}"))
        self.batch(self.switch, [
            line for host, dev, net, _ in WIRES for line in (
                f"link add {self.plug(host, dev)} type veth peer name {dev} "
                f"netns {self.prefix}-{host}",
                f"link set {self.plug(host, dev)} master {net} up",
            )
        ])
        if self.mode == "xdp":
            self.prepare_xdp()
        for name in HOSTS:
            self.address_host(name)
        self.director.run(self.bpvs, "up", "--mode", self.mode)
        for name in ("rs1", "rs2", "far"):
            self.real_server(name)
        for name in HOSTS:
            getattr(self, name).settle()

    @staticmethod
    def plug(host, dev):
        return f"{host}-{dev[3:]}"

    @staticmethod
    def batch(host, lines):
        # rules are the one thing whose family ip does not see from the address
        for option in ([], ["-6"]):
            these = [ln for ln in lines if ("::" in ln and "rule" in ln) == bool(option)]
            done = subprocess.run(["ip", "-n", host.name, *option, "-b", "-"],
                                  input="\n".join(these), capture_output=True, text=True,
                                  timeout=30)
            assert done.returncode == 0, f"{these}\n{done.stderr}"

    def address_host(self, name):
        lines = []
        for host, dev, net, last in WIRES:
            if host != name:
                continue
            lines.append(f"link set {dev} up")
            own = last.endswith("*")
            last = last.rstrip("*")
            lines.append(f"addr add {address(net, last, 4)}/{32 if own else 24} dev {dev}")
            lines.append(f"addr add {address(net, last, 6)}/{128 if own else 64} dev {dev} nodad")
        if name in DEFAULTS:
            lines += both(lambda f: f"route add default via {address(*DEFAULTS[name], f)}")
        if name in AROUND:
            lines += both(lambda f: f"route add default via {address(*AROUND[name], f)} table 7")
            lines += both(lambda f: f"rule add from {VIP[f]} lookup 7 pref 100")
        if name == "director":
            lines += both(lambda f: f"route add {self.net('beyond', f)} "
                                    f"via {address('inner', '201', f)}")
        if name in ("a", "b"):
            # to the servers by way of the director, as if it were a plain router
            for net in ("inner", "beyond"):
                lines += both(lambda f, net=net: f"route add {self.net(net, f)} via {VIP[f]}")
        host = getattr(self, name)
        if name in ROUTERS:
            host.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
                     "net.ipv4.conf.all.send_redirects=0",
                     "net.ipv4.conf.default.send_redirects=0",
                     "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        self.batch(host, lines)

    @staticmethod
    def net(net, family):
        return address(net, "0", 4) + "/24" if family == 4 else address(net, "", 6) + "/64"

    def prepare_xdp(self):
        """Packets are finished where they are made, and frames from XDP cross (lab/topo.sh)."""
        off = ("tx", "off", "tso", "off", "gso", "off")
        for host, dev, _, _ in WIRES:
            plug = self.plug(host, dev)
            self.switch.run("ethtool", "-K", plug, *off)
            if host == "director":
                self.switch.run("ethtool", "-K", plug, "gro", "on")
                self.switch.ip("link", "set", plug, "xdpdrv", "object",
                               self.build / "bpf" / "pass.bpf.o", "section", "xdp")
            else:
                getattr(self, host).run("ethtool", "-K", dev, *off)

    def real_server(self, name):
        host = getattr(self, name)
        host.run(self.bpvs, "realserver", "up", "--mode", "tun", "--vip", VIP[4], "--vip", VIP[6])
        self.nginx[name] = Nginx(host, self.dir, name)
        self.nginx[name].start()

    def down(self):
        for name in ("rs1", "rs2", "far"):
            if hasattr(self, name):
                host = getattr(self, name)
                if name in self.nginx:
                    self.nginx[name].stop(check=False)
                host.run(self.bpvs, "realserver", "down", check=False)
        if hasattr(self, "director"):
            self.director.run(self.bpvs, "down", check=False)
        for name in [*HOSTS, "switch"]:
            if hasattr(self, name):
                getattr(self, name).delete()

    # ---- using it ----

    def rip(self, name, family):
        net, last = next((w[2], w[3]) for w in WIRES if w[0] == name)
        return address(net, last, family)

    def ipvsadm(self, *argv, **kwargs):
        return self.director.run(self.build / "ipvsadm" / "ipvsadm", *argv, **kwargs)

    def service(self, family, method, servers, *, kind="-t", port=None, rport=None):
        """A new service on a port of its own, so that nothing is known of its servers yet."""
        if port is None:
            self.port += 1
            port = self.port
        vip = at(VIP[family], port)
        self.ipvsadm("-A", kind, vip, "-s", "rr")
        for name in servers:
            to = rport if rport and method == "nat" else port
            self.ipvsadm("-a", kind, vip, "-r", at(self.rip(name, family), to), FLAG[method])
        return port

    def drop(self, family, port, kind="-t"):
        self.ipvsadm("-D", kind, at(VIP[family], port))

    def counters(self):
        """Label -> (kind, value), as `bpvs status -v` tells."""
        out = self.director.run(self.bpvs, "status", "-v").stdout
        lines = [line.split() for line in out.split("packets and events:")[1].splitlines()]
        return {w[1]: (w[0], int(w[2])) for w in lines if len(w) > 2}

    def moved(self, before):
        """What the counters have counted since: label -> number."""
        return {label: n - before[label][1] for label, (kind, n) in self.counters().items()
                if n != before[label][1] and kind != "EVENT"}

    def kinds_moved(self, before):
        now = self.counters()
        return {kind for label, (kind, n) in now.items() if n != before[label][1]} - {"EVENT"}


def ticks(seconds, pace):
    """
    The time passed, every now and then until it is `seconds`. Of what lies between two at most 50
    ms count: if this process or all of the machine stood still, nobody was late meanwhile.
    """
    passed, last = 0.0, time.monotonic()
    while passed < seconds:
        yield passed
        time.sleep(pace)
        now = time.monotonic()
        passed += min(now - last, 0.05)
        last = now


class Stream:
    """UDP datagrams at a steady pace from the client; each says when it was sent."""

    PACE = 0.01

    def __init__(self, host, family, addr, port):
        self.sock = host.socket(AF[family], socket.SOCK_DGRAM)
        self.sock.connect((addr, port))

    def until(self, arrived, seconds):
        """Send until arrived() says so; the time it took, or None."""
        for passed in ticks(seconds, self.PACE):
            try:
                self.sock.send(b"x" * 32)
            except ConnectionRefusedError:
                pass
            if arrived():
                return passed
        return None

    def close(self):
        self.sock.close()


def drain(sock):
    """Read what is there; how many datagrams."""
    n = 0
    sock.setblocking(False)
    try:
        while True:
            sock.recv(65535)
            n += 1
    except BlockingIOError:
        return n
