"""What the whole suite shares: test models, and servers that answer on a loopback port of this process."""

from __future__ import annotations

import pytest

from servable import cli

# As `servable serve` does, before grpc is imported.
cli.disable_event_engine_listener()

from tests.models.store import ModelStore, shared_root  # noqa: E402
from tests.secrets.searching import pytest_runtest_makereport  # noqa: E402, F401
from tests.serving import Servers  # noqa: E402


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """The test models, each built at first use."""
    return ModelStore(shared_root(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="session")
def servers(models):
    """Servers by the models and flags that a test asks for; shared, so tests must not stop them."""
    running = Servers(models)
    yield running
    running.stop_all()
