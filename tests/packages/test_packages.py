# SPDX-License-Identifier: GPL-2.0-only
"""The packages, installed into a Debian 12: contents, labs, units, and what stays behind."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest
from common import ROOT
from root import depends

NAMES = ("bpvs", "bpvs-ipvsadm")


def test_lintian(packages):
    """Neither errors nor warnings, and each override is there for a reason that is written down."""
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning",
                           *packages.glob("*.changes")],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for overrides in (ROOT / "debian").glob("*.lintian-overrides"):
        assert overrides.read_text().startswith("# ")


def test_the_tree_stays_clean(packages):
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(["git", "status", "--porcelain", "--", "debian"], cwd=ROOT,
                          capture_output=True, text=True, check=True)
    made = re.compile(r"debian/(bpvs/|tmp|\.debhelper|files)")
    left = [line for line in done.stdout.splitlines() if made.search(line)]
    assert not left


def deb_files(root):
    return [root.packages / pathlib.Path(f).name for f in ours(root)]


def ours(root):
    return [root.ours(name) for name in NAMES]


def remains(root):
    """Files of ours, but for what dpkg and systemd themselves remember."""
    found = root.sh(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /packages -o -path /var/lib/dpkg \\)"
        " -prune -o \\( -name '*bpvs*' -o -name '*ipvsadm*' \\) -print;"
        " find /run /sys/fs/bpf -path /run/systemd -prune -o -name '*bpvs*' -print; ls /run/netns 2>/dev/null || :").stdout
    return [line for line in found.splitlines() if "/apt/archives/" not in line]


def test_nat_lab(make_root):
    """Installed with what Depends names, the lab works; removed and purged, nothing is left."""
    root = make_root()
    root.install(*ours(root))
    try:
        root.run("bpvs", "lab", "nat", "up")
        answers = [root.run("bpvs", "lab", "nat", "sh", "client", "curl", "-s",
                            "http://192.168.1.111/").stdout for _ in range(4)]
        assert len(set(answers)) == 2 and answers[0] == answers[2] != answers[3], answers
        listing = root.run("bpvs", "lab", "nat", "sh", "director", "ipvsadm", "-Ln").stdout
        assert "TCP  192.168.1.111:80 rr" in listing
    finally:
        root.run("bpvs", "lab", "nat", "down", check=False)
    root.run("bpvs", "up", "--conns", "1k")
    assert root.run("ipvsadm", "-Sn").stdout == ""
    # an upgrade, as far as dpkg is concerned, with the engine running
    root.sh("ipvsadm -A -t 10.0.0.1:80 -s rr")
    root.apt("install", "--reinstall", *ours(root))
    assert root.run("ipvsadm", "-Sn").stdout == "-A -t 10.0.0.1:80 -s rr\n"
    root.run("bpvs", "down")
    root.apt("purge", *NAMES)
    assert remains(root) == []


def test_in_the_place_of_ipvsadm(make_root):
    """What they had set up for Debian's package goes on with ours, and back."""
    root = make_root()
    root.install("ipvsadm")
    root.sh("echo 'AUTO=true' >>/etc/default/ipvsadm; "
            "echo '-A -t 10.0.0.1:80 -s wrr' >/etc/ipvsadm.rules")
    wanted = [f for f in root.sh("dpkg -L ipvsadm").stdout.split("\n")
              if re.match("/(sbin|etc)/.*|.*/man8/.", f)]
    assert "/sbin/ipvsadm-save" in wanted and "/etc/init.d/ipvsadm" in wanted
    root.install(*set().union(*(depends(deb) for deb in deb_files(root))) - set(NAMES))
    # dpkg by itself, as it then takes theirs away only when ours are there already
    root.run("dpkg", "-i", *ours(root))
    assert root.status("ipvsadm") == "config-files"
    assert [f for f in wanted if not root.exists(f)] == []
    assert "libmnl" in root.sh("ldd /sbin/ipvsadm").stdout
    assert "true" in root.sh("tail -n 1 /etc/default/ipvsadm").stdout
    # its words, by the init script, without systemd
    root.run("/etc/init.d/ipvsadm", "start")
    assert root.run("ipvsadm", "-Sn").stdout == "-A -t 10.0.0.1:80 -s wrr\n"
    root.run("ipvsadm", "-a", "-t", "10.0.0.1:80", "-r", "10.0.0.2:80", "-m", "-w", "3")
    saved = root.run("ipvsadm-save", "-n").stdout
    root.run("/etc/init.d/ipvsadm", "save")
    root.run("ipvsadm", "-C")
    root.run("ipvsadm-restore", input=saved)
    assert root.run("ipvsadm", "-Sn").stdout == saved
    root.run("/etc/init.d/ipvsadm", "load")
    assert root.run("ipvsadm", "-Sn").stdout == saved
    root.run("/etc/init.d/ipvsadm", "stop")
    assert root.run("ipvsadm", "-Sn").stdout == ""
    root.run("bpvs", "down")
    # and back: theirs takes its place again, with what was set
    root.apt("-o", "Dpkg::Options::=--force-confold", "install", "ipvsadm")
    assert root.status("bpvs-ipvsadm") == "config-files"
    assert root.run("ipvsadm-save", "-x", check=False).returncode == 1
    assert "libnl" in root.sh("ldd /sbin/ipvsadm").stdout
    root.run("bpvs", "run", "--", "ipvsadm", "-A", "-t", "10.0.0.1:80", "-s", "sed")
    assert "sed" in root.run("bpvs", "run", "--", "ipvsadm", "-Sn").stdout
    root.run("bpvs", "down")
    root.apt("purge", *NAMES)
    assert root.exists("/etc/ipvsadm.rules") and root.exists("/sbin/ipvsadm-restore")


