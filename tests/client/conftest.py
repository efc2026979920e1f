"""Both clients, each against servable and against a server of the stock stubs."""

import asyncio

import pytest

from servable_client import AsyncClient, Client
from tests.client.stock_server import StockServer

MODELS = ("half_plus_two", "strings", "dtypes", "example_heads")


class Awaited:
    """An AsyncClient whose methods are run to their end."""

    def __init__(self, loop, *arguments, **settings):
        self._loop = loop
        self._client = AsyncClient(*arguments, **settings)

    def __getattr__(self, name):
        method = getattr(self._client, name)
        return lambda *args, **kwargs: self._loop.run_until_complete(method(*args, **kwargs))


@pytest.fixture(scope="session")
def stock(models):
    server = StockServer(models, MODELS)
    yield server
    server.stop()


@pytest.fixture(params=["servable", "servable, content", "stock"])
def address(request):
    """The address of a server with MODELS; servable in both forms of its replies."""
    if request.param == "stock":
        return request.getfixturevalue("stock").address
    content = {"enable_serialization_as_tensor_content": True} if "content" in request.param else {}
    return request.getfixturevalue("servers")(*MODELS, **content).address


@pytest.fixture(params=["sync", "async"])
def client(request, address):
    if request.param == "sync":
        with Client(address) as client:
            yield client
        return
    loop = asyncio.new_event_loop()
    awaited = Awaited(loop, address)
    yield awaited
    awaited.close()
    loop.close()
