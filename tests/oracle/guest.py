#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The guest's part of the oracle: worker processes in one boot, fed through the shared directory.

The host writes task-N.json, N from 0 on, and reads answer-N.json; `stop` ends it.
"""

import json
import os
import pathlib
import select
import shutil
import sys
import time

import work
import arena

POLL = 0.03  # seconds between looks for a task


def copy_tools(tools):
    """Programs and libraries in memory: reading them over 9p is slow."""
    home = pathlib.Path("/dev/shm/oracle")
    home.mkdir()
    for name in ("bpvs", "bpvs_ipvsadm", "kernel_ipvsadm"):
        tools[name] = shutil.copy(tools[name], home / name)
    for directory in filter(os.path.isdir, tools["libs"].split(":")):
        for path in pathlib.Path(directory).glob("*.so*"):
            shutil.copy(path, home / path.name)
    tools["libs"] = str(home)


def put(path, message):
    """The other side sees the file only when all is in it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(message))
    fresh.rename(path)


def serve(out, workers):
    waiting, number = [], 0
    while not (out / "stop").exists():
        while (path := out / f"task-{number}.json").exists():
            waiting.append((number, json.loads(path.read_text())))
            number += 1
        for at, task in list(waiting):
            idle = next((w for w in workers if w.engine == task["engine"] and not w.task), None)
            if idle:
                waiting.remove((at, task))
                idle.start((at, task))
        busy = [w for w in workers if w.task]
        for sock in select.select([w.sock for w in busy], [], [], POLL)[0]:
            (worker,) = [w for w in busy if w.sock is sock]
            (at, _), answer = worker.finish()
            put(out / f"answer-{at}.json", answer)
        for (at, _), answer in work.replace_overdue(workers):
            put(out / f"answer-{at}.json", answer)


def main():
    out = pathlib.Path(os.environ["BPVS_VM_OUT"])
    config = json.loads((out / "config.json").read_text())
    arena.load_modules()
    copy_tools(config["tools"])
    workers = [work.Worker(engine, config["tools"])
               for engine, n in config["workers"].items() for _ in range(n)]
    put(out / "ready.json", {"kernel": os.uname().release, "time": time.time()})
    serve(out, workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
