# SPDX-License-Identifier: GPL-2.0-only
"""
bpvs apply, diff and dump over tables in a file. What a file gives is compared with what ipvsadm's
commands give on empty tables; what diff prints is fed to ipvsadm.
"""

import json
import os
import random
import re
import shutil
import subprocess

import jsonschema
import pytest
import yaml
from common import BUILD, ROOT

UNIT = BUILD / "tests" / "unit"
SCHEMA = json.loads((ROOT / "docs" / "bpvs.schema.json").read_text())
SCHEDULERS = "rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos none".split()
METHODS = {"masq": "-m", "tunnel": "-i", "route": "-g"}


class Tables:
    def __init__(self, path):
        self.path = path
        # ipvsadm leaves by exit(): what it still held is no leak. bpvs has to free everything.
        self.env = dict(os.environ, BPVS_STUB=str(path))

    def run(self, tool, *words, stdin="", status=0, cwd=None, **env):
        done = subprocess.run([UNIT / f"{tool}-stub", *words], input=stdin, capture_output=True,
                              text=True, timeout=60, check=False, env=dict(self.env, **env), cwd=cwd)
        assert status is None or done.returncode == status, done
        return done

    def ipvsadm(self, *words, **kwargs):
        return self.run("ipvsadm", *words, ASAN_OPTIONS="detect_leaks=0", **kwargs).stdout

    def bpvs(self, *words, **kwargs):
        return self.run("bpvs", *words, **kwargs)

    def apply(self, text, *words, status=0):
        return self.bpvs("apply", "-f", "-", *words, stdin=text, status=status)

    def diff(self, text, *words, status=1):
        return self.bpvs("diff", "-f", "-", *words, stdin=text, status=status).stdout

    def listing(self):
        """Everything that is configured, in no particular order of services."""
        services = json.loads(self.ipvsadm("-L", "--json"))["services"]
        for service in services:
            for thing in [service, *service["destinations"]]:
                del thing["statistics"], thing["rates"]
        return sorted(services, key=json.dumps)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.path.unlink(missing_ok=True)


@pytest.fixture
def tables(tmp_path):
    with Tables(tmp_path / "tables") as made:
        yield made


@pytest.fixture
def fresh(tmp_path):
    with Tables(tmp_path / "fresh") as made:
        yield made


WEB = """\
services:
- protocol: tcp
  address: 10.0.0.1
  port: 80
  destinations:
  - {address: 10.1.0.1, weight: 2}
  - {address: 10.1.0.2, forwarding: masq, port: 8080}
"""


# ---- what can be said ----


@pytest.mark.parametrize("service, commands", [
    ("{protocol: tcp, address: 10.0.0.1, port: 80}", "-A -t 10.0.0.1:80"),
    ("{protocol: UDP, address: 10.0.0.1, port: 53, one_packet: true, scheduler: rr}",
     "-A -u 10.0.0.1:53 -o -s rr"),
    ("{protocol: sctp, address: '2001:db8::1', port: 99, family: inet6}",
     "-A --sctp-service [2001:db8::1]:99"),
    ("{fwmark: 7}", "-A -f 7"),
    ("{fwmark: 4294967295, family: inet6, one_packet: true}", "-A -f 4294967295 -6 -o"),
    ("{protocol: tcp, address: 10.0.0.1, persistence: {}}", "-A -t 10.0.0.1:0 -p"),
    ("{protocol: tcp, address: 10.0.0.1, port: 0, persistence: "
     "{timeout: 20, netmask: 255.255.255.0, engine: sip}}",
     "-A -t 10.0.0.1:0 -p 20 -M 255.255.255.0 --pe sip"),
    ("{protocol: tcp, address: '::1', port: 80, persistence: {prefix_length: 64}}",
     "-A -t [::1]:80 -p -M 64"),
    ("{fwmark: 1, scheduler: sh, scheduler_flags: [sh-port, sh-fallback, flag-3]}",
     "-A -f 1 -s sh -b sh-port,sh-fallback,flag-3"),
    ("{fwmark: 1, scheduler: mh, scheduler_flags: [mh-port]}", "-A -f 1 -s mh -b mh-port"),
    ("{fwmark: 1, scheduler: rr, scheduler_flags: [flag-1, flag-2]}",
     "-A -f 1 -s rr -b flag-1,flag-2"),
    ("{protocol: tcp, address: 10.0.0.1, port: 80, destinations: [{address: 10.1.0.1}]}",
     "-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 10.1.0.1"),
    ("{protocol: tcp, address: 10.0.0.1, port: 80, destinations: [{address: 10.1.0.1, port: 81, "
     "forwarding: Masq, weight: 0, upper_threshold: 9, lower_threshold: 3, family: inet}]}",
     "-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 10.1.0.1:81 -m -w 0 -x 9 -y 3"),
    ("{protocol: tcp, address: 10.0.0.1, port: 80, destinations: [{address: 'fd00::1', "
     "forwarding: tunnel, tunnel: {type: ipip}, weight: 2147483647}]}",
     "-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r [fd00::1]:80 -i -w 2147483647"),
    ("{fwmark: 5, destinations: [{address: 10.1.0.1, forwarding: tunnel, tunnel: "
     "{checksum: remote, port: 6080, type: gue}}, {address: 10.1.0.2, forwarding: tunnel, "
     "tunnel: {type: gue, port: 65535}}, {address: 10.1.0.3, forwarding: tunnel, tunnel: "
     "{type: gre, checksum: full}}, {address: 10.1.0.4, forwarding: tunnel, tunnel: {}}]}",
     "-A -f 5\n-a -f 5 -r 10.1.0.1 -i --tun-type gue --tun-port 6080 --tun-remcsum\n"
     "-a -f 5 -r 10.1.0.2 -i --tun-type gue --tun-port 65535\n"
     "-a -f 5 -r 10.1.0.3 -i --tun-type gre --tun-csum\n-a -f 5 -r 10.1.0.4 -i"),
    ("{fwmark: 5, destinations: [{address: 10.1.0.1, port: 8080, forwarding: route}]}",
     "-A -f 5\n-a -f 5 -r 10.1.0.1:8080 -g"),
], ids=lambda v: v if v.startswith("-A") else "")
def test_says_what_ipvsadm_says(tables, fresh, service, commands):
    text = f"services:\n- {service}\n"
    tables.apply(text)
    fresh.ipvsadm("-R", stdin=commands + "\n")
    assert tables.listing() == fresh.listing() != []
    assert tables.ipvsadm("-Sn") == fresh.ipvsadm("-Sn")
    jsonschema.validate(yaml.safe_load(text), SCHEMA["$defs"]["config"] | SCHEMA)


