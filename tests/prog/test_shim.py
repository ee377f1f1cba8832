# SPDX-License-Identifier: GPL-2.0-only
"""Debian's own ipvsadm, unmodified, over a live engine: `bpvs run` (shim/)."""

import itertools
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import time

import pytest
from common import BUILD, ROOT, lone_namespace
from golden import cases, genl, sockopt

sys.path.insert(0, str(ROOT / "tests" / "vm"))

import vm  # noqa: E402

NETNS = f"shim-ipvsadm-{os.getpid()}"
BPVS = BUILD / "bpvs" / "bpvs"
LISTS = ROOT / "tests" / "golden" / "list"


def inside(*argv, **kwargs):
    """A command in the namespace, its output as text."""
    return subprocess.run(
        ["nsenter", f"--net=/run/netns/{NETNS}", *argv],
        capture_output=True, text=True, timeout=60, check=False, **kwargs,
    )  # fmt: skip


@pytest.fixture(scope="module")
def space():
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and BPF")
    with lone_namespace(NETNS):
        yield NETNS


@pytest.fixture(scope="module")
def program():
    """Debian's ipvsadm: the environment in which it is the one found."""
    try:
        path, libraries = vm.kernel_ipvsadm()
    except subprocess.CalledProcessError:
        pytest.skip("Debian's package of ipvsadm is not to be had")
    return dict(
        os.environ,
        PATH=f"{pathlib.Path(path).parent}:{os.environ['PATH']}",
        LD_LIBRARY_PATH=libraries,
    )


@pytest.fixture(scope="module")
def run(space, program):
    """The first command brings the engine up."""
    command = ["nsenter", f"--net=/run/netns/{space}", BPVS, "run", "--", "ipvsadm"]
    return cases.runner(command, env=program)


@pytest.fixture
def clean(run):
    assert run(["-C"], "").rc == 0
    return run


# All of them with BPVS_SHIM=full; make check has every fifth. Our own ipvsadm runs all.
SAMPLE = cases.CASES[:: 1 if os.environ.get("BPVS_SHIM") == "full" else 5]


def refused(done):
    """What is not built is answered with an error that the original has no words of its own for."""
    return (done.rc, done.out, done.err) == (255, "", "Protocol not supported\n")


@pytest.mark.parametrize("case", SAMPLE, ids=lambda c: f"{cases.CASES.index(c)}-{cases.name(c)}")
def test_command(case, clean):
    cases.check(case, clean, refused)


@pytest.fixture(scope="module")
def run_by_options(space, program):
    """ipvsadm does not find the family, and takes the socket options."""
    command = ["nsenter", f"--net=/run/netns/{space}", BPVS, "run", "--", "ipvsadm"]
    return cases.runner(command, env=dict(program, LD_PRELOAD=BUILD / "tests/prog/libno-family.so"))


@pytest.mark.parametrize(
    "number", cases.BY_OPTIONS[:: 1 if os.environ.get("BPVS_SHIM") == "full" else 10]
)
def test_command_by_options(number, run_by_options):
    assert cases.outcome(cases.CASES[number], run_by_options) == cases.by_options(number)


# ---- the listings ----


def listing(name):
    """A recorded file's (command, output)s."""
    found, command = [], None
    for line in (LISTS / f"{name}.txt").read_text().splitlines(keepends=True):
        if line.startswith("$ "):
            command = line[2:].split()
            found.append((command, []))
        elif not line.startswith("[exit"):
            found[-1][1].append(line)
    return found


RULES = [line for _, out in listing("save") for line in out]
BUILT = [line for line in RULES if not cases.not_built(line)]
# The servers of those that are not.
LEFT_OUT = [line.split()[4] for line in RULES if line not in BUILT]


def quiet(lines, counts):
    """Without what was not built, and with the counts of connections that were there at 0."""
    zero = lambda m: "".join("0".ljust(len(text)) for text in m.groups())
    kept = [line for line in lines if not any(f" {r} " in line for r in LEFT_OUT)]
    return [
        re.sub(r"(\d+ +)" * counts + "$", zero, line.rstrip("\n")) + "\n"
        if line.startswith("  -> ") else line
        for line in kept
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name, counts",
    [
        ("Ln", 2),
        ("save", 0),
        ("save-names", 0),
        ("thresholds", 2),
        ("persistent-conn", 3),
        ("one-service", 2),
        ("timeout", 0),
        ("version", 0),
    ],
)
def test_listing(name, counts, clean):
    assert clean(["--set", "900", "120", "300"], "").rc == 0
    assert clean(["-R"], "".join(BUILT)).rc == 0
    # What a save does not have.
    edit = "-e -t 10.0.1.100:8080 -r 10.0.2.1:8080 -m -w 1 -x 100 -y 50"
    assert clean(edit.split(), "").rc == 0
    for command, out in listing(name):
        if "--stats" in command or (name == "one-service" and "--persistent-conn" in command):
            continue  # traffic
        done = clean(command[1:], "")
        want = [cases.normal(line) for line in quiet(out, counts)]
        if name in ("save-names", "save"):
            want = [line for line in want if not cases.not_built(line)]
        assert (done.rc, done.err) == (0, "")
        assert done.out.splitlines(keepends=True) == want, command


