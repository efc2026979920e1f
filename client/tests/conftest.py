"""What the client's suite shares. It needs no TensorFlow: servers are the test kit's, in this process."""

from __future__ import annotations

import asyncio

import pytest
from half_models import fill
from hypothesis import HealthCheck, settings

from servable_client import AsyncClient, Client
from servable_client.testing import FakeModelServer

# The same examples in every run, and no limit of time: a loaded machine is slow, which is no fault.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


class Awaited:
    """An AsyncClient whose methods are run to their end, so that one test tries both clients."""

    def __init__(self, loop, *arguments, **settings):
        self._loop = loop
        self._client = AsyncClient(*arguments, **settings)

    def __getattr__(self, name):
        method = getattr(self._client, name)
        return lambda *args, **kwargs: self._loop.run_until_complete(method(*args, **kwargs))


@pytest.fixture(params=["sync", "async"])
def connect(request):
    """Makes clients of either kind, and closes them after the test."""
    made = []
    loop = asyncio.new_event_loop()

    def make(*arguments, **settings):
        is_sync = request.param == "sync"
        made.append(Client(*arguments, **settings) if is_sync else Awaited(loop, *arguments, **settings))
        return made[-1]

    yield make
    for client in made:
        client.close()
    loop.close()


@pytest.fixture
def server():
    """A fake server with the model `half`: y = x / 2 + 2 as float32, heads `classes` and `values`, and `two`."""
    with FakeModelServer() as running:
        fill(running)
        yield running