def test_nothing_said_is_nothing_done(tables):
    tables.apply(WEB)
    before = tables.listing()
    tables.apply("timeouts: {udp: 7}\nsysctls: {sloppy_tcp: 1}\n")
    assert tables.listing() == before
    assert tables.ipvsadm("-L", "--timeout") == "Timeout (tcp tcpfin udp): 900 120 7\n"
    assert "sloppy_tcp: \"1\"" in tables.bpvs("dump", "--sysctls").stdout
    tables.apply("services: []")
    assert tables.listing() == []


def test_keep(tables):
    tables.apply(WEB)
    other = WEB.replace("port: 80\n", "port: 81\n")
    assert "-D" not in tables.diff(other, "--keep")
    tables.apply(other, "--keep")
    assert len(tables.listing()) == 2
    tables.apply(other)
    assert [s["port"] for s in tables.listing()] == [81]


def test_anchors(tables):
    tables.apply("""\
services:
- {protocol: tcp, address: 10.0.0.1, port: 80, destinations: &farm [{address: 10.1.0.1}]}
- {protocol: tcp, address: 10.0.0.1, port: 81, destinations: *farm}
""")
    assert [len(s["destinations"]) for s in tables.listing()] == [1, 1]


def test_order_of_the_file_is_that_of_adding(tables):
    tables.apply("services:\n" + "".join(
        f"- {{fwmark: {n}, destinations: [{{address: 10.0.0.9}}, {{address: 10.0.0.{n}}}]}}\n"
        for n in (3, 1, 2)))
    marks = re.findall(r"FWM +(\d)", tables.ipvsadm("-Ln", "--nosort"))
    assert marks == ["3", "1", "2"]
    text = tables.bpvs("dump").stdout
    assert [d["address"] for d in yaml.safe_load(text)["services"][0]["destinations"]] == [
        "10.0.0.9", "10.0.0.3"]


# ---- the difference ----


def test_diff_says_what_and_what_was(tables):
    tables.apply(WEB)
    tables.diff(WEB, status=0)
    now = """\
timeouts: {tcp: 600}
services:
- protocol: tcp
  address: 10.0.0.1
  port: 80
  scheduler: sh
  scheduler_flags: [sh-port]
  destinations:
  - {address: 10.1.0.1, weight: 1}
  - {address: 10.1.0.3, upper_threshold: 5}
- {fwmark: 9}
"""
    assert tables.diff(now) == """\
~ ipvsadm --set 600 120 300  # was 900 120 300
+ ipvsadm -a -t 10.0.0.1:80 -r 10.1.0.3:80 -g -w 1 -x 5
~ ipvsadm -E -t 10.0.0.1:80 -s sh -b sh-port  # was -s wlc
~ ipvsadm -e -t 10.0.0.1:80 -r 10.1.0.1:80 -g -w 1  # was -g -w 2
- ipvsadm -d -t 10.0.0.1:80 -r 10.1.0.2:8080
+ ipvsadm -A -f 9 -s wlc
"""
    before = tables.listing()
    document = json.loads(tables.diff(now, "--json"))
    assert tables.listing() == before
    check("changes", document)
    assert [(c["action"], c["what"]) for c in document["changes"]] == [
        ("edit", "timeouts"), ("add", "destination"), ("edit", "service"),
        ("edit", "destination"), ("remove", "destination"), ("add", "service")]
    assert document["changes"][3]["before"]["weight"] == 2
    assert document["changes"][3]["after"]["weight"] == 1
    said = tables.apply(now, "-v").stdout
    assert "\n+ ipvsadm -A -f 9 -s wlc\n" in said
    assert tables.diff(now, status=0) == ""
    assert json.loads(tables.diff(now, "--json", status=0)) == {"changes": []}


def check(name, document):
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA | {"$ref": f"#/$defs/{name}"})


