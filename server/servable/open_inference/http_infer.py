"""An inference over HTTP: a JSON object, and behind it the bytes of the tensors that are not in it.

How many bytes of the body are JSON is said by the header Inference-Header-Content-Length; without it, all are. An input
has its values in `data`, or behind the JSON, in the order of the inputs: then `parameters.binary_data_size` says how
many bytes are its own. An output is answered in bytes if its `parameters.binary_data` or the request's
`parameters.binary_data_output` says so (Triton: protocol/extension_binary_data).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from servable import requests
from servable.codec.decoding import MalformedTensor
from servable.codec.json import number_arrays, reading
from servable.codec.json.number_arrays import NotTaken, NumberArray
from servable.errors import InvalidArgument
from servable.inference.predict import check_reply_size
from servable.open_inference import tensors
from servable.open_inference.datatypes import Datatype
from servable.open_inference.inference import (
    SIGNATURE_PARAMETER,
    Inference,
    Models,
    Query,
    bind,
    find_datatype,
    refuse_extensions,
)
from servable.requests import Array
from servable.signatures import DEFAULT_KEY

ValueT = TypeVar("ValueT")

_KIND_NAMES: Final[Mapping[type, str]] = {
    bool: "true or false",
    dict: "an object",
    int: "an integer",
    list: "a list",
    str: "a string",
}


@dataclass(slots=True, eq=False)
class InferMessage:
    """One request to infer, as it arrived; its length is that of the body.

    Attributes:
        model_name: Of the path.
        model_version: Of the path; empty if it has none.
        body: The JSON, and what follows it.
        json_bytes: How many bytes of the body are JSON.
        reply_json_bytes: The same of the reply, written by `requests.Request.finish`; None if it is all JSON.
    """

    model_name: str
    model_version: str
    body: bytes
    json_bytes: int
    reply_json_bytes: int | None = None

    def __len__(self) -> int:
        return len(self.body)


@dataclass(frozen=True, slots=True)
class HttpInfer:
    """Inferences over HTTP. Safe to call from many threads.

    Attributes:
        models: Finds versions.
    """

    models: Models

    def begin(self, message: InferMessage) -> _Request:
        """A request on its way; see requests.BeginOf."""
        text = _json_text(message)
        rest, arrays = number_arrays.extract(text)
        if arrays:
            try:
                return self._begin(message, rest, arrays)
            except (NotTaken, InvalidArgument):
                # Read again without what was taken out: that tells what is wrong, if anything is.
                pass
        return self._begin(message, text, ())

    def _begin(self, message: InferMessage, text: bytes, arrays: Sequence[NumberArray]) -> _Request:
        document = _parse(text)
        parameters = _get(document, "parameters", dict, {})
        inputs, outputs = _objects(document, "inputs"), _objects(document, "outputs")
        for tensor in (*inputs, *outputs):
            refuse_extensions(tensor.name, tensor.parameters)
        query = Query(
            message.model_name,
            message.model_version,
            _get(parameters, SIGNATURE_PARAMETER, str, "") or DEFAULT_KEY,
            [output.name for output in outputs],
            _get(document, "id", str, ""),
        )
        if sum(_find_marked(tensor, arrays) is not None for tensor in inputs) != len(arrays):
            raise NotTaken  # One is somewhere else in the document, where its marker would count as a string.
        contents = _split_contents(inputs, memoryview(message.body)[message.json_bytes :])
        sent = [(tensor.name, (tensor, content)) for tensor, content in zip(inputs, contents, strict=True)]
        inference = bind(self.models, query, sent, partial(_read_input, arrays))
        is_binary = _get(parameters, "binary_data_output", bool, False)
        return _Request(
            message,
            inference,
            is_binary,
            {output.name: _get(output.parameters, "binary_data", bool, is_binary) for output in outputs},
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """A request to infer on its way; see requests.Request.

    Attributes:
        message: What arrived.
        inference: What is run.
        is_binary: Whether outputs of which the request says nothing are answered in bytes.
        is_output_binary: The same by name, of outputs that the request wants.
    """

    message: InferMessage
    inference: Inference
    is_binary: bool
    is_output_binary: Mapping[str, bool]

    @property
    def target(self) -> requests.Target:
        return self.inference.target

    @property
    def arrays(self) -> Sequence[Array]:
        return self.inference.arrays

    @property
    def size_bytes(self) -> int:
        return requests.measure(self.message.body, self.arrays)

    def finish(self, fetched: requests.Fetched) -> bytes:
        """See requests.Request; the bytes are the body of the reply."""
        check_reply_size(fetched)
        query, outputs, contents = self.inference.query, [], []
        for alias, datatype, array in self.inference.outputs(fetched):
            tensor: dict[str, Any] = {"name": alias, "datatype": datatype.name, "shape": array.shape}
            if self.is_output_binary.get(alias, self.is_binary):
                content = tensors.write_bytes(datatype, array)
                tensor["parameters"] = {"binary_data_size": len(content)}
                contents.append(content)
            else:
                tensor["data"] = _write_json(alias, datatype, array)
            outputs.append(tensor)
        document = {
            "model_name": query.model_name,
            "model_version": str(self.inference.handle.version),
            **({"id": query.id} if query.id else {}),
            "outputs": outputs,
        }
        text = json.dumps(document).encode()
        if contents:
            self.message.reply_json_bytes = len(text)
        return b"".join((text, *contents))


@dataclass(frozen=True, slots=True)
class _Tensor:
    """An input or a wanted output, as the JSON has it."""

    name: str
    parameters: Mapping[str, Any]
    fields: Mapping[str, Any]


def _json_text(message: InferMessage) -> bytes:
    body, size_bytes = message.body, message.json_bytes
    if not 0 <= size_bytes <= len(body):
        raise InvalidArgument(f"Inference-Header-Content-Length is {size_bytes}; the body has {len(body)} bytes")
    return body if size_bytes == len(body) else body[:size_bytes]


def _parse(text: bytes) -> dict[str, Any]:
    reading.require_few_values(text)
    try:
        document = json.loads(text, parse_float=_read_finite if reading.may_overflow(text) else None)
    except json.JSONDecodeError as error:
        raise InvalidArgument(f"JSON Parse error: {error}") from error
    except RecursionError as error:
        raise InvalidArgument("JSON Parse error: lists or objects are nested too deeply") from error
    except ValueError as error:
        # No UTF-8, a number of thousands of digits, or one that is too large for a double.
        raise InvalidArgument("JSON Parse error: a text is no UTF-8, or a number is too large") from error
    if not isinstance(document, dict):
        raise InvalidArgument("the request is no JSON object")
    return document


def _read_finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


def _get(fields: Mapping[str, Any], key: str, kind: type[ValueT], default: ValueT | None = None) -> ValueT:
    """A field of an object of the JSON; null counts as absent.

    Raises:
        InvalidArgument: if it is of another kind, or absent and there is no default.
    """
    value = fields.get(key)
    if value is None:
        value = default
    if type(value) is not kind:
        raise InvalidArgument(f'"{key}" must be {_KIND_NAMES[kind]}')
    return value


def _objects(document: Mapping[str, Any], key: str) -> list[_Tensor]:
    tensors_sent = []
    for fields in _get(document, key, list, []):
        if not isinstance(fields, dict):
            raise InvalidArgument(f'"{key}" must hold objects')
        tensors_sent.append(_Tensor(_get(fields, "name", str), _get(fields, "parameters", dict, {}), fields))
    return tensors_sent


def _split_contents(inputs: Sequence[_Tensor], rest: memoryview) -> list[memoryview | None]:
    """What lies behind the JSON, by inputs; None for those that have their values in it."""
    contents: list[memoryview | None] = []
    start = 0
    for tensor in inputs:
        if tensor.parameters.get("binary_data_size") is None:
            contents.append(None)
            continue
        size_bytes = _get(tensor.parameters, "binary_data_size", int)
        if not 0 <= size_bytes <= len(rest) - start:
            raise InvalidArgument(
                f'input "{tensor.name}": binary_data_size is {size_bytes}; {len(rest) - start} bytes are left'
            )
        contents.append(rest[start : start + size_bytes])
        start += size_bytes
    if start != len(rest):
        raise InvalidArgument(f"{len(rest) - start} bytes behind the JSON belong to no input")
    return contents


def _find_marked(tensor: _Tensor, arrays: Sequence[NumberArray]) -> NumberArray | None:
    return number_arrays.find_marked(tensor.fields.get("data"), arrays)


def _read_input(arrays: Sequence[NumberArray], sent: tuple[_Tensor, memoryview | None]) -> Array:
    tensor, content = sent
    datatype = find_datatype(_get(tensor.fields, "datatype", str))
    shape = _get(tensor.fields, "shape", list)
    if not all(type(size) is int for size in shape):
        raise MalformedTensor('"shape" must hold integers')
    if content is None:
        marked = _find_marked(tensor, arrays)
        return tensors.read_json(datatype, shape, tensor.fields.get("data") if marked is None else marked)
    if "data" in tensor.fields:
        raise MalformedTensor('"data" must not stand beside binary_data_size')
    return tensors.read_bytes(datatype, shape, content)


def _write_json(alias: str, datatype: Datatype, array: Array) -> list[Any]:
    try:
        return tensors.write_json(datatype, array)
    except MalformedTensor as error:
        raise InvalidArgument(f'output "{alias}": {error}') from error
