"""Classify, Regress and MultiInference on fake models. Texts are TensorFlow Serving's (multi_inference.cc)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from servable_client import wire
from servable_client.errors import Internal, InvalidArgument, ServingError, Unimplemented
from servable_client.testing._examples import Example, merge, read_examples
from servable_client.testing._models import CLASSIFY, DEFAULT_SIGNATURE, REGRESS, FakeModel, FakeSignature
from servable_client.testing._predicting import run
from servable_client.testing._registry import Registry, find_signature, no_head, no_task, served_spec


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
    return merge(context, examples)


def _classify(signature: FakeSignature, examples: list[Example]) -> wire.ClassificationResult:
    rows = run(signature.answer, examples)
    try:
        return wire.ClassificationResult(classifications=[_classifications(row) for row in rows])
    except (TypeError, ValueError) as error:
        raise _no_answer("for each example, pairs of label and score", error) from error


def _classifications(row: Any) -> wire.Classifications:
    pairs = row.items() if isinstance(row, Mapping) else row
    return wire.Classifications(classes=[wire.Class(label=label, score=score) for label, score in pairs])


def _regress(signature: FakeSignature, examples: list[Example]) -> wire.RegressionResult:
    values = run(signature.answer, examples)
    try:
        return wire.RegressionResult(regressions=[wire.Regression(value=value) for value in values])
    except (TypeError, ValueError) as error:
        raise _no_answer("a number for each example", error) from error


def _no_answer(wanted: str, error: Exception) -> ServingError:
    return Internal(f"the answer must be {wanted}: {error}")
