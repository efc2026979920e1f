"""The pins: they satisfy pyproject.toml on every Python, carry hashes, agree with each other and name no registry."""

from __future__ import annotations

import re
import sys

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.version import Version

from tests.packaging.fakes import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLIENT = tomllib.loads((ROOT / "client/pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]


def read_extra(name):
    """Returns what an extra asks for, that of the extras which it names included."""
    wanted = []
    for each in EXTRAS[name]:
        requirement = Requirement(each)
        named = sorted(requirement.extras) if requirement.name == "servable" else []
        wanted += [one for extra in named for one in read_extra(extra)] or [each]
    return wanted


DIRECT = {
    "serve": PROJECT["project"]["dependencies"] + CLIENT["project"]["dependencies"],
    "test": PROJECT["project"]["dependencies"] + read_extra("test"),
    "check": PROJECT["project"]["dependencies"] + read_extra("dev"),
    "build": PROJECT["build-system"]["requires"] + CLIENT["build-system"]["requires"],
}
PLATFORMS = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]


def read_lines(name):
    """Returns a file's requirements, each in one line, without comments."""
    text = (ROOT / f"requirements/{name}.txt").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def list_environments():
    """Yields the markers' values for every supported Python and platform."""
    for minor in (10, 11, 12, 13):
        for system, machine in PLATFORMS:
            version = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.5"}
            platform = {"sys_platform": system, "platform_machine": machine, "implementation_name": "cpython"}
            yield {**default_environment(), **version, **platform, "platform_python_implementation": "CPython"}


def read_pins(name, environment):
    """Returns the versions that a file pins in an environment."""
    requirements = [Requirement(line.split("--hash")[0]) for line in read_lines(name)]
    chosen = [one for one in requirements if one.marker is None or one.marker.evaluate(environment)]
    assert len({one.name for one in chosen}) == len(chosen), "a package is pinned twice"
    return {one.name: Version(str(one.specifier).removeprefix("==")) for one in chosen}


@pytest.mark.parametrize("name", DIRECT)
def test_the_pins_satisfy_the_ranges_of_the_project(name):
    for environment in list_environments():
        pins = read_pins(name, environment)
        for requirement in map(Requirement, DIRECT[name]):
            if requirement.marker and not requirement.marker.evaluate(environment):
                continue
            assert pins[requirement.name] in requirement.specifier, environment


@pytest.mark.parametrize(("smaller", "larger"), [("serve", "test"), ("test", "check"), ("build", "check")])
def test_a_larger_set_holds_the_smaller_ones_pins(smaller, larger):
    for environment in list_environments():
        assert read_pins(smaller, environment).items() <= read_pins(larger, environment).items()


@pytest.mark.parametrize("name", DIRECT)
def test_every_pin_has_hashes(name):
    assert read_lines(name)
    assert [line for line in read_lines(name) if " --hash=sha256:" not in line] == []


def test_the_lowest_versions_are_those_where_the_ranges_begin():
    lowest = {one.name: one.specifier for one in map(Requirement, read_lines("lowest"))}
    for requirement in map(Requirement, DIRECT["test"]):
        (floor,) = [one.version for one in requirement.specifier if one.operator == ">="]
        version = str(lowest[requirement.name]).removeprefix("==")
        assert Version(version).release[: len(Version(floor).release)] == Version(floor).release, requirement


def test_the_versions_of_both_projects_agree_with_their_packages():
    for project, package in ((PROJECT, "server/servable"), (CLIENT, "client/servable_client")):
        assert f'__version__ = "{project["project"]["version"]}"' in (ROOT / package / "__init__.py").read_text()
    assert PROJECT["project"]["requires-python"] == CLIENT["project"]["requires-python"] == ">=3.10,<3.14"


def test_the_workflow_runs_ci_on_every_supported_python():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    (pythons,) = re.findall(r"^ +python: \[(.*)\]$", workflow, re.MULTILINE)
    assert re.findall(r"[\d.]+", pythons) == ["3.10", "3.11", "3.12", "3.13"]
    assert "- run: .ci/run\n" in workflow


def test_the_matrix_begins_and_ends_with_the_supported_pythons():
    sessions = re.findall(r'python="([\d.]+)"', (ROOT / "noxfile.py").read_text())
    assert {*sessions} == {"3.10", "3.13"}
