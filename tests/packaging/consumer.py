"""A program on both packages, for scripts/check: their types must be visible where they are installed.

mypy reads it with no setting of this project. Each ignored error is one that mypy finds only if it sees the
types; were a package untyped to it, or an answer `Any`, the comment would be unused, which is an error too.
"""

from __future__ import annotations

from pytest_servable_client import *  # noqa: F403  (a plug-in for pytest: its module has to be typed, too)
from servable import cli, errors, wire
from servable_client import AsyncClient, Client, Prediction
from servable_client import errors as client_errors


def ask(address: str) -> Prediction:
    with Client(address, model="digits") as client:
        client.predict([1.0], timeout_s="soon")  # type: ignore[arg-type]
        return client.predict([1.0])


async def ask_later(address: str) -> Prediction:
    async with AsyncClient(address, model="digits") as client:
        client.predict([1.0]).value  # type: ignore[attr-defined]  # noqa: B018
        return await client.predict([1.0])


def build() -> bytes:
    wire.PredictRequest(model_spec=1)  # type: ignore[arg-type]
    return wire.PredictRequest(model_spec=wire.ModelSpec(name="digits")).SerializeToString()


def serve() -> int:
    cli.main("serve", "digits")  # type: ignore[call-arg]
    try:
        return cli.main(["serve"])
    except (errors.ServingError, client_errors.ClientError):
        return 1