# ---- from one version to another ----

LAN = """
for side in client server; do
    ip netns add $side
    ip link add $side type veth peer name eth0 netns $side
    ip link set $side up; ip -n $side link set eth0 up; ip -n $side link set lo up
done
ip addr add 10.0.1.1/24 dev client; ip -n client addr add 10.0.1.2/24 dev eth0
ip addr add 10.0.2.1/24 dev server; ip -n server addr add 10.0.2.2/24 dev eth0
ip -n client route add default via 10.0.1.1; ip -n server route add default via 10.0.2.1
ip netns exec server setsid socat -t 20 TCP-LISTEN:80,reuseaddr,fork EXEC:cat >/dev/null 2>&1 &
"""
# A connection that stays open: what is appended to the file is said.
TALK = """
: >/run/say
ip netns exec client setsid sh -c 'tail -f /run/say | socat - TCP:10.0.1.1:80 >/run/heard' \\
    >/dev/null 2>&1 &
"""
# The same packages with another version's number, in /tmp.
REPACK = """
for name in bpvs bpvs-ipvsadm; do
    dpkg-deb -R /packages/${name}_*.deb /tmp/$name
    sed -i -E 's/^(Version: ).*/\\19:1/; s/bpvs \\(= [^)]*/bpvs (= 9:1/' /tmp/$name/DEBIAN/control
    dpkg-deb -Znone --root-owner-group -b /tmp/$name /tmp/$name.deb
done
"""
RULES = "-A -t 10.0.1.1:80 -s rr\n-a -t 10.0.1.1:80 -r 10.0.2.2:80 -m -w 1\n"


def make_foreign(root):
    """The engine's maps are laid out as no tool knows them, as far as its anchor says."""
    tell = ["nsenter", "-t", root.pid, "-n", "tc", "filter", "show", "dev", "lo", "ingress"]
    filters = subprocess.run(tell, capture_output=True, text=True, check=True).stdout
    prog = re.search(r"\bid (\d+)", filters)[1]
    ask = ["bpftool", "-j"]
    shown = subprocess.run([*ask, "prog", "show", "id", prog], capture_output=True, check=True)
    anchor = str(json.loads(shown.stdout)["map_ids"][0])
    dump = subprocess.run([*ask, "map", "dump", "id", anchor], capture_output=True, check=True)
    (element,) = json.loads(dump.stdout)
    value = [*int(999).to_bytes(4, "little"), *(int(b, 16) for b in element["value"][4:])]
    subprocess.run(["bpftool", "map", "update", "id", anchor, "key", "0", "0", "0", "0", "value",
                    *map(str, value)], check=True)


