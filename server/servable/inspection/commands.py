"""Commands that call a signature, ready to be pasted into a shell: zeros in the shapes that it declares."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from servable.inspection.report import Report, Signature, Tensor, enum_name
from servable.signatures import DEFAULT_KEY

_ADDRESS: Final = "127.0.0.1:8500"
_SERVICE: Final = "tensorflow.serving.PredictionService"


def model_name(report: Report) -> str:
    """What `servable serve PATH` calls the model of a report: the name of its folder."""
    path = Path(report.path)
    return path.name if report.version is None else path.parent.name


def make_commands(name: str, signature: Signature) -> Iterator[str]:
    """The commands that call a signature of a model, none if no RPC can.

    Args:
        name: The model's.
        signature: The signature.
    """
    spec: dict[str, Any] = {"name": name}
    named = ""
    if signature.key != DEFAULT_KEY:
        spec["signature_name"], named = signature.key, f" --signature {shlex.quote(signature.key)}"
    if signature.rpcs["MultiInference"].callable:
        method = "Classify" if signature.rpcs["Classify"].callable else "Regress"
        yield _grpcurl(method, {"model_spec": spec, "input": {"example_list": {"examples": [{}]}}})
    elif signature.rpcs["Predict"].callable:
        inputs = [tensor for tensor in signature.inputs if not tensor.has_default]
        yield f"servable-client predict -m {shlex.quote(name)}{named}{' --zeros' if inputs else ''}"
        yield _grpcurl("Predict", {"model_spec": spec, "inputs": _zeros(inputs)})


def _zeros(inputs: Sequence[Tensor]) -> Mapping[str, Any]:
    """TensorProtos in JSON; one without values is filled with zeros, or empty strings."""
    return {
        tensor.name: {
            "dtype": enum_name(tensor.dtype),
            "tensor_shape": {"dim": [{"size": 1 if size is None else size} for size in tensor.shape or ()]},
        }
        for tensor in inputs
    }


def _grpcurl(method: str, request: Mapping[str, Any]) -> str:
    return f"grpcurl -plaintext -d {shlex.quote(json.dumps(request))} {_ADDRESS} {_SERVICE}/{method}"
