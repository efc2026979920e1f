"""No run that a caller or a model can cause ends the process: it is refused, or it is answered."""

import json
import subprocess
import sys

import pytest

from tests.execution import run_guard_cases
from tests.execution.run_guard_cases import CASES, MODES

PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def answers():
    """The answer of each case in each mode, up to where the process ended; how it ended, under None."""
    done = subprocess.run(
        [sys.executable, "-m", run_guard_cases.__name__],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {None: done, **{(name, mode): answer for name, mode, answer in lines}}


def test_the_process_survives_all_cases(answers):
    assert answers[None].returncode == 0, answers[None].stderr[-2000:]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_each_case_has_its_answer(answers, name, mode):
    *_, expected = CASES[name]
    allowed = (expected,) if isinstance(expected, str) else expected
    assert (name, mode) in answers, "the process ended at this case, or before it"
    assert any(text in answers[name, mode] for text in allowed), answers[name, mode]
