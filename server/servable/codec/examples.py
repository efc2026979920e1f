"""The Input of Classify, Regress and MultiInference as the string tensor that a model parses.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/util.cc (InputToSerializedExampleTensor).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from servable import wire


class EmptyInput(ValueError):
    """An Input without examples."""


def serialize_examples(message: wire.Input) -> np.ndarray[Any, Any]:
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
    # The same bytes seen through another message: what an Example holds need not be walked through again.
    serialized = wire.SerializedInput.FromString(message.SerializeToString())
    if serialized.WhichOneof("kind") == "example_list_with_context":
        context = serialized.example_list_with_context.context
        examples = [context + example for example in serialized.example_list_with_context.examples]
    else:
        examples = list(serialized.example_list.examples)
    if not examples:
        raise EmptyInput("Input is empty.")
    return np.array(examples, object)
