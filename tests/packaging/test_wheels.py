"""The wheels of both distributions: what is in them, and that it works where nothing else of the repository is."""

from __future__ import annotations

import os
import re
import sys
import zipfile

import pytest

from tests.packaging.fakes import ROOT, run

PROJECTS = {"servable": ROOT, "servable_client": ROOT / "client"}
PACKAGES = {"servable": {"servable"}, "servable_client": {"servable_client", "pytest_servable_client"}}
BUILD = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Both wheels by the names of their distributions."""
    folder, wheels = tmp_path_factory.mktemp("wheels"), {}
    for name, project in PROJECTS.items():
        done = run([sys.executable, "-c", BUILD, folder], cwd=project)
        assert done.returncode == 0, done.stderr
        wheels[name] = folder / done.stdout.splitlines()[-1]
    return wheels


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory):
    """A folder with both wheels installed and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", folder]
    done = run([*pip, *wheels.values()])
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", PROJECTS)
def test_a_wheel_holds_its_packages_whole_and_no_other(wheels, name):
    held = {path for path in zipfile.ZipFile(wheels[name]).namelist() if ".dist-info/" not in path}
    wanted = {
        str(path.relative_to(project))
        for package in PACKAGES[name]
        for project in [ROOT / "server" if package == "servable" else ROOT / "client"]
        for path in (project / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert held == wanted
    assert {f"{package}/py.typed" for package in PACKAGES[name]} <= held
    assert f"{name}/wire.binpb" in held


@pytest.mark.parametrize("name", PROJECTS)
def test_the_metadata_of_a_wheel_has_the_readme_and_the_licence(wheels, name):
    with zipfile.ZipFile(wheels[name]) as wheel:
        (metadata,) = [path for path in wheel.namelist() if path.endswith(".dist-info/METADATA")]
        text = wheel.read(metadata).decode()
        licence = wheel.read(metadata.replace("METADATA", "licenses/LICENSE"))
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert "License-Expression: Apache-2.0" in text
    assert text.endswith((PROJECTS[name] / "README.md").read_text())


@pytest.mark.parametrize("command", ["servable", "servable-client"])
def test_an_installed_command_reports_its_version(installed, command):
    done = run([installed / "bin" / command, "--version"], env={**os.environ, "PYTHONPATH": str(installed)}, cwd="/")
    assert re.fullmatch(rf"{command} \d+\.\d+\.\d+\n", done.stdout), done.stderr


@pytest.mark.parametrize("module", ["servable", "servable_client"])
def test_an_installed_package_finds_its_descriptors(installed, module):
    code = f"import {module}.wire as wire; wire.PredictRequest(); print(wire.__file__)"
    done = run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(installed)}, cwd="/")
    assert done.stdout == f"{installed}/{module}/wire.py\n", done.stderr
