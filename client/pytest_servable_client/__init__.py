"""The pytest plug-in of servable-client: one fixture.

Where the client is installed, pytest imports this in every run. It is a package of its own, and imports nothing else
until the fixture is used, so that a run without the fixture pays nothing: importing any part of `servable_client`
imports grpc.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from servable_client.testing import FakeModelServer


@pytest.fixture
def fake_model_server() -> Iterator[FakeModelServer]:
    """A servable_client.testing.FakeModelServer without models, started, and stopped after the test."""
    from servable_client.testing import FakeModelServer

    with FakeModelServer() as server:
        yield server
