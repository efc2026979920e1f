"""A request on its way from bytes to bytes, and the first and last steps that all APIs share.

An API parses the bytes, which makes a `Request`. `batching.dispatch` decides where its run happens, and passes what the
run fetched to `Request.finish`, which makes the bytes of the reply. `data_plane` puts these together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from servable import wire
from servable.errors import Internal, InvalidArgument
from servable.observability.request_counts import Mark
from servable.servables import Handle, Servable
from servable.signatures import DEFAULT_KEY

MessageT = TypeVar("MessageT", bound=Message)
SizedT = TypeVar("SizedT", bound=Sized)
Array: TypeAlias = np.ndarray[Any, Any]
_LENGTH_DELIMITED = 2


@dataclass(slots=True, eq=False)
class Target:
    """What a request runs: some tensors of a version. All runs of one target have arrays of equal shapes and dtypes.

    A request that is read by a template (`inference.template_cache`) shares the target of the request that the template
    was made of, so what a run needs besides its arrays is worked out once.

    Attributes:
        servable: The version that runs.
        feeds: The names of the tensors to feed.
        fetches: The names of the tensors to fetch.
        model: The name of the model, for metrics.
        version: Its version, for logs and traces.
        signature: The key of the signature, for metrics; empty if several run.
        placement: What the dispatcher has worked out for the runs of this target; None before the first.
        counted: What its requests are counted in; None before the first (see observability.request_counts).
    """

    servable: Servable
    feeds: tuple[str, ...]
    fetches: tuple[str, ...]
    model: str = ""
    signature: str = ""
    version: int = 0
    placement: Any = None
    counted: Any = None


@dataclass(slots=True)
class Fetched:
    """The results of a run: one array for each fetch, and their tensorflow.DataTypes."""

    arrays: Sequence[Array]
    dtypes: Sequence[int]


class Request(Protocol):
    """A request that has been parsed and checked, and needs one run.

    When and where it runs is not its concern: at once, on another thread, or in a batch with others. It refers to the
    handle of its version as long as it exists.
    """

    @property
    def target(self) -> Target:
        """What is run."""

    @property
    def arrays(self) -> Sequence[Array]:
        """One array for each feed."""

    @property
    def size_bytes(self) -> int:
        """The size by which the run is estimated: the bytes that arrived, or those of the arrays if they are more."""

    def finish(self, fetched: Fetched) -> bytes:
        """The bytes of the reply.

        Raises:
            ServingError: if no reply can be made of the results.
        """


BeginOf: TypeAlias = Callable[[SizedT], Request]
"""Parses and checks a request of one API; raises a ServingError if it is refused."""

Begin: TypeAlias = BeginOf[bytes]
"""The same of a request as it arrives over gRPC: as bytes."""


def complete(request: Request, time_left_s: float | None, mark: Mark | None = None) -> bytes:
    """Run a request on the calling thread; the bytes of its reply.

    Args:
        request: The request.
        time_left_s: Seconds until the caller stops waiting; None for no bound.
        mark: What the request is counted in, if it is.

    Raises:
        ServingError: if that is the answer.
    """
    target, began_s = request.target, time.monotonic()
    runner = target.servable.runner(target.feeds, target.fetches)
    results = runner.run(request.arrays, time_left_s)
    ended_s = time.monotonic()
    message = request.finish(Fetched(results, runner.fetch_dtypes))
    if mark is not None:
        mark[0].note(mark, began_s, began_s, ended_s, len(message))
    return message


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


def restore_map_entries(message: Message, map_field: str) -> int:
    """Put entries of a map in their place that have an unknown field: one of a newer .proto, or of another wire type.

    For Python's protobuf such an entry is an unknown field of the message as a whole; for the original's C++ only the
    field in it is unknown. Where a key is sent twice, an entry that is restored wins even if it came first.

    Args:
        message: A message that was parsed.
        map_field: The name of its field.

    Returns:
        How many there were. They stay among the unknown fields too.

    Raises:
        Internal: as `parse` does, for an entry that does not parse.
    """
    unknown: Any = UnknownFieldSet(message)  # Any: the stubs lack its iteration.
    if not len(unknown):
        return 0
    field: Any = message.DESCRIPTOR.fields_by_name[map_field]
    entries = [
        each.data for each in unknown if (each.field_number, each.wire_type) == (field.number, _LENGTH_DELIMITED)
    ]
    for data in entries:
        entry: Any = parse(GetMessageClass(field.message_type), data)
        message.MergeFrom(type(message)(**{map_field: {entry.key: entry.value}}))
    return len(entries)


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
