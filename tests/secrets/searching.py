"""A hook of pytest: a test that wrote a secret of the suite has failed."""

from __future__ import annotations

import pytest

from tests.secrets.registry import SECRETS

_SEARCHED = pytest.StashKey[int]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Search what a test wrote to stdout, stderr and the log."""
    outcome = yield
    report = outcome.get_result()
    # Each report has what those before it had, too.
    before, item.stash[_SEARCHED] = item.stash.get(_SEARCHED, 0), len(report.sections)
    if report.passed:
        found = sorted({what for _title, text in report.sections[before:] for what in SECRETS.find(text)})
        if found:
            report.outcome = "failed"
            report.longrepr = f"what {item.name} wrote holds a secret: {', '.join(found)}"
