# SPDX-License-Identifier: GPL-2.0-only
"""Debian's stock kernel boots on this host's files and has what the other tiers need."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from vm import HERE, build_tools, kernel_ipvsadm, vm_missing, vm_run


@pytest.fixture(scope="module")
def boot(build, tmp_path_factory):
    """One boot answers all questions: the finished process, and the directory it could write to."""
    reason = vm_missing()
    if reason:
        pytest.skip(reason)
    tools = build / "vm-tools"
    build_tools(tools)
    out = tmp_path_factory.mktemp("vm-out")
    ours = build / "ipvsadm" / "ipvsadm", build / "bpvs" / "bpvs"
    command = [HERE / "probe", tools, *kernel_ipvsadm(), *ours]
    return vm_run([str(c) for c in command], timeout=900, options=["--out", str(out)]), out


@pytest.fixture(scope="module")
def told(boot):
    return dict(line.split("\t", 1) for line in boot[0].stdout.splitlines())


def test_streams_status_and_files_come_back(boot):
    done, out = boot
    assert done.returncode == 7, done.stderr
    assert done.stderr == "errors\tsaid\n"
    assert (out / "probe").read_text() == "written\n"


def test_it_is_the_stock_kernel_with_btf(told):
    assert told["uname"].startswith("6.1.")
    assert told["uname"] != os.uname().release
    assert told["btf"] == "9feb"
    assert told["bpffs"] == "bpf_fs"


def test_it_works_as_root_in_the_tree(told):
    assert told["user"] == "0"
    assert told["cwd"] == str(HERE.parent.parent)


@pytest.mark.parametrize("scheduler", ["rr", "wrr", "lc", "wlc"])
def test_kernel_ipvs_schedules(told, scheduler):
    assert told[scheduler] == "ok"


@pytest.mark.parametrize(
    "thing", ["dummy", "vlan", "ipip", "ip6tnl", "sit", "veth", "nft", "clsact", "netns"]
)
def test_modules_load_by_themselves(told, thing):
    assert told[thing] == "ok"


def test_programs_attach(told):
    assert told["xdp"] == "ok"
    assert told["xdp-mode"] == "xdp"  # native: the generic one would say xdpgeneric
    assert told["tc"] == "ok"


@pytest.mark.parametrize(
    "thing", ["up", "add", "add-dest", "edit-dest", "list", "clear", "down"]
)
def test_our_commands_work(told, thing):
    assert told[thing] == "ok"


def test_none_of_them_has_the_kernel_run_modprobe(told):
    assert int(told["asked"]) > 0, "it is seen when one does"
    assert told["asked-by-ours"] == ""


def test_writes_stay_in_the_guest(told):
    assert told["write"] == "ok"
    assert not (HERE / "probe.touched").exists()


def test_a_machine_that_takes_too_long_is_stopped(boot):
    assert boot  # the kernel is there, so the time is the boot's
    assert vm_run(["true"], timeout=2).returncode == 124


BOOT = """
import sys
sys.path[:0] = sys.argv[1:]
import places
places.Machine("6.1", {}, {}, 600).boot()
"""


def naming(directory):
    """Command lines that name the directory, of the processes that there are."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes())
    return [line for line in found if str(directory).encode() in line]


def within(seconds, condition):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def test_a_killed_oracle_leaves_no_machine(tmp_path):
    """Nor its directories, wherever in the boot it is killed."""
    if reason := vm_missing():
        pytest.skip(reason)
    tests = HERE.parent
    runner = subprocess.Popen([sys.executable, "-c", BOOT, tests / "oracle", tests, HERE],
                              env=dict(os.environ, TMPDIR=str(tmp_path)))
    try:
        assert within(180, lambda: any(b"qemu-system" in line for line in naming(tmp_path)))
    finally:
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    assert within(60, lambda: not naming(tmp_path) and not list(tmp_path.iterdir()))