def blocks(lines):
    """Services with their servers; in the kernel's listing a hash orders the services."""
    found = []
    for line in lines:
        if line.startswith("  -> ") and found:
            found[-1] += line
        else:
            found.append(line)
    return sorted(found)


def test_proc_ip_vs(clean, space):
    """Recorded where a second has 100 jiffies."""
    assert clean(["-R"], "".join(BUILT)).rc == 0
    view = inside(BPVS, "proc", "ip_vs").stdout
    jiffies = int(re.search(r"FWM  00000001 wrr persistent (\d+) ", view)[1]) // 360
    assert jiffies in (100, 250, 300, 1000)
    hexed = [f"0A00020{n}:01BB" for n in (3, 4)]
    want = [
        re.sub(r"persistent (\d+)", lambda m: f"persistent {int(m[1]) // 100 * jiffies}", line)
        for line in quiet(listing("proc_ip_vs")[0][1], 2)
        if not any(h in line for h in hexed[: len(LEFT_OUT)])
    ]
    got = cases.normal(view).splitlines(keepends=True)
    assert got[:3] == [cases.normal(line) for line in want[:3]]
    assert blocks(got[3:]) == blocks(want[3:])
    # A program that opens the file is shown the same.
    assert inside(BPVS, "run", "cat", "/proc/net/ip_vs").stdout == view
    shown = inside(BPVS, "run", "grep", "-c", "", "/proc/self/net/ip_vs").stdout
    assert int(shown) == len(got)


@pytest.fixture
def engine(space):
    """Without the original's help."""
    assert inside(BUILD / "ipvsadm" / "ipvsadm", "-C").returncode == 0


def looks(*argv, before=()):
    script = [sys.executable, ROOT / "tests/prog/shim_look.py", *argv]
    return inside(*before, BPVS, "run", "--", *script)


