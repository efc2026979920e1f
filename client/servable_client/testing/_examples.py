"""tf.Examples as functions and tests see them: a dict of values by feature."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from servable_client import wire
from servable_client.examples import read_example

Example = dict[str, np.ndarray[Any, Any]]
"""The values of each feature, shape [n]: float32, int64, or objects (bytes)."""


def read_examples(given: wire.Input) -> tuple[list[Example], Example]:
    """The examples of a request, and the context that came with them (empty without one)."""
    if given.WhichOneof("kind") == "example_list_with_context":
        with_context = given.example_list_with_context
        return [read_example(example) for example in with_context.examples], read_example(with_context.context)
    return [read_example(example) for example in given.example_list.examples], {}


def merge(context: Example, examples: Iterable[Example]) -> list[Example]:
    """The examples as a model sees them: the context under each (TensorFlow Serving: servables/tensorflow/util.cc)."""
    return [{**context, **example} for example in examples]
