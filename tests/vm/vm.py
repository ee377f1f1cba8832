# SPDX-License-Identifier: GPL-2.0-only
"""Run commands in a virtual machine with one of Debian's stock kernels (tests/vm/run)."""

import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
MACHINE_FAILED = 125  # tests/vm/run: the machine, not the command
LIBRARY_DIRS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
PREPARE = 900  # seconds to download and unpack a kernel, at worst


class VmError(Exception):
    """The machine itself failed: it did not boot, or ended before the command did."""


def vm_missing(kernel="6.1"):
    """Why this host cannot run that kernel, or None; makes it ready on the way."""
    for program in ("qemu-system-x86_64", "busybox", "cpio"):
        if not shutil.which(program):
            return f"no {program} (tools/deps installs it)"
    done = subprocess.run(
        [HERE / "kernel", kernel], capture_output=True, text=True, timeout=PREPARE, check=False
    )
    return None if done.returncode == 0 else done.stderr.strip()


def vm_run(command, timeout=300, kernel="6.1", options=()):
    """Run a command as root in the guest, from the repository's root, on this host's files.

    `timeout` covers boot and command; running into it gives exit status 124. `options` go to
    tests/vm/run. Returns a subprocess.CompletedProcess with output as text.
    """
    run = [HERE / "run", "--kernel", kernel, "--timeout", str(timeout), *options, "--", *command]
    done = subprocess.run(
        run, capture_output=True, text=True, timeout=timeout + PREPARE, check=False
    )
    if done.returncode == MACHINE_FAILED:
        raise VmError(done.stderr)
    return done


def vm_stream(command, timeout=300, kernel="6.1", options=()):
    """As vm_run(), but output goes where ours does, as it comes. Returns the exit status."""
    run = [HERE / "run", "--kernel", kernel, "--timeout", str(timeout), *options, "--", *command]
    return subprocess.run(run, timeout=timeout + PREPARE, check=False).returncode


def build_tools(directory):
    """Build the injector and its programs, which the guest runs, in that directory."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["make", "-s", "-C", HERE, f"OUT={directory}"], check=True)


def unpacked(package):
    """A package of the system's release, unpacked, not installed: its directory."""
    done = subprocess.run(
        [HERE / "kernel", "--deb", package], check=True, stdout=subprocess.PIPE, text=True
    )
    return pathlib.Path(done.stdout.strip())


def library_path(packages):
    return ":".join(str(unpacked(package) / lib) for package in packages for lib in LIBRARY_DIRS)


def kernel_ipvsadm():
    """The ipvsadm of kernel IPVS: its path, and its LD_LIBRARY_PATH."""
    libraries = library_path(("libnl-3-200", "libnl-genl-3-200", "libpopt0"))
    return unpacked("ipvsadm") / "sbin" / "ipvsadm", libraries


def iptables(kind="nft"):
    """iptables: the program that is all of them, and the environment it needs. `kind` is nft or
    legacy."""
    libraries = ("libip4tc2", "libip6tc2", "libxtables12", "libmnl0", "libnftnl11")
    home = unpacked("iptables") / "usr"
    return home / "sbin" / f"xtables-{kind}-multi", {
        "LD_LIBRARY_PATH": library_path(libraries),
        "XTABLES_LIBDIR": str(next(home.glob("lib/*/xtables"))),
    }
