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
        self.path = f"{self.bpvs.parent}:{self.adm.parent}:{os.environ['PATH']}"

    def run(self, verb, check=True):
        return self.host.run("env", f"PATH={self.path}", f"BPVS_DEFAULTS={self.defaults}",
                             ROOT / "packaging" / "service", verb, check=check)

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


def test_stop_tells_of_what_it_cannot_take_down(service, tmp_path):
    """None is as good as one that was taken down, but no other failure is."""
    bpvs = tmp_path / "bin" / "bpvs"
    bpvs.parent.mkdir()
    bpvs.write_text("#!/bin/sh\necho 'bpvs: cannot' >&2\nexit 1\n")
    bpvs.chmod(0o755)
    service.path = f"{bpvs.parent}:{service.path}"
    done = service.run("stop", check=False)
    assert (done.returncode, done.stderr) == (1, "bpvs: cannot\n")
