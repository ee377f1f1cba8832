# SPDX-License-Identifier: GPL-2.0-only
"""A Debian 12 to install packages into: a copy-on-write view of what tests/packages/rootfs made."""

import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent

# Mounts, processes and network are namespaces of its own, so that all ends with the first process,
# which ends when its standard input does.
HOLDER = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mkdir -p sys/fs/bpf
mount -t bpf bpf sys/fs/bpf
mkdir -p packages
mount --bind "$3" packages
ip link set lo up
echo ready
exec cat
"""


def make_rootfs():
    """The directory that they are views of; takes a minute or two the first time."""
    done = subprocess.run([HERE / "rootfs"], stdout=subprocess.PIPE, text=True, timeout=1800,
                          check=True)
    return done.stdout.strip()


class Root:
    def __init__(self, lower, directory, packages):
        self.packages = packages
        self.directory = directory
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", HOLDER,
             "sh", directory, lower, packages],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        children = pathlib.Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        self.pid = children.read_text().split()[0]

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(timeout=30)

    def run(self, *argv, check=True, timeout=120, **kwargs):
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["nsenter", "-t", self.pid, "-m", "-p", "-n",
             "chroot", f"{self.directory}/root", *map(str, argv)],
            capture_output=True, text=True, timeout=timeout, env=env, check=False,
            **({} if "input" in kwargs else {"stdin": subprocess.DEVNULL}), **kwargs)
        if check:
            assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def sh(self, script, **kwargs):
        return self.run("sh", "-ec", script, **kwargs)

    def apt(self, *argv, **kwargs):
        """There is no network: what is needed has been downloaded."""
        return self.run("apt-get", "-y", "-o", "APT::Sandbox::User=root", *argv, **kwargs)

    def install(self, *names):
        """Packages by name, and ours by their files."""
        return self.apt("install", "--no-install-recommends", *names)

    def ours(self, name):
        return next(f"/packages/{f.name}" for f in sorted(self.packages.glob(f"{name}_*.deb")))

    def status(self, package):
        done = self.run("dpkg-query", "-W", "-f=${db:Status-Status}", package, check=False)
        return done.stdout or "not-installed"

    def exists(self, path):
        return self.run("test", "-e", path, check=False).returncode == 0
