"""Requests made up from a signature alone: zeros, empty strings, and Examples with the features that the graph parses.

Pure. Whether a model takes such a request is for its caller to try: it gets them in order, the likeliest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from servable import wire
from servable.signatures import CLASSIFY_METHOD, REGRESS_METHOD, Signature
from servable.warmup import zeros

# How many dimensions a tensor that may have any number of them is given, in the order of what is likely: a list, a
# table, a scalar, an image, a sequence of rows.
_RANKS = (1, 2, 0, 4, 3)


def generate(signature: Signature, batch_size: int, examples: Sequence[wire.Example]) -> Iterator[wire.PredictionLog]:
    """Requests for a signature, one of which is enough.

    Args:
        signature: What is asked for.
        batch_size: How many rows, where the signature leaves that open.
        examples: What the graph may parse, as example_specs has found it.

    Raises:
        Unimplemented: if no Predict can send what the signature takes.
    """
    if takes_examples(signature):
        for example in [*examples, wire.Example()]:
            yield _of_examples(signature, batch_size, example)
    # A head that is fed tensors answers Predict only.
    texts = [example.SerializeToString() for example in examples] if _takes_strings(signature) else []
    for rank in _RANKS if _has_open_rank(signature) else _RANKS[:1]:
        for text in [*texts, b""]:
            yield _of_tensors(signature, batch_size, rank, text)


def is_batched(signature: Signature) -> bool:
    """Whether the number of rows is open."""
    shapes = [info.tensor_shape for info in _needed(signature).values()]
    has_open_rows = any(shape.unknown_rank or (shape.dim and shape.dim[0].size < 0) for shape in shapes)
    return has_open_rows or takes_examples(signature)


def takes_examples(signature: Signature) -> bool:
    """Whether its method gives the graph tf.Examples."""
    return signature.definition.method_name in {CLASSIFY_METHOD, REGRESS_METHOD}


def _of_examples(signature: Signature, batch_size: int, example: wire.Example) -> wire.PredictionLog:
    log = wire.PredictionLog()
    is_classify = signature.definition.method_name == CLASSIFY_METHOD
    request = log.classify_log.request if is_classify else log.regress_log.request
    request.model_spec.signature_name = signature.key
    request.input.example_list.examples.extend([example] * batch_size)
    return log


def _of_tensors(signature: Signature, batch_size: int, rank: int, text: bytes) -> wire.PredictionLog:
    log = wire.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature.key
    for alias, info in _needed(signature).items():
        request.inputs[alias].CopyFrom(zeros.make_tensor(info, batch_size, rank, text))
    return log


def _needed(signature: Signature) -> dict[str, wire.TensorInfo]:
    inputs = signature.definition.inputs
    return {alias: inputs[alias] for alias in sorted(signature.inputs) if alias not in signature.defaults}


def _takes_strings(signature: Signature) -> bool:
    return any(info.dtype == wire.DT_STRING for info in _needed(signature).values())


def _has_open_rank(signature: Signature) -> bool:
    return any(info.tensor_shape.unknown_rank for info in _needed(signature).values())
