"""Which Python makes the environment."""

from __future__ import annotations

import os
import sys

import interpreter
import pytest
from interpreter import Interpreter

from tests.packaging.fakes import write_executable


def choose_among(*interpreters):
    """Chooses among Pythons that are asked in this order; None is one that does not start."""
    answers = {f"/python{number}": one for number, one in enumerate(interpreters)}
    return interpreter.choose(tuple(answers), answers.get)


def test_the_first_supported_python_is_chosen():
    first, second = Interpreter("first", (3, 11)), Interpreter("second", (3, 13))
    assert choose_among(first, second) is first


@pytest.mark.parametrize("version", [(2, 7), (3, 9), (3, 14)])
def test_an_unsupported_python_gives_way_to_the_next(version):
    supported = Interpreter("supported", (3, 10))
    assert choose_among(Interpreter("unsupported", version), supported) is supported


def test_a_command_that_does_not_start_is_passed_over():
    supported = Interpreter("supported", (3, 13))
    assert choose_among(None, supported) is supported


def test_a_python_with_pip_but_no_ensurepip_will_do():
    debian = Interpreter("debian", (3, 11), has_ensurepip=False)
    assert choose_among(debian) is debian


@pytest.mark.parametrize("lacks", [{"has_venv": False}, {"has_ensurepip": False, "has_pip": False}])
def test_a_python_that_cannot_make_environments_gives_way_to_one_that_can(lacks):
    able = Interpreter("able", (3, 12))
    assert choose_among(Interpreter("unable", (3, 11), **lacks), able) is able


def test_without_an_able_python_the_message_names_the_package_to_install():
    unable = Interpreter("/usr/bin/python3", (3, 11), has_ensurepip=False, has_pip=False)
    with pytest.raises(interpreter.NoInterpreter, match=r"/usr/bin/python3 has no pip.*python3\.11-venv"):
        choose_among(unable)


def test_without_a_supported_python_the_message_names_what_is_supported_and_what_is_there():
    with pytest.raises(interpreter.NoInterpreter, match=r"3\.10, 3\.11, 3\.12 or 3\.13 .* found: 3\.14, 3\.9\."):
        choose_among(Interpreter("old", (3, 9)), None, Interpreter("new", (3, 14)))


def test_a_probe_describes_a_python():
    found = interpreter.probe(sys.executable)
    assert found is not None
    assert (found.command, found.version) == (sys.executable, sys.version_info[:2])
    assert found.has_pip


def test_a_probe_of_something_else_finds_no_python(tmp_path):
    rubbish = write_executable(tmp_path / "python3.12", "#!/bin/sh\necho hello\n")
    failing = write_executable(tmp_path / "python3.13", "#!/bin/sh\nexit 127\n")
    assert [interpreter.probe(str(path)) for path in (rubbish, failing, tmp_path / "none")] == [None, None, None]


def test_the_python_of_an_activated_environment_stands_for_the_one_that_made_it(tmp_path, monkeypatch):
    base = write_executable(tmp_path / "base/python3.12", "#!/bin/sh\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3.12").symlink_to(base)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert interpreter.resolve("python3.12") == os.path.realpath(base)