def test_diff_says_how_a_tunnel_wraps(tables):
    text = "services:\n- fwmark: 1\n  destinations:\n  - {address: 10.1.0.1, forwarding: tunnel%s}\n"
    steps = [
        ("", "-i -w 1"),
        (", tunnel: {type: gue, port: 6080}", "-i -w 1 --tun-type gue --tun-port 6080"),
        (", tunnel: {type: gue, port: 6081}", "-i -w 1 --tun-type gue --tun-port 6081"),
        (", tunnel: {type: gue, port: 6081, checksum: remote}",
         "-i -w 1 --tun-type gue --tun-port 6081 --tun-remcsum"),
        (", tunnel: {type: gre, checksum: full}", "-i -w 1 --tun-type gre --tun-csum"),
        (", tunnel: {type: gre, checksum: none}", "-i -w 1 --tun-type gre"),
    ]
    tables.apply(text % steps[0][0])
    for (_, was), (now, words) in zip(steps, steps[1:]):
        assert tables.diff(text % now) == (
            f"~ ipvsadm -e -f 1 -r 10.1.0.1:0 {words}  # was {was}\n")
        tables.apply(text % now)
    # An edit of something else leaves it, and says it on both sides.
    full = text % ", weight: 9, tunnel: {type: gre, checksum: full}"
    tables.apply(full)
    document = json.loads(tables.diff(full.replace("weight: 9", "weight: 8"), "--json"))
    check("changes", document)
    wrapping = {"type": "gre", "checksum": "full"}
    assert [document["changes"][0][k]["tunnel"] for k in ("before", "after")] == [wrapping] * 2


def test_the_automatic_modes_of_a_defence_are_one(tables):
    tables.apply("sysctls: {drop_entry: 1}")
    tables.diff("sysctls: {drop_entry: 2}", status=0)
    tables.diff("sysctls: {drop_entry: 3}")
    tables.diff("sysctls: {drop_entry: 0x1, sync_threshold: '3 50', am_droprate: 012}", status=0)


def test_full_list_is_replaced_within_its_bounds(tables):
    """A service has room for no more than it has: old and new ones change places one by one."""
    dests = lambda first: "".join(
        f"  - address: 10.{first}.{n // 250}.{n % 250 + 1}\n" for n in range(1024))
    head = "services:\n- protocol: tcp\n  address: 10.0.0.1\n  port: 80\n  destinations:\n"
    tables.apply(head + dests(1))
    stay = dests(1).splitlines(True)[:24]
    steps = tables.diff(head + "".join(stay) + "".join(dests(2).splitlines(True)[:1000]))
    length = least = 1024
    for step in steps.splitlines():
        length += {"+": 1, "-": -1}[step[0]]
        least = min(least, length)
        assert length <= 1024
    assert least == 1023
    tables.apply(head + "".join(stay) + "".join(dests(2).splitlines(True)[:1000]))
    assert len(tables.listing()[0]["destinations"]) == 1024


def test_no_room_undoes_everything(tables):
    """4,095 services fit into these tables."""
    tunnels = """\
- fwmark: 9
  scheduler: rr
  destinations:
  - {address: 10.1.0.1, forwarding: tunnel, tunnel: {type: gue, port: 6080, checksum: remote}}
  - {address: 10.1.0.2, forwarding: tunnel, tunnel: {type: gre, checksum: full}}
"""
    tables.apply(WEB + tunnels)
    before = tables.listing()
    changed = tunnels.replace("6080", "6081").replace("full", "none")
    many = WEB.replace("weight: 2", "weight: 3") + changed + "".join(
        f"- {{fwmark: {n + 10}}}\n" for n in range(4094))
    done = tables.apply("timeouts: {tcp: 5}\nsysctls: {sloppy_tcp: 1}\n" + many, status=1)
    assert "nothing is changed" in done.stderr and "no room" in done.stderr, done.stderr
    assert tables.listing() == before
    tables.diff("timeouts: {tcp: 900}\nsysctls: {sloppy_tcp: 0}\n", status=0)


# ---- mistakes ----

