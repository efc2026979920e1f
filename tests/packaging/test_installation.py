"""Running pip: its log, its progress, its failure."""

from __future__ import annotations

import signal
import sys

import pytest
from installation import Installation, InstallationFailed, follow_phase, held_back


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        ("Collecting numpy==2.4.6 (from -r requirements/serve.txt (line 4))", "looking up numpy"),
        ("  Downloading tensorflow-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl (620 MB)", "downloading tensorflow"),
        ("Downloading https://host/packages/ml_dtypes-0.6.0.whl (2 MB)", "downloading ml_dtypes"),
        ("  Using cached absl_py-2.5.1-py3-none-any.whl (140 kB)", "taking absl_py from the cache"),
        ("Installing collected packages: namex, wrapt, numpy", "unpacking and compiling 3 package(s)"),
        ("  anything else", "before"),
    ],
)
def test_a_line_of_pip_tells_what_it_is_doing(line, phase):
    assert follow_phase(line, "before") == phase


def test_progress_replaces_the_progress_before_it():
    phase = follow_phase("Progress 1000000 of 620000000", "downloading tensorflow")
    assert follow_phase("Progress 310000000 of 620000000", phase) == "downloading tensorflow, 310 of 620 MB"


def run_lines(log, *lines, status=0):
    """Runs a Python that prints lines and ends with a status."""
    installation = Installation(log)
    with installation:
        installation.run([sys.executable, "-c", f"print({chr(10).join(lines)!r}); exit({status})"])
    return installation


def test_the_log_has_all_output_but_the_progress(tmp_path):
    run_lines(tmp_path / "log", "Collecting numpy", "Progress 1 of 2", "Successfully installed numpy-2.4.6")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[-2:] == ["Collecting numpy", "Successfully installed numpy-2.4.6"]


def test_packages_are_touched_once_pip_says_that_it_installs(tmp_path):
    assert not run_lines(tmp_path / "log", "Collecting numpy").has_touched_packages
    assert run_lines(tmp_path / "log", "Installing collected packages: numpy").has_touched_packages


def test_a_failure_shows_the_last_output_without_noise_and_the_log(tmp_path):
    with pytest.raises(InstallationFailed) as failure:
        run_lines(tmp_path / "log", "Requirement already satisfied: six", "ERROR: no space left", status=2)
    message = str(failure.value)
    assert "ERROR: no space left" in message
    assert f"status 2. Its output: {tmp_path / 'log'}" in message
    assert "Requirement already satisfied: six" not in message.splitlines()


def test_a_command_that_is_not_there_is_a_failure(tmp_path):
    with pytest.raises(InstallationFailed, match="none does not start"), Installation(tmp_path / "log") as installation:
        installation.run([str(tmp_path / "none")])


def test_settings_that_send_packages_elsewhere_do_not_reach_pip(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    code = "import os; print(sorted(set(os.environ) & {'PIP_TARGET', 'PYTHONPATH'}), os.environ['PIP_USER'])"
    with Installation(tmp_path / "log") as installation:
        installation.run([sys.executable, "-c", code])
    assert (tmp_path / "log").read_text().splitlines()[-1] == "[] 0"


def test_a_signal_that_is_held_back_comes_at_the_end_of_the_block():
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append("handled"))
    try:
        with held_back(signal.SIGTERM):
            signal.raise_signal(signal.SIGTERM)
            came.append("started")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == ["started", "handled"]


def test_nothing_but_plain_lines_goes_to_what_is_no_terminal(tmp_path, capfd):
    with Installation(tmp_path / "log") as installation:
        installation.say("Making it.")
    assert capfd.readouterr().err == "Making it.\n"
