"""Exports that others published on PyPI serve as docs/models-tried.md says. Opt-in, since it needs a package index."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from servable import check_command

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 300.0
# The distribution, and where its SavedModel lies.
PUBLISHED = {
    "basic-pitch==0.4.0": "basic_pitch/saved_models/icassp_2022/nmp",
    "guesslang==2.2.1": "guesslang/data/model",
}


@pytest.fixture
def fetch(tmp_path):
    """Downloads a wheel without its dependencies, and gives the folder that it unpacks to."""
    if not os.environ.get("SERVABLE_TEST_PUBLISHED_MODELS"):
        pytest.skip("SERVABLE_TEST_PUBLISHED_MODELS is not set")

    def fetch(requirement):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*command, "--dest", str(tmp_path), requirement], check=True, timeout=PATIENCE_S)
        (wheel,) = tmp_path.glob("*.whl")
        zipfile.ZipFile(wheel).extractall(tmp_path / "unpacked")
        return tmp_path / "unpacked"

    return fetch


@pytest.mark.timeout(2 * PATIENCE_S)
@pytest.mark.parametrize("requirement", PUBLISHED)
def test_a_published_model_serves_and_equals_tensorflow(fetch, capsys, requirement):
    path = fetch(requirement) / PUBLISHED[requirement]
    assert check_command.main([f"published={path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d+ would serve, 0 would fail\.", lines[-1])
    assert any("equals TensorFlow" in line for line in lines)


@pytest.mark.parametrize("requirement", PUBLISHED)
def test_the_table_lists_what_is_tried(requirement):
    name, _, version = requirement.partition("==")
    table = (ROOT / "docs" / "models-tried.md").read_text()
    assert f"`{name}` {version}, `{PUBLISHED[requirement]}`" in table
