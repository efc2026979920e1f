"""Makes the modules beside the scripts importable, and copies scripts to where their neighbours are fakes."""

from __future__ import annotations

import shutil
import sys

import pytest

from tests.packaging.fakes import ROOT, write_executable

sys.path.insert(0, str(ROOT / "scripts"))

FAKE_ENVIRONMENT = """
from pathlib import Path
ROOT = Path(__file__).resolve().parent.parent
def prepare(packages):
    (ROOT / "prepared").write_text(packages)
    return ROOT / ".venv/bin/python"
"""


@pytest.fixture
def copy_script(tmp_path):
    """Returns a function: the name of a script and the programs of its environment -> the copy's path."""

    def copy(name, **programs):
        scripts = tmp_path / "scripts"
        scripts.mkdir()
        (scripts / "environment.py").write_text(FAKE_ENVIRONMENT)
        for program, body in programs.items():
            write_executable(tmp_path / ".venv/bin" / program.replace("_", "-"), body)
        return shutil.copy(ROOT / "scripts" / name, scripts / name)

    return copy
