# SPDX-License-Identifier: GPL-2.0-only
"""What bpvs.service runs: rules are saved from an engine, and never from there being none."""

import os

import pytest
from common import ROOT

from test_faults import Lone

RULES = "-A -t 192.168.1.100:80 -s rr\n"


class Service(Lone):
    def __init__(self, build, directory):
        super().__init__(build)
        self.rules = directory / "rules"
        self.defaults = directory / "defaults"
        self.defaults.write_text(
            f'OPTIONS="--mode tc --conns 1k"\nRULES={self.rules}\nSAVE=yes\n')
        self.around = ()
        self.path = f"{self.bpvs.parent}:{self.adm.parent}:{os.environ['PATH']}"

    def run(self, verb, check=True):
        return self.host.run("env", f"PATH={self.path}", f"BPVS_DEFAULTS={self.defaults}",
                             *self.around, ROOT / "packaging" / "service", verb, check=check)

    def is_up(self):
        return self.host.run(self.bpvs, "status", check=False).returncode == 0


@pytest.fixture
def service(build, tmp_path):
    made = Service(build, tmp_path)
    yield made
    made.host.run(made.bpvs, "down", check=False)
    made.host.delete()
    made.peer.delete()


@pytest.mark.parametrize("verb", ["stop", "before-upgrade", "save"])
def test_rules_are_saved(service, verb):
    service.run("start")
    service.ipvsadm("-A", "-t", "192.168.1.100:80", "-s", "rr")
    service.run(verb)
    assert service.rules.read_text().startswith(RULES.strip())
    assert service.is_up() == (verb != "stop")


@pytest.mark.parametrize("verb", ["stop", "before-upgrade", "save"])
def test_without_an_engine_the_rules_stay(service, verb):
    """Somebody took it down by hand: nothing is saved, and nothing brought up to be saved."""
    service.rules.write_text(RULES)
    service.run("start")
    assert "192.168.1.100:80" in service.ipvsadm("-Ln").stdout
    service.down()
    done = service.run(verb, check=False)
    assert service.rules.read_text() == RULES
    assert not service.is_up()
    if verb == "save":
        assert done.returncode and "no instance" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")


# More than a tmpfs of 8 KB has room for beside a file of one page.
MANY = "".join(f"-A -t 192.168.1.100:{port} -s rr\n" for port in range(1000, 1400))


def full_file_system(where, *words):
    """To run words where there is a file system at `where` that fills up, with the old rules."""
    return ["unshare", "-m", "sh", "-ec", f"""
        mount -t tmpfs -o size=8k full {where}
        printf '%s' "$0" >{where}/$1
        shift
        status=0
        "$@" || status=$?
        echo "$status" {where}/*
        cat {where}/*""", *words]


@pytest.mark.parametrize("kind", ["rules", "rules.yaml"])
def test_without_room_the_old_rules_stay(service, tmp_path, kind):
    full = tmp_path / "full"
    full.mkdir()
    service.rules = full / kind
    service.defaults.write_text(f'OPTIONS="--mode tc --conns 1k"\nRULES={service.rules}\n')
    service.run("start")
    service.ipvsadm("-R", input=MANY)
    service.around = full_file_system(full, RULES, kind)
    done = service.run("save")
    assert done.stdout == f"1 {service.rules}\n{RULES}", done
    assert "No space left on device" in done.stderr


def test_without_room_the_old_rules_of_ipvsadm_stay(service, tmp_path):
    """ipvsadm itself does not tell: it is as the original. /etc and /sbin are the test's own."""
    service.up("--mode", "tc")
    service.ipvsadm("-R", input=MANY)
    script = ROOT / "packaging" / "ipvsadm-service"
    inside = ["unshare", "-m", "sh", "-ec", 'mount --bind "$0" "$(readlink -f /sbin)"; exec "$@"',
              service.adm.parent]
    save = lambda *words: service.host.run(*inside, *words, script, "save")
    done = save(*full_file_system("/etc", RULES, "ipvsadm.rules"))
    assert done.stdout == f"1 /etc/ipvsadm.rules\n{RULES}", done
    assert done.stderr
    # With room it has all of them.
    service.ipvsadm("-C")
    service.ipvsadm("-R", input=MANY[: len(RULES) * 20])
    done = save(*full_file_system("/etc", RULES, "ipvsadm.rules"))
    kept = service.ipvsadm("-Sn").stdout
    assert done.stdout == f"0 /etc/ipvsadm.rules\n# ipvsadm.rules\n{kept}", done


def test_stop_tells_of_what_it_cannot_take_down(service, tmp_path):
    """None is as good as one that was taken down, but no other failure is."""
    bpvs = tmp_path / "bin" / "bpvs"
    bpvs.parent.mkdir()
    bpvs.write_text("#!/bin/sh\necho 'bpvs: cannot' >&2\nexit 1\n")
    bpvs.chmod(0o755)
    service.path = f"{bpvs.parent}:{service.path}"
    done = service.run("stop", check=False)
    assert (done.returncode, done.stderr) == (1, "bpvs: cannot\n")