def heard(root, line):
    """The server sends back what the client says, by the connection that was open all the time."""
    root.sh(f"echo {line} >>/run/say")
    root.until(["grep", "-qx", line, "/run/heard"], seconds=60)


def versions(root):
    return root.run("dpkg-query", "-W", "-f=${Version}\n", *NAMES).stdout.split()


def watch_pid(root):
    return root.run("systemctl", "show", "-P", "MainPID", "bpvs-watch").stdout


def anchor(root):
    return root.run("tc", "filter", "show", "dev", "lo", "ingress").stdout


def test_upgrade_and_downgrade(make_root):
    """Rules and connections go on; under tools for other maps, too, until the restart they ask for."""
    root = make_root(init="/lib/systemd/systemd")
    root.until(["systemctl", "is-active", "--quiet", "basic.target"])
    # the scripts of the packages may start and stop what they want to
    root.sh(LAN + "rm /usr/sbin/policy-rc.d")
    root.install(*ours(root))
    assert root.run("systemctl", "is-active", "bpvs", "bpvs-watch", check=False).stdout == (
        "inactive\n" * 2)
    root.sh(REPACK + """sed -i 's/^OPTIONS=.*/OPTIONS="--mode tc --conns 1k"/; s/^SAVE=.*/SAVE=yes/' \\
        /etc/default/bpvs; systemctl enable --now bpvs""")
    root.run("ipvsadm", "-R", input=RULES)
    root.sh(TALK)
    heard(root, "before")
    watch, engine = watch_pid(root), anchor(root)
    assert watch != "0\n" and "bpvs_anchor" in engine
    newer = ["/tmp/bpvs.deb", "/tmp/bpvs-ipvsadm.deb"]
    for debs in (newer, ours(root)):
        said = root.apt("install", "--allow-downgrades", "--no-install-recommends", *debs)
        assert "another version" not in said.stdout + said.stderr
        assert (versions(root) == ["9:1", "9:1"]) == (debs is newer)
        assert anchor(root) == engine
        assert root.run("ipvsadm", "-Sn").stdout == RULES
        assert root.run("ipvsadm", "-Lnc").stdout.count("ESTABLISHED") == 1
        heard(root, "newer" if debs is newer else "older")
        # the process is the new version's
        assert watch_pid(root) not in ("0\n", watch)
        watch = watch_pid(root)
    # SAVE: what runs is written down as long as there is a tool that can read it
    assert root.run("cat", "/etc/bpvs/rules").stdout == RULES
    make_foreign(root)
    said = root.apt("install", "--no-install-recommends", *newer)
    assert "systemctl restart bpvs" in said.stdout + said.stderr
    heard(root, "foreign")
    for words in (("ipvsadm", "-Ln"), ("bpvs", "status"), ("bpvs", "up")):
        done = root.run(*words, check=False)
        assert done.returncode and "another version" in done.stderr, words
    assert root.run("cat", "/etc/bpvs/rules").stdout == RULES
    root.run("systemctl", "restart", "bpvs")
    assert root.run("ipvsadm", "-Sn").stdout == RULES
    assert root.run("ipvsadm", "-Lnc").stdout.count("ESTABLISHED") == 0
    answer = root.run("ip", "netns", "exec", "client", "sh", "-c",
                      "echo again | socat -t 20 - TCP:10.0.1.1:80").stdout
    assert answer == "again\n"
    root.apt("purge", *NAMES)
    assert root.run("pgrep", "-x", "bpvs", check=False).returncode == 1
    root.sh("ip netns del client; ip netns del server; rm -r /tmp/bpvs*")
    assert remains(root) == []
    assert "bpvs" not in anchor(root)


KEEPALIVED = """
virtual_server 10.0.0.9 80 {
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    real_server 10.0.0.2 80 {
    }
}
"""
UNITS = ("bpvs.service", "bpvs-watch.service", "ipvsadm.service", "keepalived.service")


