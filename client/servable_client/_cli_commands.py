"""The commands that ask once: predict, metadata, status, health. Each returns the exit status."""

from __future__ import annotations

import argparse
import sys

from servable_client._cli_connection import make_client
from servable_client._cli_inputs import read_inputs
from servable_client._cli_output import array_text, array_value, as_json, table
from servable_client.replies import Health, Prediction, VersionStatus
from servable_client.signatures import ModelMetadata, Signature, TensorSpec


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    # Here, so that a pipe that nobody reads any more is noticed here.
    sys.stdout.flush()


def predict(options: argparse.Namespace) -> int:
    """Run a signature."""
    inputs = read_inputs(options.inputs)
    with make_client(options) as client:
        prediction = client.predict(inputs, outputs=options.output)
    _say(as_json(_prediction_value(prediction)) if options.json else _prediction_text(prediction))
    return 0


def _prediction_value(prediction: Prediction) -> dict[str, object]:
    return {
        "model": prediction.model,
        "version": prediction.version,
        "signature": prediction.signature,
        "outputs": {name: array_value(array) for name, array in prediction.items()},
    }


def _prediction_text(prediction: Prediction) -> str:
    rows = [
        (name, _dtype_name(array.dtype.name), str(list(array.shape)), array_text(array))
        for name, array in sorted(prediction.items())
    ]
    served = f"{prediction.model} version {prediction.version}, signature {prediction.signature}"
    return served + "\n" + table(("output", "dtype", "shape", "values"), rows)


def _dtype_name(name: str) -> str:
    return "string" if name == "object" else name


def metadata(options: argparse.Namespace) -> int:
    """Show the signatures of a model."""
    with make_client(options) as client:
        found = client.metadata()
    _say(as_json(_metadata_value(found)) if options.json else _metadata_text(found))
    return 0


def _metadata_value(found: ModelMetadata) -> dict[str, object]:
    signatures = {
        name: {
            "method": signature.method,
            "inputs": {key: _spec_value(spec) for key, spec in signature.inputs.items()},
            "outputs": {key: _spec_value(spec) for key, spec in signature.outputs.items()},
            "optional": sorted(signature.optional),
        }
        for name, signature in found.signatures.items()
    }
    return {"model": found.model, "version": found.version, "signatures": signatures}


def _spec_value(spec: TensorSpec) -> dict[str, object]:
    return {"dtype": spec.dtype, "shape": spec.shape, "tensor": spec.tensor_name}


def _metadata_text(found: ModelMetadata) -> str:
    rows = [row for name, signature in found.signatures.items() for row in _signature_rows(name, signature)]
    return f"{found.model} version {found.version}\n" + table(("signature", "", "name", "dtype", "shape"), rows)


def _signature_rows(name: str, signature: Signature) -> list[tuple[str, ...]]:
    rows = [
        (kind, spec.name, spec.dtype, _shape_text(spec) + (" optional" if spec.name in signature.optional else ""))
        for kind, specs in (("input", signature.inputs), ("output", signature.outputs))
        for spec in specs.values()
    ]
    # The name once, beside its first row.
    return [(name if index == 0 else "", *row) for index, row in enumerate(rows or [("", "", "", "")])]


def _shape_text(spec: TensorSpec) -> str:
    if spec.shape is None:
        return "unknown"
    return "[" + ", ".join("?" if size is None else str(size) for size in spec.shape) + "]"


def status(options: argparse.Namespace) -> int:
    """Show the versions of a model."""
    with make_client(options) as client:
        versions = client.status()
    if options.json:
        _say(as_json([_status_value(each) for each in versions]))
    else:
        rows = [(str(each.version), each.state.name, _failure(each)) for each in versions]
        _say(table(("version", "state", "error"), rows))
    return 0


def _status_value(each: VersionStatus) -> dict[str, object]:
    return {"version": each.version, "state": each.state.name, "code": each.code.name, "message": each.message}


def _failure(each: VersionStatus) -> str:
    return f"{each.code.name}: {' '.join(each.message.split())}" if each.code else ""


def health(options: argparse.Namespace) -> int:
    """Ask for the health of the server or of a service."""
    with make_client(options) as client:
        found = client.health(options.service)
    _say(as_json({"service": options.service, "status": found.name}) if options.json else found.name)
    return 0 if found is Health.SERVING else 1
