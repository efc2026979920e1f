"""Predict on a fake signature: the checks that a real server makes, in its order, around the test's answer.

Texts and order are those of TensorFlow Serving (predict_util.cc); which index an input has in `Expects arg[...]` is a
matter of the graph there, and of the alphabet here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from servable_client import _dtypes, tensors, wire
from servable_client.errors import ClientError, Internal, InvalidArgument, ServingError
from servable_client.testing._models import FakeSignature
from servable_client.testing._signatures import encode_default, infer_outputs, says_dtype

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
    outputs = _encode(signature, run(signature.answer, **_with_defaults(signature, inputs)))
    if not signature.says_outputs:
        signature.outputs = {**signature.outputs, **infer_outputs(outputs)}
        _check_filter(wanted, outputs)
    return {name: tensor for name, tensor in outputs.items() if name in wanted or not wanted}


def run(answer: Any, *arguments: Any, **inputs: Any) -> Any:
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
        if spec is not None and not says_dtype(spec, array):
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
