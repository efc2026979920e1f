"""Predict, Classify, Regress and MultiInference on fake models, with the checks that a real server makes, in its order.

Texts and order are those of TensorFlow Serving (predict_util.cc, multi_inference.cc). Which index an input has in
`Expects arg[...]` depends on the graph there, and on the alphabet here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from servable_client import _dtypes, tensors, wire
from servable_client.errors import ClientError, Internal, InvalidArgument, ServingError, Unimplemented
from servable_client.testing._models import (
    CLASSIFY,
    DEFAULT_SIGNATURE,
    REGRESS,
    FakeModel,
    FakeSignature,
    encode_default,
    has_dtype,
    infer_outputs,
)
from servable_client.testing._registry import Registry, find_signature, no_head, no_task, served_spec
from servable_client.testing._requests import Example, merge_context, read_examples

Array = np.ndarray[Any, Any]


def predict(
    signature: FakeSignature, inputs: Mapping[str, Array], wanted: Sequence[str]
) -> dict[str, wire.TensorProto]:
    """The outputs of a signature.

    Args:
        signature: The signature.
        inputs: The request's tensors.
        wanted: The request's output filter; all outputs if it is empty.

    Raises:
        ServingError: as a server would answer, or as the test's function raised.
    """
    _check_names(signature, inputs)
    if signature.says_outputs:
        _check_filter(wanted, signature.outputs)
    _check_dtypes(signature, inputs)
    outputs = _encode(signature, _run(signature.answer, **_with_defaults(signature, inputs)))
    if not signature.says_outputs:
        signature.outputs = {**signature.outputs, **infer_outputs(outputs)}
        _check_filter(wanted, outputs)
    return {name: tensor for name, tensor in outputs.items() if name in wanted or not wanted}


def _check_names(signature: FakeSignature, inputs: Mapping[str, Array]) -> None:
    extra = sorted(set() if signature.is_open else set(inputs) - set(signature.inputs))
    missing = sorted(set(signature.inputs) - set(inputs) - set(signature.defaults))
    if extra or missing:
        raise InvalidArgument(
            f"input size does not match signature: {len(inputs)}!={len(signature.inputs)} "
            f"len({{{_join(inputs)}}}) != len({{{_join(signature.inputs)}}}). "
            f"Sent extra: {{{_join(extra)}}}. Missing but required: {{{_join(missing)}}}."
        )


def _check_filter(wanted: Iterable[str], outputs: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in wanted:
        if name not in outputs:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {{{_join(outputs)}}}."
            )
        if name in seen:
            raise InvalidArgument(f"duplicate output tensor alias: {name}")
        seen.add(name)


def _check_dtypes(signature: FakeSignature, inputs: Mapping[str, Array]) -> None:
    for index, (name, array) in enumerate(sorted(inputs.items())):
        spec = signature.inputs.get(name)
        if spec is not None and not has_dtype(spec, array):
            raise InvalidArgument(
                f"Expects arg[{index}] to be {_graph_name(spec.dtype)} but {_graph_name(_name(array))} is provided"
            )


def _name(array: Array) -> str:
    found = _dtypes.of_numpy(array.dtype)
    return found.name if found is not None else "string"


def _graph_name(dtype: str) -> str:
    return {"float32": "float", "float64": "double", "float16": "half"}.get(dtype, dtype)


def _with_defaults(signature: FakeSignature, inputs: Mapping[str, Array]) -> dict[str, Array]:
    left_out = {name: value for name, value in signature.defaults.items() if name not in inputs}
    filled = {name: tensors.decode(encode_default(value, signature.inputs[name])) for name, value in left_out.items()}
    return {**inputs, **filled}


def _encode(signature: FakeSignature, outputs: Any) -> dict[str, wire.TensorProto]:
    if not isinstance(outputs, Mapping):
        raise Internal(f"the answer must be a mapping from output name to value; it is a {type(outputs).__name__}")
    return {name: _encode_output(signature, name, value) for name, value in outputs.items()}


def _encode_output(signature: FakeSignature, name: str, value: Any) -> wire.TensorProto:
    spec = signature.outputs.get(name) if signature.says_outputs else None
    if signature.says_outputs and spec is None:
        raise Internal(f"the answer has an output {name!r}, and {_join(signature.outputs)} is declared")
    try:
        return tensors.encode(value, spec.dtype if spec is not None else None)
    except ClientError as error:
        raise Internal(f"the answer's output {name!r} is no tensor: {error}") from error


def _join(names: Iterable[str]) -> str:
    return ",".join(sorted(names))


def classify(models: Registry, request: wire.ClassificationRequest) -> wire.ClassificationResponse:
    """The reply of Classify."""
    model = models.find(request.model_spec)
    signature = find_signature(model, request.model_spec, no_head)
    _check_head(signature, CLASSIFY)
    result = _classify(signature, _read(request.input))
    return wire.ClassificationResponse(model_spec=served_spec(model, request.model_spec), result=result)


def regress(models: Registry, request: wire.RegressionRequest) -> wire.RegressionResponse:
    """The reply of Regress."""
    model = models.find(request.model_spec)
    signature = find_signature(model, request.model_spec, no_head)
    _check_head(signature, REGRESS)
    result = _regress(signature, _read(request.input))
    return wire.RegressionResponse(model_spec=served_spec(model, request.model_spec), result=result)


def infer_all(models: Registry, request: wire.MultiInferenceRequest) -> wire.MultiInferenceResponse:
    """The reply of MultiInference: the results of all tasks, or the error of the first that fails."""
    specs = [task.model_spec for task in request.tasks]
    model = models.find(specs[0] if specs else wire.ModelSpec())
    _check_tasks(specs)
    examples = _read(request.input)
    return wire.MultiInferenceResponse(results=[_infer(model, task, examples) for task in request.tasks])


def _check_tasks(specs: Iterable[wire.ModelSpec]) -> None:
    seen: list[str] = []
    names: set[str] = set()
    for spec in specs:
        if not spec.name:
            raise InvalidArgument("Found ModelSpec with an empty model name.")
        names.add(spec.name)
        if len(names) > 1:
            raise InvalidArgument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        signature = spec.signature_name or DEFAULT_SIGNATURE
        if signature in seen:
            raise InvalidArgument(f"Duplicate evaluation of signature: {signature}")
        seen.append(signature)


def _infer(model: FakeModel, task: wire.InferenceTask, examples: list[Example]) -> wire.InferenceResult:
    signature = find_signature(model, task.model_spec, no_task)
    if task.method_name not in {CLASSIFY, REGRESS}:
        raise Unimplemented(f"Unsupported signature method_name: {task.method_name}")
    _check_head(signature, task.method_name)
    spec = served_spec(model, task.model_spec)
    if task.method_name == CLASSIFY:
        return wire.InferenceResult(model_spec=spec, classification_result=_classify(signature, examples))
    return wire.InferenceResult(model_spec=spec, regression_result=_regress(signature, examples))


def _check_head(signature: FakeSignature, method: str) -> None:
    if signature.method != method:
        kind = "classification" if method == CLASSIFY else "regression"
        raise InvalidArgument(f"Expected {kind} signature method_name to be {method}. Was: {signature.method}")


def _read(given: wire.Input) -> list[Example]:
    examples, context = read_examples(given)
    if not examples:
        raise InvalidArgument("Input is empty.")
    return merge_context(context, examples)


def _classify(signature: FakeSignature, examples: list[Example]) -> wire.ClassificationResult:
    rows = _run(signature.answer, examples)
    try:
        return wire.ClassificationResult(classifications=[_classifications(row) for row in rows])
    except (TypeError, ValueError) as error:
        raise _no_answer("for each example, pairs of label and score", error) from error


def _classifications(row: Any) -> wire.Classifications:
    pairs = row.items() if isinstance(row, Mapping) else row
    return wire.Classifications(classes=[wire.Class(label=label, score=score) for label, score in pairs])


def _regress(signature: FakeSignature, examples: list[Example]) -> wire.RegressionResult:
    values = _run(signature.answer, examples)
    try:
        return wire.RegressionResult(regressions=[wire.Regression(value=value) for value in values])
    except (TypeError, ValueError) as error:
        raise _no_answer("a number for each example", error) from error


def _no_answer(wanted: str, error: Exception) -> ServingError:
    return Internal(f"the answer must be {wanted}: {error}")


def _run(answer: Any, *arguments: Any, **inputs: Any) -> Any:
    """What the test answers: what its function returns, or its canned reply.

    Raises:
        ServingError: its error, or INTERNAL with the text of another exception of the function.
    """
    if isinstance(answer, ServingError):
        raise answer
    if not callable(answer):
        return answer
    try:
        return answer(*arguments, **inputs)
    except ServingError:
        raise
    except Exception as error:
        raise Internal(f"the answer failed: {type(error).__name__}: {error}") from error
