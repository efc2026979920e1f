"""Which RPC can call a signature, and if one cannot, why not.

Structure is judged by the code that answers the RPC. What that code finds out only when a run has failed (a dtype,
a rank, a tensor that is not there) is told here from what the model declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from servable.errors import InvalidArgument
from servable.inference import classification, regression
from servable.inspection import graph as graphs
from servable.inspection import tensors
from servable.inspection.graph import Graph
from servable.inspection.report import Tensor, Verdict
from servable.signatures import Signature

_CANNOT_TRAVEL = frozenset({"resource", "variant"})
_FLOAT, _STRING = "float32", "string"


def judge(signature: Signature, graph: Graph) -> Mapping[str, Verdict]:
    """A verdict for each RPC, for a server that does not check method names (its default)."""
    inputs = tensors.describe(signature.definition.inputs)
    outputs = tensors.describe(signature.definition.outputs)
    classify = _verdict(_faults_for_classify(signature, inputs, outputs, graph))
    regress = _verdict(_faults_for_regress(signature, inputs, outputs, graph))
    return {
        "Predict": _verdict(_faults_for_predict(signature, [*inputs, *outputs], graph)),
        "Classify": classify,
        "Regress": regress,
        "MultiInference": _verdict(_faults_for_multi_inference(classify, regress)),
    }


def _verdict(faults: Iterable[str]) -> Verdict:
    reason = "; ".join(faults)
    return Verdict(not reason, reason or None)


def _faults_for_predict(signature: Signature, declared: Iterable[Tensor], graph: Graph) -> Iterator[str]:
    for tensor in declared:
        if not tensor.tensor_name:
            yield f'"{tensor.name}" is a sparse or composite tensor, which has no name to feed or fetch'
        elif tensors.base_dtype(tensor) in _CANNOT_TRAVEL:
            yield f'"{tensor.name}" is a {tensor.dtype}, which cannot be sent'
    yield from _faults_in_wiring(signature.inputs, signature.outputs, graph)


def _faults_for_classify(
    signature: Signature, inputs: Sequence[Tensor], outputs: Sequence[Tensor], graph: Graph
) -> Iterator[str]:
    try:
        head = classification.require(signature, check_method_name=False)
    except InvalidArgument as error:
        yield _shorten(error, signature) + _name_keys(signature, "classes", "scores")
        return
    fetched = [tensor for tensor in outputs if tensor.name in head.fetches]
    yield from _faults_in_examples(inputs)
    yield from _faults_in_classes(fetched)
    yield from _faults_in_wiring({classification.INPUT_KEY: head.feed}, head.fetches, graph)


def _faults_for_regress(
    signature: Signature, inputs: Sequence[Tensor], outputs: Sequence[Tensor], graph: Graph
) -> Iterator[str]:
    try:
        head = regression.require(signature, check_method_name=False)
    except InvalidArgument as error:
        yield _shorten(error, signature) + _name_keys(signature, "outputs")
        return
    yield from _faults_in_examples(inputs)
    yield from _faults_in_values(outputs[0])
    yield from _faults_in_wiring({regression.INPUT_KEY: head.feed}, {regression.OUTPUT_KEY: head.fetch}, graph)


def _faults_for_multi_inference(classify: Verdict, regress: Verdict) -> Iterator[str]:
    if not (classify.callable or regress.callable):
        yield "it takes what Classify or Regress can call"


def _faults_in_examples(inputs: Sequence[Tensor]) -> Iterator[str]:
    (only,) = inputs
    if tensors.base_dtype(only) != _STRING:
        yield f'"{only.name}" takes {only.dtype}, and is fed serialized tf.Examples, which are strings'


def _faults_in_classes(fetched: Sequence[Tensor]) -> Iterator[str]:
    """TensorFlow Serving: classifier.cc, PostProcessClassificationResult."""
    for tensor in fetched:
        wanted = _STRING if tensor.name == classification.CLASSES_KEY else _FLOAT
        if tensors.base_dtype(tensor) != wanted:
            yield f'"{tensor.name}" is {tensor.dtype} and must be {wanted}'
        if tensor.shape is not None and len(tensor.shape) != 2:
            yield f'"{tensor.name}" has the shape {tensors.format_shape(tensor.shape)} and must be [batch, classes]'
    widths = {tensor.shape[1] for tensor in fetched if tensor.shape and len(tensor.shape) == 2} - {None}
    if len(widths) > 1:
        yield '"classes" and "scores" must have the same number of columns'


def _faults_in_values(output: Tensor) -> Iterator[str]:
    """TensorFlow Serving: regressor.cc, PostProcessRegressionResult."""
    if tensors.base_dtype(output) != _FLOAT:
        yield f'"{output.name}" is {output.dtype} and must be {_FLOAT}'
    shape = output.shape
    if shape is not None and (len(shape) not in {1, 2} or (len(shape) == 2 and shape[1] not in {1, None})):
        yield f'"{output.name}" has the shape {tensors.format_shape(shape)} and must be [batch] or [batch, 1]'


def _faults_in_wiring(feeds: Mapping[str, str], fetches: Mapping[str, str], graph: Graph) -> Iterator[str]:
    """What TensorFlow finds when it prepares a run, in its words (DirectSession, subgraph.cc)."""
    if not fetches:
        yield "Must specify at least one target to fetch or execute: there is no output"
    for alias, name in [*feeds.items(), *fetches.items()]:
        if name and graph.lacks(name):
            yield f'Tensor {name} was not found in the Graph, and "{alias}" stands for it'
    repeated = graphs.find_repeated(list(feeds.values()))
    if repeated:
        yield f'Endpoint "{repeated}" fed more than once: two inputs stand for it'
    unfed = graph.find_unfed(feeds.values(), fetches.values())
    if unfed:
        yield f"You must feed a value for placeholder tensor '{unfed}', which is no input"


def _shorten(error: InvalidArgument, signature: Signature) -> str:
    """The server's words without the whole SignatureDef that some of them end with."""
    return error.message.split(str(signature.definition))[0].rstrip(" .:")


def _name_keys(signature: Signature, *outputs: str) -> str:
    """What the keys are and what they should be, said of each side that is wrong."""
    wanted = " and/or ".join(f'"{key}"' for key in outputs)
    parts = []
    if set(signature.inputs) != {"inputs"}:
        parts.append(f'the one input must be "inputs", here: {_list(signature.inputs)}')
    if set(outputs).isdisjoint(signature.outputs) or len(signature.outputs) > len(outputs):
        parts.append(f"outputs must be {wanted}, here: {_list(signature.outputs)}")
    return f": {'; '.join(parts)}"


def _list(keys: Iterable[str]) -> str:
    return ", ".join(f'"{key}"' for key in sorted(keys)) or "none"
