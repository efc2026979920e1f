"""What a request is on its way, and what every API does first and last.

First: parse the bytes, insist on a model spec. Last: name the version that answered.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from servable import wire
from servable.errors import Internal, InvalidArgument
from servable.routing import Handle, Servable
from servable.signatures import DEFAULT_KEY

MessageT = TypeVar("MessageT", bound=Message)


@dataclass(slots=True, eq=False)
class Target:
    """What is run: some tensors of a version. All its runs have arrays of the same shapes and dtypes.

    Attributes:
        servable: The version that runs.
        feeds: The names of the tensors to feed.
        fetches: The names of the tensors to fetch.
        placement: What whoever dispatches the runs worked out for the first, and wants again for the next.
    """

    servable: Servable
    feeds: tuple[str, ...]
    fetches: tuple[str, ...]
    placement: Any = None


@dataclass(slots=True)
class Run:
    """The one run that a request needs: checked and decoded, and not begun.

    Attributes:
        target: What is run.
        arrays: One array for each feed.
    """

    target: Target
    arrays: Sequence[np.ndarray[Any, Any]]


@dataclass(slots=True)
class Fetched:
    """What a run gave: one array for each fetch, and their tensorflow.DataTypes."""

    arrays: Sequence[np.ndarray[Any, Any]]
    dtypes: Sequence[int]


Steps: TypeAlias = Generator[Run, Fetched, bytes]
"""A request on its way. It yields the run that it needs, is sent what was fetched, and returns the reply.

So whoever drives it decides when and where the run happens: at once, on a thread of its own, or in a batch with others.
As long as it lives, it holds the handle of its version.
"""


def complete(steps: Steps, time_left_s: float | None) -> bytes:
    """Drive a request to its end on the calling thread.

    Args:
        steps: A request that has not begun.
        time_left_s: Seconds until the caller stops waiting; None if it waits for ever.

    Raises:
        ServingError: for everything that the caller is to be told.
    """
    run = next(steps)
    runner = run.target.servable.runner(run.target.feeds, run.target.fetches)
    return finish(steps, Fetched(runner.run(run.arrays, time_left_s), runner.fetch_dtypes))


def finish(steps: Steps, fetched: Fetched) -> bytes:
    """The reply of a request that waited for its run.

    Raises:
        ServingError: if what was fetched makes no reply.
    """
    try:
        steps.send(fetched)
    except StopIteration as end:
        reply: bytes = end.value
        return reply
    raise RuntimeError("a request asked for a second run")


def parse(kind: type[MessageT], request: bytes) -> MessageT:
    """The message that the bytes hold.

    Raises:
        Internal: with no text, as gRPC C++ answers bytes that do not parse.
    """
    try:
        return kind.FromString(request)
    except DecodeError as error:
        raise Internal("") from error


def require_model_spec(present: bool) -> None:
    """Refuse a request without a model spec.

    Raises:
        InvalidArgument: if there is none.
    """
    if not present:
        raise InvalidArgument("Missing ModelSpec")


def signature_key(spec: wire.ModelSpec) -> str:
    """The signature that a spec asks for; an empty name means the default."""
    return spec.signature_name or DEFAULT_KEY


def name_version(spec: wire.ModelSpec, handle: Handle, key: str = "") -> None:
    """Write the version that answered, and the signature if there is one; a label is never repeated."""
    spec.name = handle.name
    spec.version.value = handle.version
    if key:
        spec.signature_name = key
