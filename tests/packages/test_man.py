# SPDX-License-Identifier: GPL-2.0-only
"""Man pages: clean, and about all that the tools have."""

import json
import os
import re
import subprocess

import pytest
from common import BUILD, ROOT

PAGES = sorted(p.name.removesuffix(".in") for p in (ROOT / "man").glob("*.in"))
TOOLS = {"ipvsadm.8": "ipvsadm/ipvsadm", "bpvs.8": "bpvs/bpvs"}


def run(*argv, **kwargs):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60,
                          check=False, **kwargs)


def shown(page):
    env = dict(os.environ, MANWIDTH="400", LC_ALL="C.UTF-8", MAN_KEEP_FORMATTING="")
    return run("man", "-l", BUILD / "man" / page, env=env).stdout


@pytest.mark.parametrize("page", PAGES)
def test_clean(page):
    """groff and mandoc have nothing to say."""
    path = BUILD / "man" / page
    env = dict(os.environ, LC_ALL="C.UTF-8", MANROFFSEQ="")
    assert run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path, env=env).stderr == ""
    done = run("mandoc", "-Tlint", "-Wwarning", path)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("page", TOOLS)
def test_complete(page):
    """Each row of the tables has a paragraph of its own, not just what --help says."""
    done = run(ROOT / "tools/gen-docs", "missing", BUILD / "man/tables.txt",
               ROOT / "man" / f"{page}.in")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("page", TOOLS)
def test_help_is_in_it(page):
    """By another way than the tables: words of --help that begin with a dash."""
    words = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", run(BUILD / TOOLS[page], "--help").stdout))
    assert len(words) > 8
    text = shown(page)
    assert [w for w in sorted(words) if not re.search(rf"(?<![\w-]){w}(?![\w-])", text)] == []


def said_of(schema):
    """Keys, words and bounds of a schema, but of what it refers to."""
    if isinstance(schema, list):
        return set().union(*map(said_of, schema))
    if not isinstance(schema, dict):
        return set()
    found = {str(w).lower() for w in schema.get("enum", [])}
    found |= {str(schema[k]) for k in ("minimum", "maximum", "maxItems") if k in schema}
    found |= set(schema.get("properties", {}))
    return found.union(*(said_of(value) for value in schema.values()))


@pytest.mark.parametrize("heading, names", [
    ("The file", ["config", "timeouts"]), ("A service", ["service"]), ("A destination", ["destination"]),
    ("tunnel", [])])  # fmt: skip
def test_config_page_says_what_the_schema_says(heading, names):
    """Every key, word and bound, where it belongs."""
    schema = json.loads((ROOT / "docs" / "bpvs.schema.json").read_text())["$defs"]
    if heading == "tunnel":
        parts = [schema["destination"]["properties"]["tunnel"]]
        begin, end = "\n.B tunnel\n", "\n.RE\n"
    else:
        parts = [schema[name] for name in names]
        begin, end = f"\n.SS {heading}\n", "\n.S"
    page = (ROOT / "man" / "bpvs-config.5.in").read_text()
    section = page.partition(begin)[2].partition(end)[0].replace("\\-", "-")
    words = set(re.findall(r"[\w-]+", section))
    assert said_of(parts) - words == set() != words


def test_lab_and_table_agree():
    """The lab is a script, with a usage text of its own."""
    lab = re.findall(r"^ +bpvs (lab .*)", run(ROOT / "lab/lab", "--help").stdout, re.M)
    table = re.findall(r"^ +bpvs (lab .*)", run(BUILD / TOOLS["bpvs.8"], "--help").stdout, re.M)
    assert lab == table and len(lab) == 3


def test_verbs_know_their_options():
    """What the table says of a verb's options is what the verb takes, and no other."""
    text = run(BUILD / TOOLS["bpvs.8"], "--help").stdout
    for verb in ("up", "realserver"):
        forms = " ".join(re.findall(rf"^ +bpvs {verb}\b(.*)", text, re.M))
        said = set(re.findall(r"--([a-z-]+)", forms))
        source = (ROOT / "bpvs" / f"{verb}.c").read_text()
        taken = set(re.findall(r'\{ "([a-z-]+)", (?:required|no|optional)_argument', source))
        assert said == taken and taken


def test_a_verb_says_its_own_forms():
    text = run(BUILD / TOOLS["bpvs.8"], "--help").stdout
    verbs = set(re.findall(r"^  bpvs (\w+)", text, re.M))
    assert len(verbs) > 10
    for verb in verbs:
        said = run(BUILD / TOOLS["bpvs.8"], verb, "--help").stdout.splitlines()
        assert all(re.match(rf"bpvs {verb}( |$)", line) for line in said[:-1])
        assert len(said) > 1 and all(line in text for line in said), verb
