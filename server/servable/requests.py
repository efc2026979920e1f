"""What every API does first: parse the bytes, insist on a model spec, and last: name the version that answered."""

from __future__ import annotations

from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from servable import wire
from servable.errors import Internal, InvalidArgument
from servable.routing import Handle
from servable.signatures import DEFAULT_KEY

MessageT = TypeVar("MessageT", bound=Message)


class Method(Protocol):
    """One unary API."""

    def __call__(self, request: bytes, time_left_s: float | None, /) -> bytes:
        """Answer one request.

        Args:
            request: The serialized request message.
            time_left_s: Seconds until the caller stops waiting; None if it waits for ever.

        Raises:
            ServingError: for everything that the caller is to be told.
        """


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