HEAD = "services:\n- protocol: tcp\n  address: 10.0.0.1\n  port: 80\n"
TUNNEL = HEAD + "  destinations: [{{address: 10.1.0.1, forwarding: tunnel, tunnel: {{{}}}}}]"
MISTAKES = [
    ("", "1:1: nothing there"),
    ("[]", "1:1: expected a mapping (key: value): a list"),
    ("services", "1:1: expected a mapping (key: value): services"),
    ("services: 7", "1:11: expected a list: 7"),
    ("services:", "1:10: expected a list: nothing"),
    ("service: []", "1:1: unknown key: service"),
    ("services: []\nservices: []", "2:1: the same key again: services"),
    ("? [a]\n: b", "1:3: unknown key: a list"),
    ("services: []\n--- {}", "2:5: a second document"),
    ("services: [", "2:1: did not find expected node content while parsing a flow node"),
    ("services: !x []", "1:11: tags are not known here"),
    ("services: !!seq []", "1:11: tags are not known here"),
    ("services: ! []", "1:11: tags are not known here"),
    ("!!map {services: []}", "1:1: tags are not known here"),
    ("!!str services: []", "1:1: tags are not known here"),
    ("services:\n- !!map {fwmark: 1}", "2:3: tags are not known here"),
    ("services:\n- !!str {fwmark: 1}", "2:3: tags are not known here"),
    ("services:\n- {fwmark: 1, family: !!str inet}", "2:23: tags are not known here"),
    ("services:\n- {fwmark: &a !!str 1}", "2:12: tags are not known here"),
    ("services:\n- {fwmark: !<tag:yaml.org,2002:str> 1}", "2:12: tags are not known here"),
    (HEAD.replace("80", "!!str 80"), "4:9: tags are not known here"),
    (HEAD.replace("80", "!!int 80"), "4:9: tags are not known here"),
    ("services: []\n\tx: 1", "2:1: found character that cannot start any token"),
    ("services: *a", "1:11: found undefined alias"),
    ("\x80", "1:1: control characters are not allowed"),
    ("services: []\n\n# ä€😀 \x07", "3:7: control characters are not allowed"),
    ("# one\r# two\r\n# three\n#\x01", "4:2: control characters are not allowed"),
    ("# x\u2028# \x01", "2:3: control characters are not allowed"),
    ("\ufeffservices: \x01", "1:11: control characters are not allowed"),
    (WEB + "# " + "long " * 20000 + "\n" * 3 + "\x01", "11:1: control characters are not allowed"),
    ("services:\n- fwmark: 1\n- 5", "3:3: expected a mapping (key: value): 5"),
    ("services:\n- {}", "2:3: a service needs protocol and address, or fwmark"),
    ("services:\n- address: 10.0.0.1", "2:3: a service needs protocol and address, or fwmark"),
    ("services:\n- fwmark: 0", "2:11: expected a number from 1 to 4294967295: 0"),
    ("services:\n- fwmark: 4294967296", "2:11: expected a number from 1 to 4294967295"),
    ("services:\n- {fwmark: 1, port: 80}", "2:21: a service by fwmark has no protocol, address "
     "or port: 80"),
    ("services:\n- {fwmark: 1, family: ipv6}", "2:23: expected inet or inet6: ipv6"),
    ("services:\n- fwmark: 1\n- fwmark: 1", "3:3: there is a service -f 1 already, in line 2"),
    (HEAD + "- {protocol: TCP, address: 10.0.0.1, port: 80}",
     "5:3: there is a service -t 10.0.0.1:80 already, in line 2"),
    (HEAD.replace("tcp", "icmp"), "2:13: expected tcp, udp or sctp: icmp"),
    (HEAD.replace("10.0.0.1", "localhost"), "3:12: expected an IPv4 or IPv6 address: localhost"),
    (HEAD.replace("10.0.0.1", "10.0.0.256"), "3:12: expected an IPv4 or IPv6 address"),
    (HEAD.replace("10.0.0.1", "10.0.0.1:80"), "3:12: expected an IPv4 or IPv6 address"),
    (HEAD + "  family: inet6", "5:11: the address is of the other family: inet6"),
    (HEAD.replace("80", "65536"), "4:9: expected a number from 0 to 65535: 65536"),
    (HEAD.replace("80", "'80'"), "4:9: expected a number from 0 to 65535: 80"),
    (HEAD.replace("80", "080"), "4:9: expected a number from 0 to 65535: 080"),
    (HEAD.replace("80", "0x50"), "4:9: expected a number from 0 to 65535: 0x50"),
    (HEAD.replace("80", "-1"), "4:9: expected a number from 0 to 65535: -1"),
    (HEAD.replace("80", "8.0"), "4:9: expected a number from 0 to 65535: 8.0"),
    (HEAD.replace("80", "99999999999999999999999"), "4:9: expected a number"),
    (HEAD.replace("80", "http"), "4:9: expected a number from 0 to 65535: http"),
    (HEAD.replace("80", ""), "expected a number from 0 to 65535: nothing"),
    (HEAD.replace("80", "[80]"), "4:9: expected a number from 0 to 65535: a list"),
    (HEAD.replace("80", "0"), "4:9: a service without port needs persistence"),
    (HEAD.replace("  port: 80\n", ""), "2:3: a service without port needs persistence"),
    (HEAD + "  scheduler: best", "5:14: no such scheduler: best"),
    (HEAD + "  scheduler: [rr]", "5:14: expected a scheduler: a list"),
    (HEAD + "  scheduler_flags: sh-port", "5:20: expected a list: sh-port"),
    (HEAD + "  scheduler_flags: [sh-port]", "5:21: not a flag of this scheduler: sh-port"),
    (HEAD + "  scheduler_flags: [fast]", "5:21: no such scheduler flag: fast"),
    (HEAD + "  persistence: 300", "5:16: expected a mapping (key: value): 300"),
    (HEAD + "  persistence: {timeout: 0}", "5:26: expected a number from 1 to 2678400: 0"),
    (HEAD + "  persistence: {timeout: 2678401}", "5:26: expected a number from 1 to 2678400"),
    (HEAD + "  persistence: {netmask: 24}", "5:26: expected a netmask like 255.255.255.0: 24"),
    (HEAD + "  persistence: {prefix_length: 24}", "5:32: IPv4 has netmask, no prefix_length"),
    (HEAD + "  persistence: {engine: sap}", "5:25: no such persistence engine: sap"),
    ("services:\n- {fwmark: 1, family: inet6, persistence: {netmask: 255.255.255.0}}",
     "2:53: IPv6 has prefix_length, no netmask"),
    ("services:\n- {fwmark: 1, family: inet6, persistence: {prefix_length: 129}}",
     "2:59: expected a number from 1 to 128: 129"),
    (HEAD + "  one_packet: yes", "5:15: expected true or false: yes"),
    (HEAD + "  one_packet: true", "5:15: one_packet is for UDP and fwmark only"),
    (HEAD + "  sheduler: rr", "5:3: unknown key: sheduler"),
    (HEAD + "  port: 80", "5:3: the same key again: port"),
    (HEAD + '  "\\e[31m\\n": 80', "5:3: unknown key: ?[31m?"),
    (HEAD + '  scheduler: "rr\\0"', "5:14: expected a scheduler: rr?"),
    (HEAD + "  destinations: 10.1.0.1", "5:17: expected a list: 10.1.0.1"),
    (HEAD + "  destinations: [10.1.0.1]", "5:18: expected a mapping (key: value): 10.1.0.1"),
    (HEAD + "  destinations: [{weight: 1}]", "5:18: a destination needs an address"),
    (HEAD + "  destinations: [{address: 10.1.0.1:80}]", "5:28: expected an IPv4 or IPv6 address"),
    (HEAD + "  destinations: [{address: 10.1.0.1, port: 81}]",
     "5:44: another port than the service's only with forwarding: masq"),
    (HEAD + "  destinations: [{address: 'fd00::1'}]",
     "5:28: another address family only with forwarding: tunnel: fd00::1"),
    (HEAD + "  destinations: [{address: 10.1.0.1, weight: -1}]",
     "5:46: expected a number from 0 to 2147483647: -1"),
    (HEAD + "  destinations: [{address: 10.1.0.1, weight: 2147483648}]", "5:46: expected a number"),
    (HEAD + "  destinations: [{address: 10.1.0.1, lower_threshold: 5}]",
     "5:55: lower_threshold is above upper_threshold"),
    (HEAD + "  destinations: [{address: 10.1.0.1, forwarding: nat}]",
     "5:50: expected route, tunnel, masq or local: nat"),
    (HEAD + "  destinations: [{address: 10.1.0.1, tunnel: {type: ipip}}]",
     "5:46: only with forwarding: tunnel"),
    (TUNNEL.format("type: vxlan"), "5:73: expected ipip, gue or gre: vxlan"),
    (TUNNEL.format("type: [gue]"), "5:73: expected ipip, gue or gre: a list"),
    (TUNNEL.format("type: gue"), "5:66: a tunnel of type gue needs a port"),
    (TUNNEL.format("type: gue, port: 0"), "5:84: expected a number from 1 to 65535: 0"),
    (TUNNEL.format("type: gue, port: 65536"), "5:84: expected a number from 1 to 65535: 65536"),
    (TUNNEL.format("type: gre, port: 6080"), "5:84: only with type: gue"),
    (TUNNEL.format("port: 6080"), "5:73: only with type: gue"),
    (TUNNEL.format("checksum: none"), "5:77: only with type: gue or gre"),
    (TUNNEL.format("type: gre, checksum: remote"), "5:88: expected none or full: remote"),
    (TUNNEL.format("type: gue, port: 1, checksum: csum"),
     "5:97: expected none, full or remote: csum"),
    (HEAD + "  destinations:\n  - address: 10.1.0.1\n  - {address: 10.1.0.1, port: 80}",
     "7:5: the service has 10.1.0.1:80 already, in line 6"),
    (HEAD + "  destinations: [" + "{address: 10.1.0.1}, " * 1025 + "]",
     "5:17: 1025 destinations; a service takes 1024"),
    (HEAD + "  destinations: [{address: 224.0.0.1}]",
     "5:18: not an address that a destination can have: 224.0.0.1"),
    (HEAD + "  destinations: [{address: 10.1.0.1}, {address: 255.255.255.255}]",
     "5:39: not an address that a destination can have: 255.255.255.255"),
    ("timeouts: 900", "1:11: expected a mapping (key: value): 900"),
    ("timeouts: {tcp: 0}", "1:17: expected a number from 1 to 2678400: 0"),
    ("timeouts: {tcpfin: 2678401}", "1:20: expected a number from 1 to 2678400"),
    ("timeouts: {icmp: 1}", "1:12: unknown key: icmp"),
    ("sysctls: {sloppy: 1}", "1:11: unknown key: sloppy"),
    ("sysctls: {sloppy_tcp: }", "expected a sysctl's value: nothing"),
    ("sysctls: {sloppy_tcp: $(reboot)}", "1:23: expected a sysctl's value: $(reboot)"),
    ("sysctls: {drop_entry: 4}", "1:23: drop_entry does not take this value: Invalid argument"),
    ("sysctls: {sloppy_tcp: 1, sloppy_tcp: 1}", "1:26: the same key again: sloppy_tcp"),
]


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    """Tables that no mistake may change."""
    with Tables(tmp_path_factory.mktemp("settled") / "tables") as made:
        made.apply(WEB)
        made.state = lambda: made.bpvs("dump", "--sysctls").stdout
        made.before = made.state()
        yield made


