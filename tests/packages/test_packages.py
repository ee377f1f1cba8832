# SPDX-License-Identifier: GPL-2.0-only
"""The packages, installed into a Debian 12: contents, labs, units, and what stays behind."""

import re
import shutil
import subprocess

import pytest
from common import ROOT

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


KEEPALIVED = """
virtual_server 10.0.0.9 80 {
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    real_server 10.0.0.2 80 {
    }
}
"""
UNITS = ("bpvs.service", "ipvsadm.service", "keepalived.service")


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
    # whoever removes the package does not want to be left with an engine and no tool
    root.apt("purge", *NAMES)
    assert not root.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout
    left = [f for f in remains(root) if "/systemd/system/keepalived" not in f]
    assert left == []
