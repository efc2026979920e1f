"""Copies scripts into a folder where the programs that they call are fakes."""

from __future__ import annotations

import shutil

import pytest

from tests.packaging.fakes import ROOT, write_executable


@pytest.fixture
def copy_script(tmp_path):
    """Returns a function: the name of a script and the programs of its environment -> the copy's path."""

    def copy(name, **programs):
        write_executable(tmp_path / "scripts/venv", '#!/bin/sh\necho "$1" > "$(dirname "$0")/../prepared"\n')
        for program, body in programs.items():
            write_executable(tmp_path / ".venv/bin" / program.replace("_", "-"), body)
        return shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts" / name)

    return copy
