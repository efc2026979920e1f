"""The pytest plug-in of servable-client: one fixture.

pytest imports this in every run of whoever has the client installed. It is a package of its own, and imports nothing
else until the fixture is used, so that those who do not use it pay nothing: to import any part of `servable_client`
is to import grpc.
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
