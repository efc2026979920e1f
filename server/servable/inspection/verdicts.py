"""Which RPC can call a signature, and if one cannot, why not.

Structure is judged by the code that answers the RPC. What that code finds out only when a run has failed (a dtype,
a rank, a missing tensor) is found here from what the model declares.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from servable.errors import InvalidArgument
from servable.inference.classify import CLASSES_KEY, SCORES_KEY, require_classifier
from servable.inference.examples import INPUT_KEY
from servable.inference.regress import OUTPUT_KEY, require_regressor
from servable.inspection.graph import Graph, name_endpoint
from servable.inspection.report import UNDECLARED_DTYPE, Tensor, Verdict, describe_tensors, format_shape
from servable.signatures import Signature

_CANNOT_TRAVEL = frozenset({"resource", "variant"})
_MOST_KEYS = 4
_FLOAT, _STRING = "float32", "string"


def judge(signature: Signature, graph: Graph) -> Mapping[str, Verdict]:
    """A verdict for each RPC, for a server that does not check method names (its default)."""
    inputs = describe_tensors(signature.definition.inputs)
    outputs = describe_tensors(signature.definition.outputs)
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
            yield f'"{tensor.name}" names no single tensor, as sparse and composite ones do not'
        elif tensor.base_dtype in _CANNOT_TRAVEL:
            yield f'"{tensor.name}" is a {tensor.dtype}, which cannot be sent'
    yield from _faults_in_wiring(signature.inputs, signature.outputs, graph)


def _faults_for_classify(
    signature: Signature, inputs: Sequence[Tensor], outputs: Sequence[Tensor], graph: Graph
) -> Iterator[str]:
    try:
        classifier = require_classifier(signature, check_method_name=False)
    except InvalidArgument as error:
        yield _name_keys(signature, CLASSES_KEY, SCORES_KEY) or str(error)
        return
    yield from _faults_in_examples(inputs)
    yield from _faults_in_classes([tensor for tensor in outputs if tensor.name in classifier.fetches])
    yield from _faults_in_wiring({INPUT_KEY: classifier.feed}, classifier.fetches, graph)


def _faults_for_regress(
    signature: Signature, inputs: Sequence[Tensor], outputs: Sequence[Tensor], graph: Graph
) -> Iterator[str]:
    try:
        regressor = require_regressor(signature, check_method_name=False)
    except InvalidArgument as error:
        yield _name_keys(signature, OUTPUT_KEY) or str(error)
        return
    yield from _faults_in_examples(inputs)
    yield from _faults_in_values(outputs[0])
    yield from _faults_in_wiring({INPUT_KEY: regressor.feed}, {OUTPUT_KEY: regressor.fetch}, graph)


def _faults_for_multi_inference(classify: Verdict, regress: Verdict) -> Iterator[str]:
    if not (classify.callable or regress.callable):
        yield "neither Classify nor Regress can call it"


def _name_keys(signature: Signature, *outputs: str) -> str:
    """Each side with wrong keys: what it should have and what it has. The server's error names one side only."""
    faults = []
    if set(signature.inputs) != {INPUT_KEY}:
        faults.append(f'needs "{INPUT_KEY}" as its only input (has {_list(signature.inputs)})')
    if set(outputs).isdisjoint(signature.outputs) or len(signature.outputs) > len(outputs):
        wanted = " and/or ".join(f'"{key}"' for key in outputs)
        noun = "output" if len(outputs) == 1 else "outputs"
        faults.append(f"needs {wanted} as its only {noun} (has {_list(signature.outputs)})")
    return "; ".join(faults)


def _list(keys: Collection[str]) -> str:
    names = ", ".join(f'"{key}"' for key in sorted(keys)[:_MOST_KEYS])
    return f"{names}, ..." if len(keys) > _MOST_KEYS else names or "none"


def _faults_in_examples(inputs: Sequence[Tensor]) -> Iterator[str]:
    (only,) = inputs
    if _is_other(only, _STRING):
        yield f'"{only.name}" takes {only.dtype}, and is fed serialized tf.Examples, which are strings'


def _faults_in_classes(fetched: Sequence[Tensor]) -> Iterator[str]:
    """TensorFlow Serving: classifier.cc, PostProcessClassificationResult."""
    for tensor in fetched:
        wanted = _STRING if tensor.name == CLASSES_KEY else _FLOAT
        if _is_other(tensor, wanted):
            yield f'"{tensor.name}" is {tensor.dtype} and must be {wanted}'
        if tensor.shape is not None and len(tensor.shape) != 2:
            yield f'"{tensor.name}" has the shape {format_shape(tensor.shape)} and must be [batch, classes]'
    widths = {tensor.shape[1] for tensor in fetched if tensor.shape and len(tensor.shape) == 2} - {None}
    if len(widths) > 1:
        yield '"classes" and "scores" must have the same number of columns'


def _faults_in_values(output: Tensor) -> Iterator[str]:
    """TensorFlow Serving: regressor.cc, PostProcessRegressionResult."""
    if _is_other(output, _FLOAT):
        yield f'"{output.name}" is {output.dtype} and must be {_FLOAT}'
    shape = output.shape
    if shape is not None and (len(shape) not in {1, 2} or (len(shape) == 2 and shape[1] not in {1, None})):
        yield f'"{output.name}" has the shape {format_shape(shape)} and must be [batch] or [batch, 1]'


def _is_other(tensor: Tensor, dtype: str) -> bool:
    return tensor.base_dtype not in {dtype, UNDECLARED_DTYPE}


def _faults_in_wiring(feeds: Mapping[str, str], fetches: Mapping[str, str], graph: Graph) -> Iterator[str]:
    """The first error that TensorFlow would give when it prepares a run (DirectSession, subgraph.cc)."""
    for alias, name in [*feeds.items(), *fetches.items()]:
        if name and graph.lacks(name):
            yield f'"{alias}" stands for the tensor {name}, which is not in the graph'
            return
    fed = [name_endpoint(name) for name in feeds.values() if name]
    fetched = {name_endpoint(name) for name in fetches.values()}
    unfed = graph.find_unfed(feeds.values(), fetches.values())
    if not fetches:
        yield "there is no output"
    elif not fetched.isdisjoint(fed):
        yield f"the tensor {min(fetched.intersection(fed))} is an input and an output, and cannot be fed and fetched"
    elif len(set(fed)) < len(fed):
        yield f"two inputs stand for the tensor {max(fed, key=fed.count)}, which cannot be fed twice"
    elif unfed:
        yield f'the placeholder "{unfed}" must be fed and is no input'
