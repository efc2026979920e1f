"""What Classify, Regress and MultiInference share: a signature found by name, and examples fed to a graph.

The examples of a request become the string tensor that a model parses. Source of the behaviour: TensorFlow Serving,
servables/tensorflow/util.cc (InputToSerializedExampleTensor).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from google.protobuf.unknown_fields import UnknownFieldSet

from servable import requests, wire
from servable.errors import InvalidArgument
from servable.requests import Array, Fetched, Target
from servable.routing import suggest
from servable.servables import Handle
from servable.signatures import Signature

INPUT_KEY: Final = "inputs"
"""The alias of the one input that classification and regression signatures have."""


class EmptyInput(ValueError):
    """An Input without examples."""


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


@dataclass(frozen=True, slots=True)
class Output:
    """A fetched tensor.

    Attributes:
        array: Its values; strings as objects (bytes).
        dtype: Its number in tensorflow.DataType. Some dtypes have the same NumPy dtype and differ in their numbers.
    """

    array: Array
    dtype: int


WriteReply = Callable[[Mapping[str, Output], int], bytes]
"""Makes the reply of what was fetched, by tensor name, and the number of examples."""


@dataclass(slots=True, eq=False)
class ExamplesRequest:
    """A request of examples on its way; see requests.Request.

    Attributes:
        handle: The version that answers.
        write: Makes the reply.
    """

    handle: Handle
    target: Target
    arrays: Sequence[Array]
    size_bytes: int
    write: WriteReply

    def finish(self, fetched: Fetched) -> bytes:
        """See requests.Request."""
        return self.write(_outputs_by_name(self.target.fetches, fetched), len(self.arrays[0]))


def feed_examples(
    handle: Handle, feeds: Sequence[str], fetches: Sequence[str], examples: wire.Input, write: WriteReply
) -> ExamplesRequest:
    """A request that feeds the examples to every tensor of `feeds`.

    Args:
        handle: The version that answers.
        feeds: Names of tensors.
        fetches: Names of tensors.
        examples: The examples.
        write: Makes the reply.

    Raises:
        InvalidArgument: if there are no examples.
    """
    try:
        serialized = serialize_examples(examples)
    except EmptyInput as error:
        raise InvalidArgument(str(error)) from error
    # Sorted as in signatures, so that APIs over the same tensors share a prepared run and a batch.
    target = Target(handle.servable, tuple(sorted(feeds)), tuple(sorted(fetches)), handle.name, version=handle.version)
    return ExamplesRequest(handle, target, [serialized] * len(feeds), sum(map(len, serialized)), write)


def serialize_examples(message: wire.Input) -> Array:
    """One serialized tf.Example for each example of the request.

    A context is put before each example as it stands: parsers merge the two, and where both have a feature
    the example's wins.

    Args:
        message: An ExampleList, or an ExampleListWithContext.

    Returns:
        An object array of bytes, shape [number of examples].

    Raises:
        EmptyInput: if no kind is set, or if it holds no examples.
    """
    for example in message.example_list.examples or _examples_with_context(message):
        if len(UnknownFieldSet(example.features)):
            _restore_features(example.features)
    # The same bytes parsed as SerializedInput, which leaves each example as bytes.
    serialized = wire.SerializedInput.FromString(message.SerializeToString())
    if serialized.WhichOneof("kind") == "example_list_with_context":
        context = serialized.example_list_with_context.context
        examples = [context + example for example in serialized.example_list_with_context.examples]
    else:
        examples = list(serialized.example_list.examples)
    if not examples:
        raise EmptyInput("Input is empty.")
    return np.array(examples, object)


def _examples_with_context(message: wire.Input) -> Iterable[wire.Example]:
    given = message.example_list_with_context
    return chain(given.examples, [given.context])


def _restore_features(features: wire.Features) -> None:
    """Leave entries of the map without the unknown fields in them, as the original writes them for the graph.

    TensorFlow's parser of examples refuses such entries, and any other unknown field of Features; this one stays.
    """
    if requests.restore_map_entries(features, "feature") == len(UnknownFieldSet(features)):
        restored = wire.Features()
        for name, feature in features.feature.items():
            restored.feature[name].CopyFrom(feature)
        features.CopyFrom(restored)


def format_shape(array: Array) -> str:
    """A shape as TensorFlow prints it: `[2,3]`, and `[]` for a scalar."""
    return "[" + ",".join(map(str, array.shape)) + "]"


def _outputs_by_name(names: Iterable[str], fetched: Fetched) -> Mapping[str, Output]:
    results = zip(names, fetched.arrays, fetched.dtypes, strict=True)
    return {name: Output(array, dtype) for name, array, dtype in results}
