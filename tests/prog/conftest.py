# SPDX-License-Identifier: GPL-2.0-only
"""A namespace with an engine for each module of packet tests."""

import itertools
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402

client_ports = itertools.count(10000)


@pytest.fixture(scope="module")
def ns(build):
    space = harness.Namespace(build)
    try:
        space.run_tool("up")
        yield space
    finally:
        space.close()


@pytest.fixture(scope="module")
def prog(ns):
    p = harness.Prog(ns)
    yield p
    p.close()


@pytest.fixture
def port():
    """A client port that no other test uses, so that flows never meet."""
    return next(client_ports)


@pytest.fixture
def no_bugs(prog):
    """No packet of a test may find the engine's own state broken."""
    yield
    counters = prog.counters()
    assert {k: v for k, v in counters.items() if k.startswith("bug-") and v} == {}
