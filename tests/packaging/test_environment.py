"""When `.venv` is made, used as it is, topped up or made anew; pip and Python are fakes that write down their calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import environment
import interpreter
import pytest
from environment import EMPTY, INTERRUPTED, Stamp

from tests.packaging.fakes import ROOT, TIMEOUT_S, write_fake_python, write_repository

HANGING_PIP = 'echo "$$" > "$root/hanging"; read -r line < "$root/release"; echo "$line"'


@pytest.fixture
def root(tmp_path):
    """A repository that has never been prepared."""
    return write_repository(tmp_path / "repository with space")


@pytest.fixture
def prepare(root):
    """Returns a function that prepares the repository and returns the calls that this took."""

    def prepare(packages, answer="3 12 1 1 1"):
        (root / "calls").unlink(missing_ok=True)
        outer = str(write_fake_python(root / "outer-python", root, answer))
        environment.prepare(packages, root, lambda: interpreter.probe(outer))
        return (root / "calls").read_text().splitlines() if (root / "calls").exists() else []

    return prepare


def read_packages(root):
    return json.loads((root / ".venv/servable.json").read_text())["packages"]


def test_the_first_run_makes_the_environment_and_installs_pins_then_the_project(prepare, root):
    made, pip, pins, project = prepare("serve")
    assert made == f"-m venv {root}/.venv"
    assert pip == f"-m pip install --require-hashes -r {root}/requirements/build.txt"
    assert pins == f"{pip} --progress-bar=raw -r {root}/requirements/serve.txt"
    assert project == f"-m pip install --no-deps --no-build-isolation -e {root} -e {root}/client"
    assert read_packages(root) == "serve"


def test_a_second_run_does_nothing(prepare):
    prepare("serve")
    assert prepare("serve") == []


def test_a_larger_set_tops_up_the_same_environment(prepare, root):
    prepare("serve")
    calls = prepare("test")
    assert not any("venv" in call.split("/")[0] for call in calls)
    assert any("requirements/test.txt" in call for call in calls)
    assert read_packages(root) == "test"


def test_a_smaller_set_is_already_there(prepare, root):
    prepare("check")
    assert prepare("test") == prepare("serve") == []
    assert read_packages(root) == "check"


@pytest.mark.parametrize("changed", ["requirements/serve.txt", "pyproject.toml", "client/pyproject.toml"])
def test_a_change_of_what_decides_installs_again(prepare, root, changed):
    prepare("serve")
    (root / changed).write_text("changed\n")
    assert any("requirements/serve.txt" in call for call in prepare("serve"))


def test_a_moved_repository_gets_a_new_environment(prepare, root):
    prepare("serve")
    stamp = environment.read_stamp(root / ".venv")
    environment.write_stamp(root / ".venv", Stamp(stamp.packages, "/elsewhere", stamp.python, stamp.fingerprint))
    assert prepare("serve")[0] == f"-m venv {root}/.venv"


def test_an_environment_whose_python_is_gone_is_made_anew(prepare, root):
    prepare("serve")
    (root / ".venv/bin/python").unlink()
    assert prepare("serve")[0] == f"-m venv {root}/.venv"


def test_an_environment_whose_python_was_upgraded_is_made_anew(prepare, root):
    prepare("serve")
    write_fake_python(root / ".venv/bin/python", root, "3 13 1 1 1")
    assert prepare("serve")[0] == f"-m venv {root}/.venv"


def test_an_interrupted_installation_is_made_anew(prepare, root):
    prepare("serve")
    environment.write_stamp(root / ".venv", Stamp(INTERRUPTED, str(root), "3.12"))
    (root / ".venv/half-installed").touch()
    assert prepare("serve")[0] == f"-m venv {root}/.venv"
    assert not (root / ".venv/half-installed").exists()


def test_a_failed_download_leaves_what_was_there_in_use(prepare, root):
    prepare("serve")
    (root / "pip").write_text("echo 'ERROR: no network'; exit 1")
    with pytest.raises(environment.Unprepared, match=r"ERROR: no network[^$]*\.venv/install\.log"):
        prepare("test")
    assert prepare("serve") == []


def test_a_failure_while_packages_are_installed_condemns_the_environment(prepare, root):
    prepare("serve")
    (root / "pip").write_text("echo 'Installing collected packages: numpy'; echo 'ERROR: disk full'; exit 1")
    with pytest.raises(environment.Unprepared, match="ERROR: disk full"):
        prepare("test")
    assert read_packages(root) == INTERRUPTED


def test_without_ensurepip_the_outer_pip_brings_the_inner_one(prepare, root):
    made, outer, *_ = prepare("serve", answer="3 12 1 0 1")
    assert made == f"-m venv --without-pip {root}/.venv"
    target = f"--target {root}/.venv/lib/python3.12/site-packages"
    assert outer == f"-m pip install {target} --require-hashes --no-deps -r {root}/requirements/build.txt"


def test_an_environment_made_by_hand_is_used(prepare, root):
    write_fake_python(root / ".venv/bin/python", root)
    (root / ".venv/mine").touch()
    assert not any(call.startswith("-m venv") for call in prepare("serve"))
    assert (root / ".venv/mine").exists()


@pytest.mark.parametrize("answer", ["3 9 1 1 1", "3 14 1 1 1", "3 12 1 1 0", "nothing"])
def test_an_environment_made_by_hand_that_is_of_no_use_is_left_alone(prepare, root, answer):
    write_fake_python(root / ".venv/bin/python", root, answer)
    with pytest.raises(environment.Unprepared, match="Move it away"):
        prepare("serve")
    assert (root / ".venv/bin/python").exists()


def test_no_interpreter_is_told_without_a_traceback(root):
    def choose():
        raise interpreter.NoInterpreter("This needs Python 3.10.")

    with pytest.raises(SystemExit, match=r"This needs Python 3\.10\."):
        environment.prepare("serve", root, choose)
    assert not (root / ".venv").exists()


@pytest.mark.parametrize(
    ("held", "wanted", "enough"),
    [("serve", "serve", True), ("check", "serve", True), ("serve", "test", False), (EMPTY, "serve", False)],
)
def test_a_set_holds_the_smaller_ones(held, wanted, enough):
    assert Stamp(held, "/root", "3.12", "pins").holds(wanted, "pins") is enough
    assert not Stamp(held, "/root", "3.12", "other pins").holds(wanted, "pins")


PREPARE = """
import sys, environment, interpreter
from pathlib import Path
root = Path(sys.argv[2])
environment.prepare(sys.argv[1], root, lambda: interpreter.probe(str(root / "outer-python")))
"""


class Run:
    """A run of `prepare` in a process of its own, whose pip hangs until it is released."""

    def __init__(self, root, packages):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PREPARE, packages, str(root)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, words):
        """Reads what it says up to a line with these words."""
        while words not in (line := self.process.stderr.readline()):
            assert line, "the run ended first"

    def end(self):
        """Waits for its end; returns its status."""
        self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode


@pytest.fixture
def hanging(prepare, root):
    """A repository prepared for `serve`, where pip hangs from now on."""
    prepare("serve")
    (root / "calls").unlink()
    os.mkfifo(root / "release")
    os.mkfifo(root / "hanging")
    (root / "pip").write_text(HANGING_PIP)
    return root


def test_sigterm_stops_pip_and_leaves_what_was_there_in_use(hanging, prepare):
    run = Run(hanging, "test")
    pip = int((hanging / "hanging").read_text())
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(pip, 0)
    assert read_packages(hanging) == "serve"


def test_a_second_run_waits_for_the_first_and_finds_its_work_done(hanging):
    first = Run(hanging, "test")
    (hanging / "hanging").read_text()
    second = Run(hanging, "test")
    second.wait_for("Another run is preparing .venv")
    (hanging / "pip").unlink()
    (hanging / "release").write_text("go\n")
    assert (first.end(), second.end()) == (0, 0)
    assert len((hanging / "calls").read_text().splitlines()) == 3


def test_a_pip_whose_run_was_killed_is_waited_for(hanging):
    first = Run(hanging, "test")
    (hanging / "hanging").read_text()
    first.process.kill()
    first.end()
    second = Run(hanging, "serve")
    second.wait_for("Another run is preparing .venv")
    (hanging / "pip").unlink()
    (hanging / "release").write_text("go\n")
    assert second.end() == 0
    assert f"-m venv {hanging}/.venv" in (hanging / "calls").read_text().splitlines()
