"""No file of the repository names a package registry: which one is used is the reader's own setting."""

from __future__ import annotations

import re

from tests.packaging.fakes import ROOT

# With hyphens inside, so that this file is no exception.
NAMES = ("py-pi.", "python-hosted", "docker-.io", "g-cr.io", "qu-ay.io", "anaconda-.org")
REGISTRY = re.compile("|".join(rf"{re.escape(name.replace('-', ''))}\b" for name in NAMES), re.IGNORECASE)
GENERATED = {"__pycache__", "dist"}
TRACKED = {".ci", ".github"}


def list_files():
    """Yields the files that a clone has, judged by their names."""
    folders = [ROOT]
    while folders:
        for path in folders.pop().iterdir():
            if path.is_dir():
                if path.name in TRACKED or not (path.name.startswith(".") or path.name in GENERATED):
                    folders.append(path)
            elif path.suffix != ".pyc":
                yield path


def test_no_file_names_a_package_registry():
    found = {}
    for path in list_files():
        address = REGISTRY.search(path.read_bytes().decode("utf-8", "replace"))
        if address:
            found[str(path.relative_to(ROOT))] = address.group()
    assert found == {}


def test_requirement_files_have_requirements_and_nothing_else():
    for path in (ROOT / "requirements").iterdir():
        lines = [line.strip() for line in path.read_text().splitlines() if not line.startswith("#")]
        options = [line for line in lines if line.startswith("-") and not line.startswith("--hash=sha256:")]
        assert options == [], path
        assert not any("://" in line or line.startswith("/") for line in lines), path
