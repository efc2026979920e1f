"""A fake server and a client of it. The plug-in is loaded by name: its entry point exists where it is installed."""

from __future__ import annotations

import pytest

from pytest_servable_client import fake_model_server  # noqa: F401
from servable_client import Client


@pytest.fixture
def server(fake_model_server):  # noqa: F811
    fake_model_server.model("half").predict(lambda x: {"y": x * 0.5 + 2})
    return fake_model_server


@pytest.fixture
def client(server):
    with Client(server.address, model="half", retries=0) as client:
        yield client
