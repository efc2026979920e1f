"""What Classify, Regress and MultiInference share: a signature found by name, and examples fed to a graph."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from servable import wire
from servable.codec.examples import EmptyInput, serialize_examples
from servable.errors import InvalidArgument
from servable.inference.outputs import Output, collect
from servable.requests import Fetched, Run, Target
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


def run(
    handle: Handle, feeds: Sequence[str], fetches: Sequence[str], examples: wire.Input
) -> Generator[Run, Fetched, tuple[Mapping[str, Output], int]]:
    """Feed the examples to every tensor of `feeds`: a part of a request's steps.

    Returns:
        What was fetched, by tensor name, and the number of examples.

    Raises:
        InvalidArgument: if there are no examples.
    """
    try:
        serialized = serialize_examples(examples)
    except EmptyInput as error:
        raise InvalidArgument(str(error)) from error
    # In the order that signatures have, so that APIs share a prepared run and a batch.
    fetches = sorted(fetches)
    target = Target(handle.servable, tuple(sorted(feeds)), tuple(fetches))
    fetched = yield Run(target, [serialized] * len(feeds))
    return collect(fetches, fetched), len(serialized)