def test_proc_files_are_looked_at(engine):
    """By each function and on each way: as the kernel's files there, for a reader less than root."""
    for before in ((), ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")):
        done = looks(before=before)
        assert (done.stdout, done.stderr) == ("0 differences\n", "")


def test_proc_files_are_not_there(engine):
    """Where there is no instance, and for those who may not open it; nor under other names."""
    if inside("test", "-e", "/proc/net/ip_vs").returncode == 0:
        pytest.skip("kernel IPVS is loaded")
    less = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    assert looks("absent", before=less).stdout == "0 differences\n"
    assert looks("absent", before=("unshare", "--net")).stdout == "0 differences\n"


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_scripts_look_before_they_read(shell, engine, tmp_path):
    copy = tmp_path / "copy"
    script = f"""
    for is in e r f w; do [ -$is /proc/net/ip_vs ] || echo "not -$is"; done
    for is in x d s L; do [ -$is /proc/net/ip_vs ] && echo "-$is"; done
    cd /proc/net
    [ -e ip_vs ] && [ ! -e ip_vs_none ] || echo "not relative"
    ls -l ip_vs | sed -n '/ip_vs$/s/ .* / /p'
    stat -c '%a %U %s %F' ip_vs
    cp ip_vs {copy} && cat ip_vs | cmp - {copy} && cmp ip_vs {copy} && head -n1 ip_vs
    """
    done = inside(BPVS, "run", shell, "-c", script)
    assert (done.stdout.split(" version ")[0], done.stderr) == (
        "-r--r--r-- ip_vs\n444 root 0 regular empty file\nIP Virtual Server", ""
    )  # fmt: skip


def test_proc_of_another_namespace(engine):
    """Another process's /proc/PID/net is ours only where that is in our network namespace."""
    script = """
    import os, subprocess, sys
    def child(*before):
        c = subprocess.Popen([*before, "sh", "-c", "echo; read x"], stdin=-1, stdout=-1)
        c.stdout.readline()
        return f"/proc/{c.pid}/net/ip_vs"
    here, other = child(), child("unshare", "--net")
    print(os.path.exists(here), os.path.exists(other), len(open(here).read()) > 100)
    """
    done = inside(BPVS, "run", sys.executable, "-c", textwrap.dedent(script))
    assert (done.stdout, done.stderr) == ("True False True\n", "")


# ---- two at once, killed, without privilege, many ----


def start(program, *argv):
    return subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{NETNS}", BPVS, "run", "--", "ipvsadm", *argv],
        env=program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def rules(net, services, servers):
    return "".join(
        f"-A -t 10.{net}.{s}.1:80 -s wrr\n"
        + "".join(
            f"-a -t 10.{net}.{s}.1:80 -r 172.16.{s}.{d}:80 -m -w {d}\n"
            for d in range(1, servers + 1)
        )
        for s in range(1, services + 1)
    )


def test_many_by_two_at_once(clean, program):
    """A dump larger than any datagram, made by two programs at the same time."""
    text = [rules(net, 100, 10) for net in (1, 2)]
    both = [start(program, "-R") for _ in text]
    for process, lines in zip(both, text):
        process.stdin.write(lines)
        process.stdin.close()
    for process in both:
        assert process.wait(60) == 0, process.stderr.read()
    assert clean(["-S", "-n"], "").out == "".join(text)


def test_killed_in_the_middle(clean, program):
    lines = rules(3, 200, 5)
    process = start(program, "-R")
    process.stdin.write(lines[: len(lines) // 2])
    process.stdin.flush()
    time.sleep(0.3)
    process.kill()
    process.wait(10)
    left = clean(["-S", "-n"], "").out
    assert lines.startswith(left)
    assert clean(["-A", "-t", "10.99.0.1:80", "-s", "rr"], "").rc == 0
    assert inside(BUILD / "ipvsadm" / "ipvsadm", "-S", "-n").stdout == (
        left + "-A -t 10.99.0.1:80 -s rr\n"
    )


def test_without_privilege(clean, program, tmp_path):
    """As the original is told by the kernel: the family is found, its commands are refused."""
    for argv in (["-Ln"], ["-A", "-t", "10.0.0.1:80"], ["-C"]):
        done = inside(
            "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", BPVS, "run", "--",
            "ipvsadm", *argv, env=program,
        )  # fmt: skip
        assert done.returncode != 0
        assert "Permission denied (you must be root)" in done.stderr
    assert clean(["-S", "-n"], "").out == ""


def test_a_socket_opened_in_another_namespace(clean, space):
    """The socket says whose tables are meant, not where the program is by then."""
    assert clean(["-A", "-t", "10.0.0.7:80", "-s", "rr"], "").rc == 0
    script = [BPVS, "run", "--", sys.executable, ROOT / "tests/prog/shim_elsewhere.py"]
    done = subprocess.run(
        [*script, f"/run/netns/{space}"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 answered, 1 by the option\n"


# ---- messages as they are ----


def send(lines, program="genl"):
    """The answers."""
    done = inside(BPVS, "run", "--", BUILD / "tests/prog" / program, input="\n".join(lines) + "\n")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tunnels_are_listed_alike(clean):
    """What no ipvsadm would say, too: ports and flags that mean nothing to the type.

    At types and flags that it does not know the original's --tun-info and -S crash.
    """
    maker, mark = genl.Maker(0), {1: genl.u16(2), 5: genl.u32(7)}
    assert clean(["-A", "-f", "7", "-s", "rr"], "").rc == 0
    messages = []
    cases_of = itertools.product((2, 3), (0, 1, 2), (1, 6080, 65535), (0, 1, 2))
    for n, (method, kind, port, flags) in enumerate(cases_of, 1):
        dest = {1: genl.address(f"10.0.2.{n}"), 2: genl.be16(0), 3: genl.u32(method),
                4: genl.u32(1), 5: genl.u32(0), 6: genl.u32(0), 13: bytes([kind]),
                14: genl.be16(port), 15: genl.u16(flags)}  # fmt: skip
        raw = maker.nest(genl.SERVICE, mark) + maker.nest(genl.DEST, dest)
        messages.append(genl.line(genl.NEW_DEST, genl.REQUEST | genl.ACK, raw))
    assert len(set(send(messages).splitlines()) - {"."}) == 1, "all are taken"
    for words in (["-Ln", "--tun-info"], ["-Sn"]):
        theirs = clean(words, "")
        ours = inside(BUILD / "ipvsadm" / "ipvsadm", *words)
        assert (theirs.rc, theirs.out) == (0, cases.normal(ours.stdout))
        assert theirs.out.count("10.0.2.") == len(messages)


@pytest.mark.parametrize("made", [genl, sockopt], ids=["genl", "sockopt"])
def test_messages(made, clean, space):
    """The recorded stream of right and wrong messages is answered as kernel 6.1 answered it."""
    sent = made.scenarios(made.RECORDED_SEED, made.RECORDED_COUNT)
    lines = [line for scenario in sent for line in scenario]
    got = send(lines, made.RECORDED.stem)
    assert made.differences(sent, made.RECORDED.read_text(), got) == []


def test_options_without_privilege(clean):
    """Refused before anything is looked at; an option that is not IPVS's is the kernel's to know."""
    lines, want = zip(*sockopt.UNPRIVILEGED)
    assert clean(["-A", "-f", "7", "-s", "rr"], "").rc == 0
    done = inside(
        "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", BPVS, "run", "--",
        BUILD / "tests/prog/sockopt", input="\n".join(lines) + "\n",
    )  # fmt: skip
    assert done.stdout.splitlines() == list(want)
    assert clean(["-S", "-n"], "").out == "-A -f 7 -s rr\n"
