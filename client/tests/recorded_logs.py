"""Logs as a server writes them."""

import json

import numpy as np

from servable_client import wire
from servable_client.tfrecord import write_records


def tensor(values, dtype=wire.DT_FLOAT):
    array = np.asarray(values)
    proto = wire.TensorProto(dtype=dtype)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if dtype == wire.DT_STRING:
        proto.string_val.extend(array.ravel().tolist())
    elif dtype == wire.DT_INT32:
        proto.int_val.extend(array.ravel().tolist())
    else:
        proto.float_val.extend(array.ravel().tolist())
    return proto


def predict(values, reply=None, *, model="half", signature="", time_s=0, **tensors):
    """A log of a Predict of `half`; its reply is the right one by default, and False for none."""
    inputs = tensors or {"x": tensor(values)}
    request = wire.PredictRequest(model_spec=wire.ModelSpec(name=model, signature_name=signature), inputs=inputs)
    log = wire.PredictionLog(predict_log=wire.PredictLog(request=request))
    if reply is None:
        reply = {"y": tensor(np.asarray(values) / 2 + 2)}
    if reply is not False:
        log.predict_log.response.CopyFrom(wire.PredictResponse(outputs=reply))
    log.log_metadata.timestamp_secs = time_s
    return log


def write(path, *logs):
    write_records(path, [log.SerializeToString() for log in logs])
    return path


def line(x, y, code="OK", time="2026-11-28T09:00:00.250000Z"):
    found = {"time": time, "model": "half", "api": "Predict", "entrypoint": "GRPC", "code": code}
    found["request"] = {
        "model_spec": {"name": "half"},
        "inputs": {"x": {"dtype": "DT_FLOAT", "shape": [len(x)], "values": x}},
    }
    if y is not None:
        found["reply"] = {"outputs": {"y": {"dtype": "DT_FLOAT", "shape": [len(y)], "values": y}}}
    return json.dumps(found) + "\n"
