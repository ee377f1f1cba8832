# SPDX-License-Identifier: GPL-2.0-only
"""Run command lines, each on tables of a known state, in a network namespace of our own.

In the guest it is the original's turn, on the host ours; nothing but the program differs.
"""

import ctypes
import json
import multiprocessing.util
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ETC = HERE / "etc"
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
TIMEOUT = 120  # seconds for one process; a guest is slow
NOBODY = 65534
# What brings tables, timeouts and daemons to where a case begins. A line that fails is passed over.
RESET = "-C\n--set 900 120 300\n"
RESET_DAEMONS = "--stop-daemon master\n--stop-daemon backup\n"
LINKS = """\
link set lo up
link add d0 type veth peer name d1
link set d0 up
link set d1 up
addr add 10.9.9.254/24 dev d0
addr add 2001:db8:9::254/64 dev d0 nodad
"""

program = None  # what is run here: "path" and "env"; "up" and "down", commands; "stub", a file


def call(number, *words):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, number)(*words):
        raise OSError(ctypes.get_errno(), number)


def enter(what):
    """A namespace with two addresses, and the names of tests/corpus/etc in place of the host's."""
    global program
    call("unshare", CLONE_NEWNS | CLONE_NEWNET)
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    subprocess.run(["ip", "-batch", "-"], input=LINKS, text=True, check=True)
    program = dict(what, env=dict(what["env"]))
    multiprocessing.util.Finalize(None, leave, exitpriority=1)
    if "stub" in program:
        program["env"]["BPVS_STUB"] = f"{program['stub']}.{os.getpid()}"
    for words in program.get("up", ()):
        subprocess.run(words, check=True)
    call("mount", str(ETC).encode(), b"/etc", None, MS_BIND, None)


def leave():
    """What would outlive the namespace."""
    for words in program.get("down", ()):
        subprocess.run(words, check=True)
    if "stub" in program:
        pathlib.Path(program["env"]["BPVS_STUB"]).unlink(missing_ok=True)


def start(argv, stdin="", argv0="ipvsadm", env=None, full=False, nobody=False):
    """[exit status, output, errors]"""
    where = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **program["env"], **(env or {})}
    with open("/dev/full", "wb") as sink:
        done = subprocess.run(
            [argv0.encode(), *(w.encode(errors="surrogateescape") for w in argv)],
            executable=program["path"], env=where, timeout=TIMEOUT, check=False, cwd="/",
            input=stdin.encode(errors="surrogateescape"), stderr=subprocess.PIPE,
            stdout=sink if full else subprocess.PIPE, user=NOBODY if nobody else None)
    text = lambda data: (data or b"").decode(errors="surrogateescape")
    return [done.returncode % 256, text(done.stdout), text(done.stderr)]


def looks(case):
    """The commands whose output is the state afterwards. One process runs them all, by -R."""
    text = " ".join([*case["argv"], case["stdin"], *case["setup"]])
    some = ["-S -n"]
    if any(w in text for w in ("-x", "-y", "threshold")):
        some.append("-Ln --thresholds")
    if "--set" in text:
        some.append("-L --timeout")
    if "-daemon" in text:
        some.append("-L --daemon")
    if "tun" in text:
        some.append("-Ln --tun-info")
    return "".join(line + "\n" for line in some)


def play(case):
    daemons = RESET_DAEMONS if "-daemon" in " ".join([*case["argv"], case["stdin"]]) else ""
    rules = RESET + daemons + "".join(line + "\n" for line in case["setup"])
    start(["-R"], rules)
    how = {k: case[k] for k in ("argv0", "env", "full", "nobody") if k in case}
    answer = {"got": start(case["argv"], case["stdin"], **how),
              "after": start(["-R"], looks(case))}
    if daemons:
        start(["-R"], daemons)
    return answer


def play_safely(numbered):
    number, case = numbered
    try:
        return number, play(case)
    except subprocess.SubprocessError as error:
        return number, {"error": str(error)}


def play_all(what, cases, workers, tell):
    """Every case in one of so many workers; tell(number, answer) as they come."""
    pool = multiprocessing.get_context("fork").Pool(workers, enter, (what,))
    try:
        for number, answer in pool.imap_unordered(play_safely, enumerate(cases), chunksize=4):
            tell(number, answer)
    finally:
        pool.close()  # not terminate(): workers leave() on their way out
        pool.join()


def in_memory(what):
    """Reading over 9p is slow, and so is looking for libraries in many directories."""
    global ETC
    home = pathlib.Path("/dev/shm/corpus")
    home.mkdir()
    for directory in what["libraries"]:
        for path in pathlib.Path(directory).glob("*.so*"):
            shutil.copy(path, home / path.name)
    ETC = shutil.copytree(ETC, home / "etc")
    return {"path": shutil.copy(what["path"], home / "ipvsadm"),
            "env": {"LD_LIBRARY_PATH": str(home)}}


def guest():
    """In the guest: cases.json of the shared directory to answers.jsonl there."""
    out = pathlib.Path(os.environ["BPVS_VM_OUT"])
    task = json.loads((out / "cases.json").read_text())
    subprocess.run(["modprobe", "ip_vs"], check=True)
    with open(out / "answers.jsonl", "w", buffering=1) as answers:
        play_all(in_memory(task["program"]), task["cases"], task["workers"],
                 lambda number, answer: print(json.dumps([number, answer]), file=answers))


if __name__ == "__main__":
    sys.exit(guest())
