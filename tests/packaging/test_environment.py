"""When scripts/venv makes `.venv`, uses it as it is, tops it up or makes it anew; Python and pip are fakes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.packaging.fakes import FAKE_PYTHON, ROOT, TIMEOUT_S, run, write_executable

MAKE = "-m venv .venv"
BUILD = "-m pip install --require-hashes -r requirements/build.txt"
PROJECTS = "-m pip install --no-deps --no-build-isolation -e . -e client"
# What the script asks a Python.
PROBE = (ROOT / "scripts/venv").read_text().split("probe='")[1].split("'")[0]
HANGING_PIP = "echo hangs > hanging; read -r line < release"


@pytest.fixture
def root(tmp_path):
    """A repository that has never been prepared, with just what decides what gets installed."""
    root = tmp_path / "repository with space"
    for name in ("requirements/build.txt", "requirements/serve.txt", "pyproject.toml", "client/pyproject.toml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name}\n")
    write_executable(root / "outer/python", FAKE_PYTHON)
    write_executable(root / "scripts/venv", (ROOT / "scripts/venv").read_text())
    return root


@pytest.fixture
def start(root):
    """Returns a function that starts scripts/venv; what still runs is killed afterwards."""
    started = []

    def start(packages, **environment):
        process = subprocess.Popen(
            [root / "scripts/venv", packages],
            env={**os.environ, "PYTHON": "outer/python", **environment},
            cwd="/",
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


@pytest.fixture
def prepare(root, start):
    """Returns a function that prepares the repository and returns the calls that this took."""

    def prepare(packages, **environment):
        (root / "calls").unlink(missing_ok=True)
        process = start(packages, **environment)
        _, said = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, said
        return (root / "calls").read_text().splitlines() if (root / "calls").exists() else []

    return prepare


def test_the_first_run_makes_the_environment_and_installs_pins_then_the_project(prepare):
    assert prepare("serve") == [MAKE, BUILD, f"{BUILD} -r requirements/serve.txt", PROJECTS]


def test_a_second_run_does_nothing(prepare):
    prepare("serve")
    assert prepare("serve") == []


def test_a_larger_set_tops_up_the_same_environment(prepare):
    prepare("serve")
    assert prepare("test") == [BUILD, f"{BUILD} -r requirements/test.txt", PROJECTS]


def test_a_smaller_set_is_already_there(prepare):
    prepare("check")
    assert prepare("test") == prepare("serve") == prepare("check") == []


@pytest.mark.parametrize("changed", ["requirements/serve.txt", "pyproject.toml", "client/pyproject.toml"])
def test_a_change_of_what_decides_installs_again(prepare, root, changed):
    prepare("serve")
    (root / changed).write_text("changed\n")
    assert prepare("serve") == [BUILD, f"{BUILD} -r requirements/serve.txt", PROJECTS]


def test_a_moved_repository_gets_a_new_environment(prepare, root):
    prepare("serve")
    stamp = root / ".venv/stamp"
    stamp.write_text(stamp.read_text().replace(str(root), "/elsewhere"))
    (root / ".venv/old").touch()
    assert prepare("serve")[0] == MAKE
    assert not (root / ".venv/old").exists()


def test_an_environment_whose_python_is_gone_is_made_anew(prepare, root):
    prepare("serve")
    (root / ".venv/bin/python").unlink()
    assert prepare("serve")[0] == MAKE


def test_an_interrupted_installation_is_made_anew(prepare, start, root):
    prepare("serve")
    os.mkfifo(root / "release")
    os.mkfifo(root / "hanging")
    (root / "pip").write_text(HANGING_PIP)
    interrupted = start("test")
    (root / "hanging").read_text()
    interrupted.send_signal(signal.SIGTERM)
    assert interrupted.wait(TIMEOUT_S) != 0
    (root / ".venv/half-installed").touch()
    (root / "pip").unlink()
    (root / "release").write_text("go\n")
    assert prepare("serve")[0] == MAKE
    assert not (root / ".venv/half-installed").exists()


def test_a_failure_of_pip_is_shown_and_fails(root, start):
    (root / "pip").write_text("echo 'ERROR: disk full'; exit 5")
    process = start("serve")
    _, said = process.communicate(timeout=TIMEOUT_S)
    assert "ERROR: disk full" in said
    assert process.returncode == 5


def test_without_ensurepip_the_outer_pip_brings_the_inner_one(prepare, root):
    (root / "no-ensurepip").touch()
    made, outer, *rest = prepare("serve")
    assert made == "-m venv --without-pip .venv"
    target = "--target .venv/lib/python3.12/site-packages"
    assert outer == f"-m pip install {target} --no-deps --require-hashes -r requirements/build.txt"
    assert rest == [BUILD, f"{BUILD} -r requirements/serve.txt", PROJECTS]


def test_an_environment_made_by_hand_is_used(prepare, root):
    write_executable(root / ".venv/bin/python", FAKE_PYTHON)
    (root / ".venv/mine").touch()
    assert MAKE not in prepare("serve")
    assert prepare("serve") == []
    assert (root / ".venv/mine").exists()


def test_an_environment_made_by_hand_that_is_of_no_use_is_left_alone(root, start):
    write_executable(root / ".venv/bin/python", FAKE_PYTHON)
    (root / ".venv/mine").touch()
    (root / "pip").write_text("exit 1")
    assert [start("serve").wait(TIMEOUT_S) for _ in range(2)] == [1, 1]
    assert (root / ".venv/mine").exists()


def test_settings_that_send_packages_elsewhere_do_not_reach_pip(prepare, root):
    (root / "pip").write_text('echo "${PIP_TARGET-unset} ${PYTHONPATH-unset} $PIP_USER" > settings')
    prepare("serve", PIP_TARGET="/elsewhere", PYTHONPATH="/elsewhere", PIP_USER="1")
    assert (root / "settings").read_text() == "unset unset 0\n"


def pretend(path, version):
    """Writes a Python that takes itself for another version, once it has what the script asks it to import."""
    code = f'import os, sys, venv; sys.modules["ensurepip"] = sys; sys.version_info = {version}; exec(sys.argv[1])'
    return write_executable(path, f"#!/bin/sh\nexec '{sys.executable}' -c '{code}' \"$2\"\n")


@pytest.mark.parametrize(
    ("version", "is_supported"), [((3, 9, 18), False), ((3, 10, 0), True), ((3, 13, 9), True), ((3, 14, 0), False)]
)
def test_which_pythons_are_supported(tmp_path, version, is_supported):
    assert (run([pretend(tmp_path / "python", version), "-c", PROBE]).returncode == 0) is is_supported


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 14, 0)])
def test_without_a_supported_python_nothing_is_made_and_the_message_says_what_is_supported(
    root, start, tmp_path, version
):
    process = start("serve", PYTHON=str(pretend(tmp_path / "python", version)))
    _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert said.startswith("This needs Python 3.10, 3.11, 3.12 or 3.13 on PATH, with pip")
    assert not (root / ".venv").exists()


def test_a_python_that_will_not_do_gives_way_to_the_next_on_the_path(prepare, root):
    pretend(root / "path/python3", (3, 9, 18))
    write_executable(root / "path/python3.13", "#!/bin/sh\nexit 127\n")
    write_executable(root / "path/python3.12", FAKE_PYTHON)
    assert prepare("serve", PYTHON="", PATH=f"{root}/path{os.pathsep}{os.environ['PATH']}")[0] == MAKE


def test_the_python_of_an_activated_environment_stands_for_the_one_that_made_it(tmp_path):
    (tmp_path / "python").symlink_to(sys.executable)
    assert run([tmp_path / "python", "-c", PROBE]).stdout.strip() == os.path.realpath(sys.executable)


def test_a_second_run_waits_for_the_first_and_finds_its_work_done(start, root):
    os.mkfifo(root / "release")
    os.mkfifo(root / "hanging")
    (root / "pip").write_text(HANGING_PIP)
    first = start("serve")
    (root / "hanging").read_text()
    second = start("serve")
    assert "Another run is preparing .venv" in second.stderr.readline()
    (root / "pip").unlink()
    (root / "release").write_text("go\n")
    assert (first.wait(TIMEOUT_S), second.wait(TIMEOUT_S)) == (0, 0)
    assert (root / "calls").read_text().splitlines() == [MAKE, BUILD, f"{BUILD} -r requirements/serve.txt", PROJECTS]


def test_a_pip_whose_run_was_killed_is_waited_for(start, root):
    os.mkfifo(root / "release")
    os.mkfifo(root / "hanging")
    (root / "pip").write_text(HANGING_PIP)
    first = start("serve")
    (root / "hanging").read_text()
    first.kill()
    first.wait(TIMEOUT_S)
    second = start("serve")
    assert "Another run is preparing .venv" in second.stderr.readline()
    (root / "pip").unlink()
    (root / "release").write_text("go\n")
    assert second.wait(TIMEOUT_S) == 0
    assert (root / "calls").read_text().splitlines().count(MAKE) == 2
