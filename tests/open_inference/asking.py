"""Requests of the protocol by hand: an echoing model, messages, the HTTP handler without a socket."""

import asyncio
import json
import math

import numpy as np
from hypothesis import strategies as st

from servable import requests, signatures, wire
from servable.http_exchange import HttpRequest
from servable.open_inference import datatypes
from servable.open_inference.grpc_api import GrpcInfer
from servable.open_inference.http_api import OpenInferenceApi
from servable.open_inference.http_infer import HttpInfer
from servable.open_inference.inference import Models
from servable.routing import Router, Routes
from servable.servables import Handle
from tests.conformance.fakes import define
from tests.properties.arrays import arrays

LENGTH_HEADER = b"inference-header-content-length"
# By signature: the outputs of each are its inputs, with names of their own.
SIGNATURES = {"serving_default": ["x"], "two": ["x", "y"], "none": []}


class EchoModel:
    """A servables.Servable that is never asked for a runner: `echo` does what it would."""

    queue_limits = None

    def __init__(self, dtype=wire.DT_FLOAT, shape=None):
        self.signatures = {}
        for key, aliases in SIGNATURES.items():
            # Tensor names are in another order than aliases.
            names = {alias: f"{9 - index}_{alias}:0" for index, alias in enumerate(aliases)}
            outputs = {f"{alias}_out": name for alias, name in names.items()} or {"constant": "constant:0"}
            _, definition = define(key, names, outputs)
            for infos in (definition.inputs, definition.outputs):
                for info in infos.values():
                    info.dtype = dtype
                    _write_shape(shape, info.tensor_shape)
            self.signatures[key] = signatures.prepare(key, definition)


def _write_shape(sizes, shape):
    shape.unknown_rank = sizes is None
    for size in sizes or ():
        shape.dim.add(size=size)


def echo(request, numbers=None):
    """What the model fetches for a request."""
    fed = dict(zip(request.target.feeds, request.arrays, strict=True))
    results = [fed.get(name, np.array([7], np.int32)) for name in request.target.fetches]
    known = {datatype.dtype.numpy: number for number, datatype in datatypes.BY_NUMBER.items()}
    return requests.Fetched(results, numbers or [known[result.dtype] for result in results])


def echo_models(*versions, labels=None, **model):
    """Where inferences find versions of the model `m`."""
    handles = [Handle("m", version, EchoModel(**model)) for version in versions or (1, 2)]
    return Models(Router(Routes(handles, {"m": labels or {"old": 1}})))


def grpc_infer(message, models=None, fetch=echo):
    """The reply to a ModelInferRequest."""
    request = GrpcInfer(models or echo_models()).begin(message.SerializeToString())
    return wire.ModelInferResponse.FromString(request.finish(fetch(request)))


def grpc_request(inputs, *, raw=True, model="m", **fields):
    """A ModelInferRequest of arrays by name."""
    message = wire.ModelInferRequest(model_name=model, **fields)
    for name, array in inputs.items():
        datatype = datatype_of(array)
        tensor = message.inputs.add(name=name, datatype=datatype.name, shape=array.shape)
        if raw:
            message.raw_input_contents.append(to_bytes(array))
        elif array.size:
            getattr(tensor.contents, datatype.field).extend(array.ravel().tolist())
    return message


def datatype_of(array):
    return next(each for each in datatypes.BY_NAME.values() if each.dtype.numpy == array.dtype)


def to_bytes(array):
    """An independent writer of the protocol's bytes."""
    if array.dtype != object:
        return array.astype(array.dtype.newbyteorder("<") if array.dtype.kind in "iuf" else array.dtype).tobytes()
    return b"".join(len(value).to_bytes(4, "little") + value for value in array.ravel().tolist())


def from_bytes(content, datatype, shape):
    """An independent reader of the protocol's bytes."""
    if datatype.name != "BYTES":
        return np.frombuffer(content, datatype.dtype.numpy).reshape(shape)
    values, start = [], 0
    while start < len(content):
        end = start + 4 + int.from_bytes(content[start : start + 4], "little")
        values.append(content[start + 4 : end])
        start = end
    strings = np.empty(math.prod(shape), object)
    strings[:] = values
    return strings.reshape(shape)


def make_api(models=None, fetch=echo, *, is_ready=True):
    """The HTTP handler; runs are answered at once."""
    models = models or echo_models()
    begin = HttpInfer(models).begin

    def infer(message, _time_left_s, reply):
        request = begin(message)
        reply.send(request.finish(fetch(request)))

    return OpenInferenceApi(infer, models.router, lambda: is_ready)


def ask(api, verb, target, body=b"", headers=()):
    """The reply of a handler, its event loop brought along."""
    return asyncio.run(api.handle(HttpRequest(verb, target, body, headers)))


def get(target, api=None):
    """The status and the JSON of a GET."""
    reply = ask(api or make_api(), "GET", target)
    return reply.status, json.loads(reply.body)


def infer(document, contents=b"", api=None, target="/v2/models/m/infer", json_bytes=None):
    """The status, the JSON and what follows it of a request to infer; the header is sent if there are contents."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    has_header = contents or json_bytes is not None
    length = str(len(text) if json_bytes is None else json_bytes).encode()
    headers = [(LENGTH_HEADER, length)] if has_header else []
    reply = ask(api or make_api(), "POST", target, text + contents, headers)
    sent = {key.lower(): value for key, value in reply.headers}
    end = int(sent.get(LENGTH_HEADER, len(reply.body)))
    assert (reply.content_type == "application/octet-stream") == (LENGTH_HEADER in sent)
    return reply.status, json.loads(reply.body[:end]), reply.body[end:]


def json_input(name, array, **fields):
    """An input with its values in JSON."""
    return {"name": name, "datatype": datatype_of(array).name, "shape": list(array.shape), **fields}


def any_arrays(names=tuple(datatypes.BY_NAME)):
    """Arrays of the protocol's datatypes."""
    return st.sampled_from(names).flatmap(lambda name: arrays(datatypes.BY_NAME[name].dtype))


def assert_equal(got, wanted):
    """Same dtype, shape and values; a NaN equals a NaN."""
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    if wanted.dtype == object:
        assert got.tolist() == wanted.tolist()
    else:
        plain = np.float32 if wanted.dtype.kind == "V" or wanted.dtype == np.float16 else wanted.dtype
        np.testing.assert_array_equal(got.astype(plain), wanted.astype(plain))
