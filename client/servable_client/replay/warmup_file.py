"""A warm-up file made of a log: one request of each form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from servable_client import wire
from servable_client.errors import Code, InputError
from servable_client.replay.recorded import Recorded
from servable_client.tfrecord import write_records


def write(path: Path, calls: Iterable[Recorded], most: int) -> int:
    """Write the first request of each form: of a signature, with inputs of the same dtypes and shapes.

    Requests that failed are left out, since a version that fails one in its warm-up does not serve.

    Returns:
        How many there are in the file.

    Raises:
        InputError: if they are for several models, of which each has a file of its own.
        ClientError: as `recorded.read`; nothing is written then.
        OSError: likewise.
    """
    found: dict[Any, Recorded] = {}
    for call in calls:
        if call.code is Code.OK and len(found) < most:
            found.setdefault(_form(call), call)
    models = sorted({call.model for call in found.values()})
    if len(models) > 1:
        raise InputError(f"the log has requests for {', '.join(models)}: choose one with --only-model")
    return write_records(path, _records(found.values()))


def _records(calls: Iterable[Recorded]) -> Iterator[bytes]:
    for call in calls:
        log = wire.PredictionLog()
        getattr(log, call.kind).request.CopyFrom(call.request)
        yield log.SerializeToString(deterministic=True)


def _form(call: Recorded) -> Any:
    request = call.request
    if call.kind == "predict_log":
        inputs = sorted(
            (name, tensor.dtype, tuple(dim.size for dim in tensor.tensor_shape.dim))
            for name, tensor in request.inputs.items()
        )
        spec = request.model_spec
        return call.kind, spec.name, spec.signature_name, tuple(inputs), tuple(sorted(request.output_filter))
    if call.kind == "multi_inference_log":
        heads = tuple((task.model_spec.name, task.model_spec.signature_name) for task in request.tasks)
    else:
        heads = ((request.model_spec.name, request.model_spec.signature_name),)
    kind = request.input.WhichOneof("kind")
    examples = getattr(request.input, kind).examples if kind else ()
    names = tuple(sorted({name for example in examples for name in example.features.feature}))
    return call.kind, heads, kind, len(examples), names
