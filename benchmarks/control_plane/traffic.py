"""Client processes that send calls in an open loop, and record every reply."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from servable_client import AsyncClient, Prediction, ServingError

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Attributes:
        address: Where the server is.
        models: The models to ask, in turn, for the latest version.
        labels: The label of a model that is asked by label and by number as well.
        rate: Calls a second, of all clients.
        clients: How many processes send.
        starts_at_s: When to begin (time.monotonic, which the processes of a machine share).
        seconds: For how long.
    """

    address: str
    models: Sequence[str]
    labels: dict[str, str]
    rate: float
    clients: int
    starts_at_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """One call and its reply.

    Attributes:
        model: The model that was asked.
        choice: What was asked for: `latest`, `number`, or a label.
        asked: The version that was asked for by number; 0 otherwise.
        due_s: When it was to be sent (time.monotonic).
        sent_s: When it was sent.
        done_s: When the reply was there.
        version: The version in the reply's model_spec; 0 if the call failed.
        fault: How it failed, or what in the reply is not right by itself; empty if nothing.
    """

    model: str
    choice: str
    asked: int
    due_s: float
    sent_s: float
    done_s: float
    version: int
    fault: str


class Traffic:
    """A load that is being sent by processes of its own."""

    def __init__(self, load: Load) -> None:
        """Start sending when the load says."""
        self._pool = ProcessPoolExecutor(load.clients, get_context("spawn"))
        self._sent: list[Future[list[Call]]] = [
            self._pool.submit(_send, load, client) for client in range(load.clients)
        ]

    def wait(self) -> list[Call]:
        """All calls, when all are over."""
        calls = [call for sent in self._sent for call in sent.result()]
        self._pool.shutdown()
        return calls


def _send(load: Load, client: int) -> list[Call]:
    return asyncio.run(_Sender(load, client).send())


class _Sender:
    """One client process, and what it knows of the versions: the newest that has answered for each model."""

    def __init__(self, load: Load, number: int) -> None:
        self._load, self._number = load, number
        self._newest = dict.fromkeys(load.models, 0)

    async def send(self) -> list[Call]:
        load = self._load
        async with AsyncClient(load.address, infer=False, retries=0, timeout_s=_TIMEOUT_S) as client:
            calls = []
            for due_s, (model, choice) in zip(self._times(), self._choices(), strict=False):
                await asyncio.sleep(due_s - time.monotonic())
                calls.append(asyncio.ensure_future(self._ask(client, model, choice, due_s)))
            return list(await asyncio.gather(*calls))

    def _times(self) -> Iterator[float]:
        load = self._load
        for index in range(self._number, int(load.rate * load.seconds), load.clients):
            yield load.starts_at_s + index / load.rate

    def _choices(self) -> Iterator[tuple[str, str]]:
        while True:
            for model in self._load.models:
                yield model, "latest"
                if model in self._load.labels:
                    # A version goes a while after its successor came: a number that just answered still serves.
                    yield model, "number"
                    yield model, self._load.labels[model]

    async def _ask(self, client: AsyncClient, model: str, choice: str, due_s: float) -> Call:
        asked = self._newest[model] if choice == "number" else 0
        label = choice if choice not in ("latest", "number") else None
        token = np.array([random.getrandbits(62)])
        sent_s, version = time.monotonic(), 0
        try:
            reply = await client.predict({"x": token}, model=model, version=asked or None, label=label)
            version, fault = reply.version or 0, _find_fault(reply, model, asked, token)
        except ServingError as error:
            fault = f"{error.code.name}: {error.message}"
        done_s = time.monotonic()
        if choice == "latest":
            self._newest[model] = max(self._newest[model], version)
        return Call(
            model, choice if asked or choice != "number" else "latest", asked, due_s, sent_s, done_s, version, fault
        )


def _find_fault(reply: Prediction, model: str, asked: int, token: np.ndarray) -> str:
    """What is wrong with a reply, whatever was available."""
    payload = {name: value.tolist() for name, value in reply.items()}
    expected = {"echo": token.tolist(), "model": model.encode(), "version": reply.version}
    if payload != expected or reply.model != model:
        return f"misrouted: {payload} from {reply.model}:{reply.version} where {expected} was due"
    return f"version {reply.version} answered for {asked}" if asked and reply.version != asked else ""