@pytest.mark.parametrize("text, says", MISTAKES, ids=range(len(MISTAKES)))
def test_mistake(settled, text, says):
    """Place and reason; nothing is applied."""
    for verb, status in (("apply", 1), ("diff", 2)):
        done = settled.bpvs(verb, "-f", "-", stdin=text, status=status)
        assert done.stdout == "" and done.stderr.startswith("<stdin>:"), done
        assert (f"<stdin>:{says}" if says[0].isdigit() else says) in done.stderr, done
    assert settled.state() == settled.before


@pytest.mark.parametrize("text, says", MISTAKES, ids=range(len(MISTAKES)))
def test_mistake_without_an_engine(tables, text, says):
    """None is brought up to say so."""
    for verb, status in (("apply", 1), ("diff", 2)):
        done = tables.bpvs(verb, "-f", "-", stdin=text, status=status)
        assert says in done.stderr and len(done.stderr.splitlines()) == 1, done
    assert not tables.path.exists()


def test_difference_from_nothing(tables):
    """What is there without an engine is what one would begin with."""
    text = "timeouts: {tcp: 5, udp: 300}\nsysctls: {sloppy_tcp: 1, sync_version: 1}\n" + WEB
    for words in ((), ("--keep",)):
        said = tables.diff(text, *words)
    assert said == """\
~ bpvs sysctl sloppy_tcp=1  # was 0
~ ipvsadm --set 5 120 300  # was 900 120 300
+ ipvsadm -A -t 10.0.0.1:80 -s wlc
+ ipvsadm -a -t 10.0.0.1:80 -r 10.1.0.1:80 -g -w 2
+ ipvsadm -a -t 10.0.0.1:80 -r 10.1.0.2:8080 -m -w 1
"""
    check("changes", json.loads(tables.diff(text, "--json")))
    tables.diff("services: []", status=0)
    assert not tables.path.exists()
    assert tables.apply(text, "-v").stdout == said
    tables.diff(text, status=0)


