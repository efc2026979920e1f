"""Where the scenarios of benchmarks/resilience are played, at a size that takes seconds."""

import pytest

from benchmarks.resilience.lab import SMALL, Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Models are made once."""
    return Lab(tmp_path_factory.mktemp("resilience"), SMALL)
