"""A model whose outputs are its inputs, and Predict requests driven by hand: no thread, no graph, no socket."""

import numpy as np

from servable import requests, signatures, wire
from servable.codec import dtypes, encoding
from servable.errors import InvalidArgument, ServingError
from servable.inference.predict import Predict
from servable.routing import Router, Routes
from servable.servables import Handle
from tests.conformance.fakes import define

# By signature. Tensor names are in another order than aliases.
INPUTS = {"": ["x"], "two": ["x", "y"], "spare": ["x", "z"], "empty": [""]}
OUTPUTS = {"same": "c:0", "turned": "a:0", "cut": "b:0"}
SPARE = np.array([1.0, -0.0, np.nan], np.float32)


class Model:
    """A servables.Servable that is never asked for a runner: tests run what a request wants themselves."""

    queue_limits = None

    def __init__(self, inputs=INPUTS, outputs=OUTPUTS):
        self.signatures = {}
        for key, aliases in inputs.items():
            named, definition = define(
                key or "serving_default",
                {alias: f"{9 - index}_{alias}:0" for index, alias in enumerate(aliases)},
                outputs,
            )
            if key == "spare":
                encoding.encode(SPARE, wire.DT_FLOAT, definition.defaults["z"])
            self.signatures[named] = signatures.prepare(named, definition)


def model_routes(*versions, name="m", labels=None, **others):
    """Routes to new models: versions of one, and one version of each of the others."""
    handles = [Handle(name, version, Model()) for version in versions or (1, 2)]
    return Routes(
        [*handles, *(Handle(other, 1, model) for other, model in others.items())], {name: labels or {"old": 1}}
    )


def new_predict(routes=None, **settings):
    """A Predict with an empty template cache, over routes or a Router."""
    return Predict(routes if isinstance(routes, Router) else Router(routes or model_routes()), **settings)


def run_model(run):
    """What a model gives: the first array as it is, the last one turned, and as much of the first as its values say."""
    if any(array.dtype == opaque.numpy for array in run.arrays for opaque in dtypes.OPAQUE.values()):
        raise InvalidArgument("no run is fed with objects")
    made = {
        "c:0": lambda arrays: arrays[0],
        "a:0": lambda arrays: np.ascontiguousarray(arrays[-1].T),
        "b:0": lambda arrays: arrays[0].reshape(-1)[: weigh(arrays[0]) % 3],
    }
    arrays = [quiet(array) for array in run.arrays]
    # An array without dimensions must not become a scalar.
    outputs = [
        np.asarray(made[name](arrays), arrays[0].dtype if name != "a:0" else None) for name in run.target.fetches
    ]
    return requests.Fetched(outputs, [dtypes.BY_NUMPY[output.dtype].number for output in outputs])


def weigh(array):
    return array.size if array.dtype == object else sum(array.tobytes())


def quiet(array):
    """Without signalling NaNs of 32 bits: protobuf's Python API hands values on as doubles, which makes them quiet.

    A view of the request's bytes leaves them as they are, which is what the original does.
    """
    if array.dtype not in (np.float32, np.complex64):
        return array
    bits = np.ascontiguousarray(array).reshape(-1).view(np.float32)
    quieted = np.where(np.isnan(bits), bits.view(np.uint32) | np.uint32(1 << 22), bits.view(np.uint32))
    return quieted.astype(np.uint32).view(array.dtype).reshape(array.shape)


def plain_array(array):
    """What distinguishes an array from another."""
    content = array.tolist() if array.dtype == object else quiet(array).tobytes()
    return array.dtype, array.shape, content


def plain_reply(reply):
    """A reply as it is parsed, whatever the order of its map."""
    message = wire.PredictResponse.FromString(reply)
    outputs = {alias: tensor.SerializeToString() for alias, tensor in message.outputs.items()}
    message.ClearField("outputs")
    return message.SerializeToString(), outputs


def ask(predict, request, model=run_model):
    """Drive a request to its end; what was run, and the reply."""
    run = predict.begin(request)
    return run, run.finish(model(run))


def outcome(predict, request):
    """All that can be seen of a request: what was fed to which version, and the reply; or the error."""
    try:
        run, reply = ask(predict, request)
    except ServingError as error:
        return error.code, error.message, dict(error.hints)
    target = run.target
    return [plain_array(array) for array in run.arrays], target.feeds, target.fetches, *plain_reply(reply)


def is_cached(predict, request):
    """Whether a request is found in the template cache: only then are its arrays views of its own bytes."""
    run, _ = ask(predict, request)
    own = np.frombuffer(request, np.uint8)
    return any(array.dtype != object and array.size and np.shares_memory(array, own) for array in run.arrays)


def floats_request(*values, name="m", shape=None, alias="x", **spec):
    """The bytes of an ordinary request."""
    array = np.array(values, np.float32).reshape(shape if shape is not None else -1)
    return arrays_request(name=name, **spec, inputs={alias: (array, wire.DT_FLOAT)})


def arrays_request(inputs, *, name="m", version=None, label=None, signature="", outputs=(), as_content=False):
    """The bytes of a request; inputs are arrays and dtypes by alias."""
    message = wire.PredictRequest(output_filter=outputs)
    message.model_spec.name, message.model_spec.signature_name = name, signature
    if version is not None:
        message.model_spec.version.value = version
    if label is not None:
        message.model_spec.version_label = label
    for alias, (array, number) in inputs.items():
        encoding.encode(array, number, message.inputs[alias], as_content=as_content)
    return message.SerializeToString()
