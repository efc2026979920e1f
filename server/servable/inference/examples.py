"""What Classify, Regress and MultiInference share: a signature found by name, and examples fed to a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from servable import wire
from servable.codec.examples import EmptyInput, serialize_examples
from servable.errors import InvalidArgument
from servable.inference.outputs import Output, collect
from servable.requests import Array, Fetched, Target
from servable.routing import Handle, suggest
from servable.signatures import Signature


def find_signature(handle: Handle, key: str, missing: str) -> Signature:
    """The signature of a key.

    Args:
        handle: The version that is asked.
        key: The signature's name.
        missing: The words before the key, if there is none; the APIs differ in them.

    Raises:
        InvalidArgument: if the version has no such signature.
    """
    signature = handle.servable.signatures.get(key)
    if signature is None:
        raise InvalidArgument(missing + key, suggest(key, handle.servable.signatures, "known_signatures"))
    return signature


@dataclass(slots=True, eq=False)
class ExamplesRequest:
    """A request of examples on its way; see requests.Request.

    Attributes:
        handle: The version that answers.
        write: Makes the reply of what was fetched, by tensor name, and the number of examples.
    """

    handle: Handle
    target: Target
    arrays: Sequence[Array]
    size_bytes: int
    write: Callable[[Mapping[str, Output], int], bytes]

    def finish(self, fetched: Fetched) -> bytes:
        """See requests.Request."""
        return self.write(collect(self.target.fetches, fetched), len(self.arrays[0]))


def feed(
    handle: Handle,
    feeds: Sequence[str],
    fetches: Sequence[str],
    examples: wire.Input,
    write: Callable[[Mapping[str, Output], int], bytes],
) -> ExamplesRequest:
    """A request that feeds the examples to every tensor of `feeds`.

    Args:
        handle: The version that answers.
        feeds: Names of tensors.
        fetches: Names of tensors.
        examples: The examples.
        write: See ExamplesRequest.

    Raises:
        InvalidArgument: if there are no examples.
    """
    try:
        serialized = serialize_examples(examples)
    except EmptyInput as error:
        raise InvalidArgument(str(error)) from error
    # In the order that signatures have, so that APIs share a prepared run and a batch.
    target = Target(handle.servable, tuple(sorted(feeds)), tuple(sorted(fetches)))
    return ExamplesRequest(handle, target, [serialized] * len(feeds), sum(map(len, serialized)), write)
