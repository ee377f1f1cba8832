# SPDX-License-Identifier: GPL-2.0-only
"""What every tier shares: where the build is, and the closing line that CI reads."""

import pytest

from common import BUILD


@pytest.fixture(scope="session")
def build():
    return BUILD


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """The last line of a run, in the form that CI reads."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    count = lambda *keys: sum(len(reporter.stats.get(k, [])) for k in keys)
    print(
        f"{count('passed')} passed, {count('failed', 'error')} failed, {count('skipped')} skipped"
    )
