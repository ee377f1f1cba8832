# SPDX-License-Identifier: GPL-2.0-only
"""The options that are BPVS's own, over tables in a file: -L --json, -L --wide, -S --full."""

import json
import os
import subprocess

import jsonschema
import pytest
from common import BUILD, ROOT

SCHEMA = json.loads((ROOT / "docs" / "ipvsadm.schema.json").read_text())
RULES = """\
-A -t 10.0.0.1:80 -s sh -b sh-port,flag-3 -p 20 -M 255.255.255.0
-a -t 10.0.0.1:80 -r 10.0.0.2 -i -w 7 -x 300 -y 200
-a -t 10.0.0.1:80 -r [2001:db8::2]:80 -i
-A -u [2001:db8::1]:53 -s rr -o
-a -u [2001:db8::1]:53 -r [2001:db8::2]:5353 -m -w 0
-A -u 10.0.0.1:5060 -p 60 --pe sip
-A -f 4294967295 -6 -p 30 -M 64
"""


LONG = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"


@pytest.fixture
def run(tmp_path):
    env = dict(os.environ, BPVS_STUB=str(tmp_path / "tables"), ASAN_OPTIONS="detect_leaks=0")

    def run(*words, stdin="", status=0):
        done = subprocess.run([BUILD / "tests/unit/ipvsadm-stub", *words], input=stdin, env=env,
                              capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == status, done
        return done.stdout

    yield run
    (tmp_path / "tables").unlink(missing_ok=True)


@pytest.fixture
def listed(run):
    """Its document, valid."""
    run("-R", stdin=RULES)

    def listed(*words):
        document = json.loads(run("-L", "--json", *words))
        jsonschema.Draft7Validator(SCHEMA).validate(document)
        return document

    return listed


def test_the_schema_is_one():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_everything(listed):
    got = listed()
    assert set(got) == {"version", "size", "total", "timeouts", "daemons", "services"}
    assert got["timeouts"] == {"tcp": 900, "tcpfin": 120, "udp": 300}
    named = {(s.get("protocol"), s.get("address"), s.get("fwmark")): s for s in got["services"]}
    assert len(named) == 4
    web = named["TCP", "10.0.0.1", None]
    assert web["scheduler_flags"] == ["sh-port", "flag-3"]
    assert web["persistence"] == {"timeout": 20, "netmask": "255.255.255.0"}
    four, six = web["destinations"]
    assert (four["weight"], four["upper_threshold"], four["lower_threshold"]) == (7, 300, 200)
    assert (six["family"], six["address"], six["tunnel"]) == (
        "inet6", "2001:db8::2", {"type": "ipip"})
    dns = named["UDP", "2001:db8::1", None]
    assert dns["one_packet"] and dns["destinations"][0]["forwarding"] == "Masq"
    assert dns["destinations"][0]["port"] == 5353
    assert named["UDP", "10.0.0.1", None]["persistence"]["engine"] == "sip"
    assert named[None, None, 4294967295]["persistence"] == {"timeout": 30, "prefix_length": 64}


def test_tunnels(run):
    run("-R", stdin="-A -t 10.0.0.1:80\n" + "".join(
        f"-a -t 10.0.0.1:80 -r 10.0.0.{n} -i --tun-type {words}\n" for n, words in enumerate(
            ("ipip", "gue --tun-port 6080", "gue --tun-port 6081 --tun-remcsum", "gre --tun-csum"), 2)))
    document = json.loads(run("-L", "--json"))
    jsonschema.Draft7Validator(SCHEMA).validate(document)
    assert [d["tunnel"] for d in document["services"][0]["destinations"]] == [
        {"type": "ipip"}, {"type": "gue", "port": 6080, "checksum": "none"},
        {"type": "gue", "port": 6081, "checksum": "remote"}, {"type": "gre", "checksum": "full"}]


def test_a_part(listed):
    assert set(listed("-t", "10.0.0.1:80")) == {"services"}
    assert listed("-c") == {"connections": []}
    assert set(listed("--timeout")) == {"timeouts"}
    assert listed("--daemon") == {"daemons": []}
    assert listed("-n", "--stats", "--exact") == listed()


def test_none(run):
    assert run("-L", "--json", "-t", "10.0.0.1:81", status=1) == ""
    assert run("-A", "-t", "10.0.0.1:81", "--json", status=2) == ""


def test_what_the_schema_refuses(listed):
    """It tells a wrong document from a right one."""
    valid = jsonschema.Draft7Validator(SCHEMA).is_valid
    for spoil in (
        lambda d: d["services"][0].pop("scheduler"),
        lambda d: d["services"][0].update(fwmark=1),
        lambda d: d["services"][0]["destinations"][0].pop("tunnel"),
        lambda d: d["services"][0]["destinations"][0]["tunnel"].update(checksum="none"),
        lambda d: d["services"][0]["destinations"][0]["tunnel"].update(type="gue"),
        lambda d: d["services"][0]["destinations"][0]["tunnel"].update(type="gre", checksum="remote"),
        lambda d: d["total"]["rates"].update(connections=-1),
        lambda d: d.update(more=1),
    ):
        document = listed()
        web = next(s for s in document["services"] if s["destinations"])
        document["services"] = [web]
        assert valid(document)
        spoil(document)
        assert not valid(document)


def test_full_is_what_restore_takes(run):
    rules = RULES + (
        "-A -t 10.0.0.3:80 -s mh -b mh-port,flag-3\n"
        "-a -t 10.0.0.3:80 -r 10.0.0.2:80 -m -x 9\n"
        "-a -t 10.0.0.3:80 -r 10.0.0.4:80 -m -x 10 -y 4 -w 2147483647\n")
    run("-R", stdin=rules)
    saved, state = run("-S", "--full", "-n"), run("-L", "--json")
    run("-C")
    assert run("-S", "--full", "-n") == ""
    run("-R", stdin=saved)
    assert run("-L", "--json") == state
    assert " -x 300 -y 200\n" in saved and " -x 9\n" in saved and "-f 4294967295 -6" in saved
    assert "-b mh-port,flag-3\n" in saved
    # What it differs in from -S.
    assert " -x" not in run("-S", "-n") and "-f -1 -6" in run("-S", "-n")


@pytest.mark.parametrize("what", ["--sort", "--thresholds", "--persistent-conn", "--tun-info"])
def test_wide_columns(run, what):
    """Each word of a server's row begins below its heading."""
    run("-R", stdin=f"{RULES}-A -t {LONG} -s rr\n-a -t {LONG} -r {LONG} -m\n-a -t {LONG} -r [::1]:1 -m\n")
    lines = run("-L", "-n", "--wide", what).splitlines()
    head = next(line for line in lines if "ActiveConn" in line)
    begins = [head.index(word) for word in head.split()[2:]]
    rows = [line for line in lines if line.startswith("  -> ") and "Remote" not in line]
    assert len(rows) == 5 and any(LONG in row for row in rows)
    for row in rows:
        words = [at for at in range(34, len(row)) if row[at - 1] == " " != row[at]]
        assert words[-len(begins):] == begins, f"{head}\n{row}"
    # Without: the row with the long address is shifted.
    narrow = run("-L", "-n", what).splitlines()
    assert next(r for r in narrow if LONG in r and "->" in r).rstrip()[-1] == "0"
    assert len({len(r) for r in narrow if r.startswith("  -> ") and "Remote" not in r}) > 1


@pytest.mark.parametrize("more", [[], ["--exact"]])
def test_wide_counters(run, more):
    run("-R", stdin=f"{RULES}-A -t {LONG} -s rr\n-a -t {LONG} -r {LONG} -m\n")
    _, head, _, *rows = run("-L", "-n", "--wide", "--stats", *more).splitlines()
    assert len(rows) == 5 + 4 and {len(row) for row in rows} == {len(head)}
    assert run("-L", "-n", "--stats", "-f", "7", status=1) == ""


def test_own_options_are_for_their_command(run):
    for words in (["-S", "--wide"], ["-S", "--json"], ["-L", "--full"], ["-A", "-t", "10.0.0.1:1", "--full"]):
        run(*words, status=2)


@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
@pytest.mark.parametrize("words", ["-L --json", "-Ln --wide", "-L --json -c", "-Sn --full", "-Ln", "-Sn"])
def test_output_that_does_not_arrive(run, tmp_path, words, where):
    """Of its own options it tells; the original's are as the original, which never looks."""
    run("-R", stdin=RULES)
    own = "--" in words
    why = "No space left on device" if where == ">/dev/full" else "Bad file descriptor"
    env = dict(os.environ, BPVS_STUB=str(tmp_path / "tables"), ASAN_OPTIONS="detect_leaks=0")
    stub = BUILD / "tests/unit/ipvsadm-stub"
    for line, given in ((f"{stub} {words}", ""), (f"{stub} -R", words + "\n")):
        done = subprocess.run(["sh", "-c", f"exec {line} {where}"], input=given, env=env,
                              capture_output=True, text=True, timeout=20, check=False)
        assert (done.returncode, done.stderr) == ((1, f"ipvsadm: {why}\n") if own else (0, "")), done
