"""What a request is on its way, and what every API does first and last.

First: parse the bytes, insist on a model spec. Last: name the version that answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from servable import wire
from servable.errors import Internal, InvalidArgument
from servable.routing import Handle, Servable
from servable.signatures import DEFAULT_KEY

MessageT = TypeVar("MessageT", bound=Message)
Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(slots=True, eq=False)
class Target:
    """What is run: some tensors of a version. All its runs have arrays of the same shapes, dtypes and size.

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
class Fetched:
    """What a run gave: one array for each fetch, and their tensorflow.DataTypes."""

    arrays: Sequence[Array]
    dtypes: Sequence[int]


class Request(Protocol):
    """A request on its way: parsed and checked, and in need of one run.

    Whoever drives it decides when and where the run happens: at once, on another thread, or in a batch with others.
    As long as it lives, it holds the handle of its version.
    """

    @property
    def target(self) -> Target:
        """What is run."""

    @property
    def arrays(self) -> Sequence[Array]:
        """One array for each feed."""

    @property
    def size_bytes(self) -> int:
        """What the run is measured by: the bytes that arrived, or those of the arrays if they are more."""

    def finish(self, fetched: Fetched) -> bytes:
        """The bytes of the reply.

        Raises:
            ServingError: if what was fetched makes no reply.
        """


Begin: TypeAlias = Callable[[bytes], Request]
"""Parses and checks a request of one API; raises a ServingError if it is refused."""


def complete(request: Request, time_left_s: float | None) -> bytes:
    """Run a request on the calling thread; its reply.

    Args:
        request: What to run.
        time_left_s: Seconds until the caller stops waiting; None if it waits for ever.

    Raises:
        ServingError: for everything that the caller is to be told.
    """
    target = request.target
    runner = target.servable.runner(target.feeds, target.fetches)
    return request.finish(Fetched(runner.run(request.arrays, time_left_s), runner.fetch_dtypes))


def measure(message: bytes, arrays: Sequence[Array]) -> int:
    """The size of a request; see Request.size_bytes."""
    return max(len(message), sum(array.nbytes for array in arrays))


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
