# SPDX-License-Identifier: GPL-2.0-only
"""The original's answers and ours, side by side."""

import contextlib
import fcntl
import hashlib
import json
import pathlib
import re
import shlex
import tempfile

import play
from vm import kernel_ipvsadm, unpacked, vm_stream

HERE = pathlib.Path(__file__).resolve().parent
QUICKER = "mitigations=off init_on_alloc=0 apparmor=0 audit=0"
ANSWERS = 1500  # so many are made by one boot, and kept, at once


def normal(result):
    """(size=N) is the size of the connection table, which is ours to choose; what modprobe says, which
    the original calls where it gets no answer, is about the host's kernel."""
    status, out, err = result
    return [status, re.sub(r"\(size=\d+\)", "(size=N)", out), re.sub(r"(?m)^modprobe: .*\n", "", err)]


def outcome(answer):
    return [normal(answer["got"]), normal(answer["after"])]


def key(case):
    kept = {k: v for k, v in sorted(case.items()) if k not in ("id", "category")}
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()[:24]


class Original:
    """Answers of ipvsadm 1.31 on kernel IPVS; a machine makes those that are not kept yet.

    They depend on the case, the kernel, the package, the names and the code that runs them.
    """

    def __init__(self, cache, kernel):
        self.kernel = kernel
        self.path_of_program, self.libraries = kernel_ipvsadm()
        release = (cache / kernel / "release").read_text().strip()
        made_by = [HERE / "play.py", *sorted((HERE / "etc").iterdir())]
        digest = hashlib.sha256(b"".join(p.read_bytes() for p in made_by))
        digest.update(unpacked("ipvsadm").name.encode() + self.path_of_program.read_bytes())
        self.path = cache / "corpus" / f"{release}-{digest.hexdigest()[:12]}.json"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.known = self.load()
        self.made = 0

    def load(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def keep(self, answers):
        """Others may be at it, too."""
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.known = {**self.load(), **answers}
            fresh = self.path.with_suffix(".new")
            fresh.write_text(json.dumps(self.known))
            fresh.rename(self.path)

    def answer(self, cases, timeout):
        """All of them, in order."""
        missing = [c for c in cases if key(c) not in self.known]
        for at in range(0, len(missing), ANSWERS):
            part = missing[at:at + ANSWERS]
            self.keep(self.ask(part, timeout))
        return [self.known[key(c)] for c in cases]

    def ask(self, cases, timeout):
        with tempfile.TemporaryDirectory(prefix="bpvs-corpus.") as name:
            out = pathlib.Path(name)
            program = {"path": str(self.path_of_program), "libraries": self.libraries.split(":")}
            (out / "cases.json").write_text(
                json.dumps({"program": program, "cases": cases, "workers": 2}))
            status = vm_stream(["/usr/bin/python3", "tests/corpus/play.py"], timeout, self.kernel,
                               ["--out", out, "--append", QUICKER])
            lines = []
            with contextlib.suppress(FileNotFoundError):
                lines = (out / "answers.jsonl").read_text().splitlines()
        answers = [json.loads(line) for line in lines if line.endswith("]") or line.endswith("}")]
        good = {key(cases[n]): a for n, a in answers if "error" not in a}
        if status or len(good) < len(cases):
            self.keep(good)
            raise RuntimeError(f"the guest ended with {status}, {len(good)} of {len(cases)} answered")
        self.made += len(good)
        return good


def ours(program, cases, workers):
    """Our own ipvsadm's, in order."""
    answers = [None] * len(cases)
    play.play_all(program, cases, workers, answers.__setitem__)
    return answers


def differ(case, real, got):
    """What differs, as lines to print; none: nothing does."""
    if "error" in got:
        return [f"did not end: {got['error']}"]
    names = ["the command", " ".join(play.looks(case).split("\n")) + "afterwards"]
    lines = []
    for name, theirs, mine in zip(names, outcome(real), outcome(got)):
        for what, a, b in zip(("exit status", "output", "errors"), theirs, mine):
            if a != b:
                lines += [f"{what} of {name}:", f"  original {shown(a)}", f"  ours     {shown(b)}"]
    return lines


def shown(value):
    text = repr(value)
    return text if len(text) < 1500 else text[:700] + " ... " + text[-700:]


def describe(case):
    head = " ".join(f"{k}={case[k]!r}" for k in ("argv0", "env", "full", "nobody") if k in case)
    lines = [f"== {case['id']}: ipvsadm {shlex.join(case['argv'])} {head}"]
    lines += [f"   after {line}" for line in case["setup"]]
    if case["stdin"]:
        lines.append(f"   input {shown(case['stdin'])}")
    return lines