@pytest.mark.parametrize("data, says", [
    (b"services: []\n# \xc3\xa4\xff", "2:4: invalid leading UTF-8 octet"),
    (b"services: []\n# \xe2\x82(", "2:3: invalid trailing UTF-8 octet"),
    (b"services: []\n# \xe2\x82", "2:3: incomplete UTF-8 octet sequence"),
    ("services: []\n# ä😀\ud800".encode("utf-16", "surrogatepass"), "2:5: incomplete UTF-16"),
    ("# ä\r\n\x01".encode("utf-16-be").join([b"\xfe\xff", b""]), "2:1: control characters"),
    (b"\xff\xfes\0e", "1:2: incomplete UTF-16 character"),
])
def test_no_characters(settled, data, says):
    """What is not text is told by its place, too."""
    for verb, status in ("apply", 1), ("diff", 2):
        done = subprocess.run([UNIT / "bpvs-stub", verb, "-f", "-"], input=data, check=False,
                              capture_output=True, timeout=60, env=settled.env)
        assert done.returncode == status and done.stdout == b"", done
        assert done.stderr.decode().startswith(f"<stdin>:{says}"), done
        assert done.stderr.count(b"\n") == 1


def test_all_mistakes_are_told(tables, tmp_path):
    text = "timeouts: {tcp: x}\nsysctls: {nosuch: 1}\n" + HEAD + "  scheduler: best\n- {}\n"
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    done = tables.bpvs("apply", "-f", str(path), status=1)
    places = [line.split(": ")[0] for line in done.stderr.splitlines()]
    assert places == [f"{path}:{at}" for at in ("1:17", "2:11", "7:14", "8:3")]
    # but no flood
    done = tables.apply("services:\n" + "- {}\n" * 100, status=1)
    assert len(done.stderr.splitlines()) == 20


def test_files_that_are_none(tables, tmp_path):
    for path, why in ((tmp_path / "none", "No such file or directory"),
                      (tmp_path, "Is a directory")):
        done = tables.bpvs("apply", "-f", str(path), status=1)
        assert done.stderr == f"{path}: {why}\n"
    for words in ((), ("-f",), ("-f", "x", "y"), ("-f", "x", "--fast")):
        assert tables.bpvs("apply", *words, status=2).stderr
        assert tables.bpvs("diff", *words, status=2).stderr


