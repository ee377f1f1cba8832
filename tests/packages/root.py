# SPDX-License-Identifier: GPL-2.0-only
"""A Debian 12 to install packages into: a copy-on-write view of what tests/packages/rootfs made."""

import os
import pathlib
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent

# Mounts, processes and network are namespaces of its own. $1 where to mount, $2 the root that it is
# a view of, $3 the packages, $4 the first process: systemd or empty; $5 its
# control group.
HOLDER = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root" "$1/cgroup"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t tmpfs tmpfs dev
for file in null zero full random urandom tty; do
    touch "dev/$file"
    mount --bind "/dev/$file" "dev/$file"
done
mkdir dev/shm
ln -s /proc/self/fd dev/fd
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t bpf bpf sys/fs/bpf
mkdir packages
mount --bind "$3" packages
ip link set lo up
echo ready
[ "$4" ] || exec cat
# systemd wants a control group to be the root of, and must not get the host's
mount -t cgroup2 cgroup2 "$1/cgroup"
mkdir "$1/cgroup/$5"
echo $$ >"$1/cgroup/$5/cgroup.procs"
exec unshare --cgroup sh -c 'mount -t cgroup2 cgroup2 sys/fs/cgroup && exec chroot . "$0"' "$4"
"""

# What systemd has left of its control groups, as soon as all that was in them is dead.
CGROUP_AWAY = """
mount -t cgroup2 cgroup2 "$1"
for try in $(seq 100); do
    find "$1/$2" -depth -type d -exec rmdir {} + 2>/dev/null || :
    [ -d "$1/$2" ] || exit 0
    sleep 0.1
done
"""


def make_rootfs():
    """The directory that they are views of; takes a minute or two the first time."""
    done = subprocess.run([HERE / "rootfs"], stdout=subprocess.PIPE, text=True, timeout=1800,
                          check=True)
    return done.stdout.strip()


class Root:
    """init: a program to be its first process in the place of one that just waits."""

    def __init__(self, lower, directory, packages, init=""):
        self.packages = packages
        self.directory = directory
        self.init = init
        self.cgroup = f"bpvs-packages-{os.getpid()}"
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child",
             "sh", "-c", HOLDER, "sh", directory, lower, packages, init, self.cgroup],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, container="chroot"))
        assert self.holder.stdout.readline() == "ready\n"
        children = pathlib.Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        self.pid = children.read_text().split()[0]

    def close(self):
        """All of it ends with its first process."""
        self.holder.stdin.close()
        self.holder.kill()
        self.holder.wait(timeout=30)
        if self.init:
            subprocess.run(["unshare", "--mount", "sh", "-ec", CGROUP_AWAY, "sh", self.directory,
                            self.cgroup],
                           check=False, timeout=30)

    def run(self, *argv, check=True, timeout=120, **kwargs):
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["nsenter", "-t", self.pid, "-m", "-p", "-n", "-u", "-i",
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

    def until(self, what, seconds=60):
        """Wait for a command to succeed."""
        end = time.monotonic() + seconds
        while self.run(*what, check=False).returncode:
            assert time.monotonic() < end, f"{what}: not within {seconds} s"
            time.sleep(0.2)
