#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""In the guest: one scenario of the oracle in kernel IPVS and in BPVS, and what both say in
/proc/net/ip_vs* then. task.json of the shared directory to files.json there."""

import json
import os
import pathlib
import shutil
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))

import arena  # noqa: E402
import guest  # noqa: E402
import scenario  # noqa: E402
import work  # noqa: E402

OURS = ["ip_vs", "ip_vs_app", "ip_vs_conn", "ip_vs_conn_sync", "ip_vs_stats", "ip_vs_stats_percpu", "ip_vs_status"]


def kernels(_world, name):
    try:
        return pathlib.Path("/proc/net", name).read_text(encoding="ascii")
    except FileNotFoundError:
        return None


def ours(world, name):
    return world.bpvs("proc", name)


def opened(world, name):
    """By a program that opens the file."""
    env = dict(os.environ, LD_PRELOAD=world.tools["shim"])
    return arena.spawn(["cat", f"/proc/net/{name}"], env)[1]


def files(engine, task):
    """{how: {name: text}}; a file that the kernel does not have is null. Under "seconds" how long
    all took, from the first event on."""
    (read,) = scenario.parse(task["text"])
    here = arena.WORLDS[engine](task["tools"])
    here.reset(task["text"], True)
    for event in read.events:
        here.event(event)
    here.settle(task["rounds"])
    ways = {"kernel": kernels} if engine == "kernel" else {"proc": ours, "opened": opened}
    try:
        found = {way: {name: fn(here, name) for name in OURS} for way, fn in ways.items()}
        return {**found, f"seconds {engine}": time.monotonic() - here.start}
    finally:
        here.end()


def in_a_child(out, engine, task):
    """Each in a namespace of its own."""
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0, engine
        return json.loads((out / f"{engine}.json").read_text())
    signal.signal(signal.SIGALRM, work.late)
    (out / f"{engine}.json").write_text(json.dumps(files(engine, task)))
    sys.stdout.flush()
    os._exit(0)


def main():
    out = pathlib.Path(os.environ["BPVS_VM_OUT"])
    task = json.loads((out / "task.json").read_text())
    arena.load_modules()
    shim = pathlib.Path(task["tools"]["shim"])
    guest.copy_tools(task["tools"])
    task["tools"]["bpvs"] = str(task["tools"]["bpvs"])
    for path in shim.parent.glob("*.so"):
        shutil.copy(path, task["tools"]["libs"])
    task["tools"]["shim"] = str(pathlib.Path(task["tools"]["libs"], shim.name))
    said = {"release": os.uname().release}
    for engine in arena.WORLDS:
        said.update(in_a_child(out, engine, task))
    (out / "files.json").write_text(json.dumps(said))


if __name__ == "__main__":
    sys.exit(main())
