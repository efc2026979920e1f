"""Coverage-guided mutants of what reads bytes without TensorFlow: codec/, codec/json/, rest/urls.

    python -m benchmarks.resilience.coverage_guided json|tensors|urls CORPUS -runs=200000 -max_len=512

Needs atheris (3.0), in a venv of its own with numpy and protobuf; PYTHONPATH=server. Arguments behind the target are
libFuzzer's. Whatever is no meant refusal ends it with a traceback and the bytes in a file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import atheris

with atheris.instrument_imports(include=["servable.codec", "servable.rest"]):
    from servable import wire
    from servable.codec import decoding
    from servable.codec.json import reading
    from servable.errors import ServingError
    from servable.rest import urls


def read_json(data: bytes) -> None:
    """A body of REST, as rows or columns of one tensor of each kind."""
    body = reading.read_predict(data)
    for dtype in (wire.DT_FLOAT, wire.DT_INT64, wire.DT_STRING):
        info = wire.TensorInfo(dtype=dtype)
        body.read_tensors({"x": info})


def read_tensor(data: bytes) -> None:
    """A TensorProto."""
    tensor = wire.TensorProto()
    try:
        tensor.ParseFromString(data)
    except Exception:  # noqa: BLE001  (protobuf's own complaint)
        return
    decoding.decode(tensor)


def read_url(data: bytes) -> None:
    """The target of a request."""
    urls.parse("POST", data.decode("latin-1"))


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {"json": read_json, "tensors": read_tensor, "urls": read_url}


def main(target: str) -> None:
    """Fuzz until libFuzzer has enough."""
    read = TARGETS[target]

    def run(data: bytes) -> None:
        try:
            read(data)
        except (ServingError, decoding.MalformedTensor):
            return

    atheris.Setup([sys.argv[0], *sys.argv[2:]], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1])