def test_units(make_root):
    """systemd itself brings the engine up, restores, reloads, saves and takes it out."""
    root = make_root(init="/lib/systemd/systemd")
    root.until(["systemctl", "is-active", "--quiet", "basic.target"])
    root.sh("ip link add eth0 type veth peer name far; ip link set eth0 up")
    root.install(*ours(root))
    root.sh("""install -D -m 644 /usr/share/doc/bpvs/examples/keepalived.conf \\
        /etc/systemd/system/keepalived.service.d/bpvs.conf; systemctl daemon-reload""")
    for unit in UNITS:
        done = root.run("systemd-analyze", "verify", "--man=no", f"/lib/systemd/system/{unit}")
        assert done.stderr == "", done.stderr
    assert "LD_PRELOAD=/usr/lib/" in root.run(
        "systemctl", "show", "-P", "Environment", "keepalived").stdout
    # not before somebody says so
    assert root.run("bpvs", "status", check=False).returncode == 1
    root.sh("""sed -i 's/^OPTIONS=.*/OPTIONS="--mode tc --conns 1k"/
        s/^SYSCTLS=.*/SYSCTLS="expire_nodest_conn=1"/; s/^SAVE=.*/SAVE=yes/' /etc/default/bpvs
        echo '-A -t 10.0.0.1:80 -s rr' >/etc/bpvs/rules; systemctl enable --now bpvs""")
    assert "0 of 1024," in root.run("bpvs", "status").stdout
    assert root.run("bpvs", "sysctl", "expire_nodest_conn").stdout.endswith("= 1\n")
    assert root.run("ipvsadm", "-Sn").stdout == "-A -t 10.0.0.1:80 -s rr\n"
    root.sh("ipvsadm -A -u 10.0.0.1:53; systemctl reload bpvs")
    assert root.run("ipvsadm", "-Sn").stdout == "-A -t 10.0.0.1:80 -s rr\n"
    root.sh("ipvsadm -A -f 7 -s sed; systemctl restart bpvs")
    assert root.run("ipvsadm", "-Sn").stdout == "-A -t 10.0.0.1:80 -s rr\n-A -f 7 -s sed\n"
    # keepalived has its services from where it always had them, and puts them here
    root.sh("mkdir -p /etc/keepalived; cat >/etc/keepalived/keepalived.conf", input=KEEPALIVED)
    root.run("systemctl", "restart", "keepalived")
    root.until(["sh", "-c", "ipvsadm -Sn | grep -qxF -e '-a -t 10.0.0.9:80 -r 10.0.0.2:80 -m -w 1'"])
    root.run("systemctl", "stop", "keepalived")
    assert "10.0.0.9" not in root.run("ipvsadm", "-Sn").stdout
    # a rule that is refused is told of, and the unit says so
    root.sh("echo '-a -t 10.9.9.9:80 -r 10.0.0.2:80' >>/etc/bpvs/rules")
    assert root.run("systemctl", "reload", "bpvs", check=False).returncode != 0
    assert "Service not defined" in root.run("journalctl", "--no-pager", "-u", "bpvs").stdout
    # by hand first, and the unit has nothing left to do
    root.sh("bpvs down; systemctl stop bpvs")
    assert root.run("systemctl", "is-failed", "bpvs", check=False).stdout == "inactive\n"
    # whoever removes the package does not want to be left with an engine and no tool, nor without
    # the rules that are to be saved; debootstrap's policy would keep maintainers' scripts from units
    root.sh("""rm -f /usr/sbin/policy-rc.d
        echo '-A -t 10.0.0.1:80 -s rr' >/etc/bpvs/rules; systemctl start bpvs; ipvsadm -A -f 8 -s sed""")
    root.apt("remove", "bpvs")
    assert root.status("bpvs-ipvsadm") == "config-files"
    assert root.run("cat", "/etc/bpvs/rules").stdout == "-A -t 10.0.0.1:80 -s rr\n-A -f 8 -s sed\n"
    assert root.run("systemctl", "is-failed", "bpvs", check=False).stdout == "inactive\n"
    assert not root.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout
    root.apt("purge", *NAMES)
    assert not root.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout
    left = [f for f in remains(root) if "/systemd/system/keepalived" not in f]
    assert left == []