def test_a_file_once(tables, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(WEB)
    for words in (("-f", "a", "-f", "b"), ("-f", "a", "--keep", "--file=a"), ("--fi", "a", "-fb")):
        for verb in ("apply", "diff"):
            done = tables.bpvs(verb, *words, status=2, cwd=tmp_path)
            assert done.stderr.startswith(f"bpvs {verb}: --file is given twice\n"), done
    assert tables.listing() == []
    tables.bpvs("apply", "-f", "a", "--keep", "--keep", "-v", "-v", cwd=tmp_path)


def test_damaged_files(tables):
    """Cut short and overwritten at random: no harm whatever it says (the sanitizers watch)."""
    rng = random.Random(os.environ.get("BPVS_FUZZ_SEED", "yaml"))
    tables.apply(WEB)
    text = "timeouts: {tcp: 9}\nsysctls: {sloppy_tcp: 1}\n" + random_file(rng)[0]
    for _ in range(int(os.environ.get("BPVS_FUZZ_COUNT", 30))):
        damaged = bytearray(text.encode()[:rng.randrange(len(text))])
        for _ in range(rng.randrange(4)):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.choice(b" \n\t:-[]{}&*!|>'\"%@`\0\x80a0")
        done = subprocess.run([UNIT / "bpvs-stub", "diff", "-f", "-"], input=bytes(damaged),
                              capture_output=True, timeout=60, check=False, env=tables.env)
        assert done.returncode in (0, 1, 2) and b"Sanitizer" not in done.stderr, done


# ---- output that does not arrive ----

DEAF = [">/dev/full", ">&-"]
VERBS = [("dump", 1), ("dump --json", 1), ("diff -f -", 2), ("diff -f - --json", 2),
         ("apply -f - -v", 1), ("apply -f - --json", 1), ("--help", 1)]


@pytest.mark.parametrize("where", DEAF)
@pytest.mark.parametrize("words, status", VERBS)
def test_what_does_not_arrive_is_told(tables, words, status, where):
    """What apply does stays done. Other files that are open get nothing of it."""
    tables.ipvsadm("-A", "-f", "1")
    done = subprocess.run(["sh", "-c", f"exec {UNIT}/bpvs-stub {words} {where}"], input=WEB,
                          capture_output=True, text=True, timeout=60, check=False, env=tables.env)
    assert done.returncode == status, done
    why = "No space left on device" if where == ">/dev/full" else "Bad file descriptor"
    assert done.stderr == f"bpvs {words.split()[0]}: {why}\n"
    assert [s.get("fwmark") for s in tables.listing()] == [None if "apply" in words else 1]


def test_nothing_to_say_needs_no_output(tables):
    for words in ("apply -f -", "diff -f -"):
        subprocess.run(["sh", "-c", f"exec {UNIT}/bpvs-stub {words} >&-"], input=WEB, text=True,
                       timeout=60, check=True, env=tables.env)


# ---- random states ----


def random_tunnel(rng):
    """The same of how it wraps."""
    kind = rng.choice(["", "ipip", "gue", "gre"])
    fields, words = ([f"type: {kind}"], f" --tun-type {kind}") if kind else ([], "")
    if kind == "gue":
        port = rng.choice([6080, 6081])
        fields.append(f"port: {port}")
        words += f" --tun-port {port}"
    if kind in ("gue", "gre"):
        how, option = rng.choice([("", ""), ("none", "--tun-nocsum"), ("full", "--tun-csum"),
                                  ("remote", "--tun-remcsum")][:4 if kind == "gue" else 3])
        fields += [f"checksum: {how}"] if how else []
        words += f" {option}"
    rng.shuffle(fields)
    return ", ".join(fields), words


def random_dest(rng, vip, port):
    """Its YAML, and ipvsadm's words."""
    method = rng.choice(list(METHODS))
    family = rng.choice([4, 6]) if method == "tunnel" else 6 if ":" in vip else 4
    address = f"10.1.0.{rng.randrange(1, 9)}" if family == 4 else f"fd00::{rng.randrange(1, 9)}"
    rport = rng.choice([port, 8080]) if method == "masq" else port
    weight = rng.choice([0, 1, 1, 5, 100])
    upper = rng.choice([0, 0, 50])
    lower = rng.choice([0, upper // 2])
    name = f"[{address}]:{rport}" if family == 6 else f"{address}:{rport}"
    fields = [f"address: '{address}'", f"forwarding: {method}"]
    fields += [f"port: {rport}"] if rport != port or rng.random() < .5 else []
    fields += [f"weight: {weight}"] if weight != 1 or rng.random() < .5 else []
    fields += [f"upper_threshold: {upper}"] if upper else []
    fields += [f"lower_threshold: {lower}"] if lower else []
    tunnel, wrapping = random_tunnel(rng) if method == "tunnel" else ("", "")
    fields += [f"tunnel: {{{tunnel}}}"] if tunnel or (method == "tunnel" and rng.random() < .5) else []
    rng.shuffle(fields)
    words = f"-r {name} {METHODS[method]} -w {weight} -x {upper} -y {lower}{wrapping}"
    return name, "{" + ", ".join(fields) + "}", words


def random_service(rng):
    port = rng.choice([80, 443])
    vip = rng.choice(["10.0.0.1", "10.0.0.2", "2001:db8::1"])
    kind = rng.choice(["tcp", "udp", "sctp", "fwmark"])
    if kind == "fwmark":
        port, mark, six = 0, rng.randrange(1, 4), rng.random() < .5
        vip = "::" if six else "0"
        name = f"-f {mark}" + " -6" * six
        fields = [f"fwmark: {mark}"] + ["family: inet6"] * six
    else:
        name = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}[kind]
        name += f" [{vip}]:{port}" if ":" in vip else f" {vip}:{port}"
        fields = [f"protocol: {kind}", f"address: '{vip}'", f"port: {port}"]
    sched = rng.choice(SCHEDULERS)
    words = f"-A {name} -s {sched}"
    fields.append(f"scheduler: {sched}")
    if rng.random() < .3:
        seconds = rng.choice([60, 360])
        mask = rng.choice(["64", "128"] if ":" in vip else ["255.255.255.255", "255.255.0.0"])
        fields.append(f"persistence: {{timeout: {seconds}, "
                      f"{'prefix_length' if ':' in vip else 'netmask'}: {mask}}}")
        words += f" -p {seconds} -M {mask}"
    if sched in ("sh", "mh") and rng.random() < .5:
        fields.append(f"scheduler_flags: [{sched}-port]")
        words += f" -b {sched}-port"
    if kind == "udp" and rng.random() < .3:
        fields.append("one_packet: true")
        words += " -o"
    dests = {n: (text, f"-a {name} {say}") for n, text, say in
             (random_dest(rng, vip, port) for _ in range(rng.randrange(7)))}
    rng.shuffle(fields)
    text = "".join(f"{'- ' if not i else '  '}{f}\n" for i, f in enumerate(fields))
    text += "  destinations:\n" * bool(dests) + "".join(f"  - {d}\n" for d, _ in dests.values())
    return name, text, [words] + [say for _, say in dests.values()]


def random_file(rng):
    """A file, and the commands that give the same on empty tables."""
    services = {}
    for _ in range(rng.randrange(10)):
        name, text, words = random_service(rng)
        services[name] = (text, words)
    text = "services:\n" + "".join(t for t, _ in services.values()) if services else "services: []"
    return text, "\n".join("\n".join(w) for _, w in services.values()) + "\n"


def least_common(before, after, steps):
    """No step may leave less than both states have in common, nor fewer than either state has."""
    key = lambda s: (s.get("protocol"), s.get("address"), s.get("port"), s.get("fwmark"),
                     s["family"])
    state = {key(s): {(d["address"], d["port"]): d["weight"] for d in s["destinations"]}
             for s in before}
    wish = {key(s): {(d["address"], d["port"]): d["weight"] for d in s["destinations"]}
            for s in after}
    both = {k: {d for d in state[k] if d in wish[k]} for k in state if k in wish}
    usable = {k: {d for d in both[k] if state[k][d] and wish[k][d]} for k in both}
    weighted = lambda dests: sum(map(bool, dests.values()))
    least = {k: (min(len(state[k]), len(wish[k])), min(weighted(state[k]), weighted(wish[k])))
             for k in both}
    for step in steps:
        subject = step.get("after") or step["before"]
        if step["what"] == "service":
            if step["action"] == "remove":
                del state[key(subject)]
            else:
                state.setdefault(key(subject), {})
        elif step["what"] == "destination":
            dests = state[key(step["service"])]
            if step["action"] == "remove":
                del dests[subject["address"], subject["port"]]
            else:
                dests[subject["address"], subject["port"]] = subject["weight"]
        for k in both:
            assert both[k] <= set(state[k]), step
            assert usable[k] <= {d for d, w in state[k].items() if w}, step
            assert len(state[k]) >= least[k][0] and weighted(state[k]) >= least[k][1], step
    assert state == wish


@pytest.mark.parametrize("seed", range(int(os.environ.get("BPVS_APPLY_COUNT", 8))))
def test_random_states(tables, fresh, tmp_path, seed):
    """From any state to any other: what ipvsadm makes from nothing, by steps that lose nothing."""
    rng = random.Random(f"apply {seed}")
    tables.ipvsadm("-R", stdin=random_file(rng)[1])
    before = tables.listing()
    text, commands = random_file(rng)
    fresh.ipvsadm("-R", stdin=commands)
    wish = fresh.listing()
    # what diff says, said to ipvsadm
    with Tables(tmp_path / "twin") as twin:
        shutil.copy(tables.path, twin.path)
        said = tables.diff(text, status=None).splitlines()
        twin.ipvsadm("-R", stdin="".join(
            re.sub(r"  # was .*", "", line)[2:] + "\n" for line in said))
        assert twin.listing() == wish
    steps = json.loads(tables.diff(text, "--json", status=None))
    check("changes", steps)
    assert tables.listing() == before
    least_common(before, wish, steps["changes"])
    tables.apply(text)
    assert tables.listing() == wish
    assert tables.diff(text, status=0) == ""
    # and back from what is running
    for words in ((), ("--json",)):
        dump = tables.bpvs("dump", *words).stdout
        assert tables.diff(dump, status=0) == ""
        check("config", yaml.safe_load(dump))
        tables.apply("services: []")
        assert tables.listing() == []
        tables.apply(dump)
        assert tables.listing() == wish


# ---- the documents ----


def test_the_documented_example(tables):
    """The first block of docs/config.md is a file that can be applied, and gives its listing."""
    blocks = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs/config.md").read_text(), re.S)
    text = next(b for kind, b in blocks if kind == "yaml")
    listing = next(b for kind, b in blocks if kind == "text")
    tables.apply(text)
    assert tables.ipvsadm("-Sn") == listing
    check("config", yaml.safe_load(text))


def test_what_the_schema_refuses():
    for text in ("services: [{fwmark: 1, port: 80}]", "services: [{protocol: tcp}]",
                 "services: [{fwmark: 1, destinations: [{weight: 1}]}]", "service: []",
                 "timeouts: {tcp: 0}",
                 *(TUNNEL.format(t) for t in ("type: gue", "port: 1", "type: gre, port: 1",
                                              "checksum: none", "type: ipip, checksum: full",
                                              "type: gre, checksum: remote", "type: GUE"))):
        with pytest.raises(jsonschema.ValidationError):
            check("config", yaml.safe_load(text))
