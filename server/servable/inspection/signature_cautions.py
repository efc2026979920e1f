"""What will bite whoever calls a signature, from what the signature declares and from the verdicts on it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from servable.inspection import tensors
from servable.inspection.report import Caution, Signature, Tensor
from servable.signatures import CLASSIFY_METHOD, REGRESS_METHOD

# Keras numbers what has no name over the whole program: the same code gives dense_3 here and dense_4 there.
_LAYERS = (
    "activation|add|average|batch_normalization|bidirectional|concatenate|conv[123]d|dense|dropout|embedding|flatten|"
    "functional|(?:global_)?(?:average|max)_pooling[123]d|gru|input_layer|keras_layer|lambda|layer_normalization|lstm|"
    "model|multiply|normalization|rescaling|reshape|sequential|simple_rnn|softmax|text_vectorization"
)
_GENERIC = re.compile(
    rf"(?:args?|inputs?|outputs?|keras_tensor|placeholder|tensor)_\d+|(?:{_LAYERS})(?:_\d+)?(?:_input)?"
)
# Well enough for the only one of a kind.
_GENERIC_BESIDE_OTHERS = frozenset({"args", "input", "inputs", "output", "outputs"})


def caution(signature: Signature) -> Iterator[Caution]:
    """The warnings about one signature."""
    yield from _about_use(signature)
    yield from _about_names(signature)
    yield from _about_batches(signature)
    yield from _about_ranks(signature)


def _about_use(signature: Signature) -> Iterator[Caution]:
    predict = signature.rpcs["Predict"]
    if predict.reason is not None:
        yield Caution(
            "predict_unusable",
            f"Predict cannot call it: {predict.reason}.",
            "Export it again, with inputs and outputs that are tensors of the graph, each of them once, and with an "
            "input for every placeholder that the outputs need. An output_filter may leave a faulty output out.",
            signature.key,
        )
    classify, regress = signature.rpcs["Classify"], signature.rpcs["Regress"]
    if classify.reason is not None and _is_meant_for("classif", CLASSIFY_METHOD, signature):
        yield Caution(
            "classify_unusable",
            f"It looks made for Classify, which cannot call it: {classify.reason}.",
            'Export it with one input "inputs" that takes serialized tf.Examples, and the outputs "classes" (string) '
            f'and/or "scores" (float32), each [batch, classes]{_or_predict(signature)}.',
            signature.key,
        )
    if regress.reason is not None and _is_meant_for("regress", REGRESS_METHOD, signature):
        yield Caution(
            "regress_unusable",
            f"It looks made for Regress, which cannot call it: {regress.reason}.",
            'Export it with one input "inputs" that takes serialized tf.Examples, and one output "outputs" (float32) '
            f"of [batch] or [batch, 1]{_or_predict(signature)}.",
            signature.key,
        )


def _is_meant_for(word: str, method_name: str, signature: Signature) -> bool:
    return signature.method_name == method_name or word in signature.key.lower()


def _or_predict(signature: Signature) -> str:
    return "; or call it by Predict" if signature.rpcs["Predict"].callable else ""


def _about_names(signature: Signature) -> Iterator[Caution]:
    names = [*_generic_names(signature.inputs), *_generic_names(signature.outputs)]
    if names:
        yield Caution(
            "generic_names",
            f"Names that an exporter made up: {_list(names)}. They say nothing, and another export may give others, "
            "which breaks clients.",
            "Name inputs by keras.Input(name=...) or tf.TensorSpec(name=...), and return outputs as a dict.",
            signature.key,
        )


def _generic_names(side: Sequence[Tensor]) -> list[str]:
    names = [tensor.name for tensor in side]
    return [name for name in names if _GENERIC.fullmatch(name) or (len(names) > 1 and name in _GENERIC_BESIDE_OTHERS)]


def _about_batches(signature: Signature) -> Iterator[Caution]:
    """The first axis is the batch by convention only, so a mixed signature is a suspicion."""
    inputs = [tensor for tensor in signature.inputs if tensor.shape]
    outputs = [tensor for tensor in signature.outputs if tensor.shape]
    fixed_inputs, fixed_outputs = _fixed(inputs), _fixed(outputs)
    if inputs and len(fixed_inputs) == len(inputs):
        yield Caution(
            "fixed_batch",
            f"Exported for a batch of fixed size: {_name_sizes(fixed_inputs)}. Requests of another size may fail or "
            "give wrong results.",
            "Export it with None as the first axis of each input.",
            signature.key,
        )
    elif inputs and (fixed_inputs or fixed_outputs):
        yield Caution(
            "fixed_batch",
            f"The first axis has a fixed size in {_name_sizes([*fixed_inputs, *fixed_outputs])} and is open in others.",
            "If that axis is meant to be the batch, export it as None; if it is not, requests of this signature cannot "
            "be batched together.",
            signature.key,
        )


def _fixed(side: Iterable[Tensor]) -> list[Tensor]:
    return [tensor for tensor in side if tensors.first_axis(tensor) is not None]


def _name_sizes(fixed: Iterable[Tensor]) -> str:
    return ", ".join(f'"{tensor.name}" {tensors.format_shape(tensor.shape)}' for tensor in fixed)


def _about_ranks(signature: Signature) -> Iterator[Caution]:
    takes_examples = signature.rpcs["Classify"].callable or signature.rpcs["Regress"].callable
    # Examples come as a vector; what an input of theirs declares is of no use to anybody.
    unknown = [] if takes_examples else [tensor.name for tensor in signature.inputs if tensor.shape is None]
    if unknown:
        yield Caution(
            "unknown_shape",
            f"No shape is declared for {_list(unknown)}: nothing tells clients what to send.",
            "Export it with the shape that it needs, None for each axis of any size.",
            signature.key,
        )


def _list(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
