"""The console script and the plug-in, as client/pyproject.toml names them."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import servable_client
from servable_client.cli import main

PYPROJECT = (Path(__file__).parents[2] / "pyproject.toml").read_text()


def find_entry(section):
    """What the first entry of a section of pyproject.toml points to."""
    listed = PYPROJECT.split(f"[{section}]\n", 1)[1]
    found = re.match(r'servable-client = "([\w.]+)(?::(\w+))?"$', listed, re.MULTILINE)
    module = importlib.import_module(found[1])
    return getattr(module, found[2]) if found[2] else module


def test_the_console_script_is_the_main_function():
    assert find_entry("project.scripts") is main


def test_the_plug_in_of_pytest_has_the_fixture_and_is_in_the_wheel():
    plug_in = find_entry("project.entry-points.pytest11")
    assert hasattr(plug_in, "fake_model_server")
    assert f'packages = ["servable_client", "{plug_in.__name__}"]' in PYPROJECT


@pytest.mark.parametrize("words", [["--help"], ["predict", "-mhalf", "x=1"], ["metadata", "-mhalf"]])
def test_the_command_runs_without_docstrings(server, words):
    address = [] if "--help" in words else [f"-a{server.address}"]
    command = [sys.executable, "-OO", "-m", "servable_client.cli", *words, *address]
    env = {"PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 0, found.stderr
    assert "half version 1" in found.stdout or "asks a server, and measures it" in found.stdout


def test_the_command_runs_as_a_module_and_says_its_version():
    command = [sys.executable, "-m", "servable_client.cli", "--version"]
    env = {"PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == f"servable-client {servable_client.__version__}\n"
