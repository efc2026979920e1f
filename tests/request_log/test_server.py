"""The log behind a real server over sockets: lanes, the public path, batches, and HTTP."""

import dataclasses
import gc
import json
import threading
import urllib.request
import weakref

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from servable import app, wire
from servable.config.models import ModelConfig
from servable.errors import Code
from servable.execution import tf_records
from servable.execution.loader import SavedModelLoader
from servable.options import ServerOptions
from tests import serving
from tests.models.exporting import tf
from tests.request_log.calling import config, make_log
from tests.request_log.test_follower import wait_until

CONTENT = {"Content-Type": "application/json"}


@pytest.fixture(params=["lanes", "public", "batched"])
def logged(request, models, tmp_path):
    """A server of half_plus_two whose calls a log follows, and that log."""
    base_path = str(models.base_path("half_plus_two"))
    options = ServerOptions(
        model_base_path=base_path,
        max_num_load_retries=0,
        grpc_lanes=int(request.param != "public"),
        enable_batching=request.param == "batched",
        rest_api_port=1,
    )
    log = make_log()
    log.apply([config("half_plus_two", tmp_path / "log" / "requests")])
    configuration = app.configure(options)
    configuration = dataclasses.replace(
        configuration,
        models=[ModelConfig("half_plus_two", base_path)],
        settings=dataclasses.replace(configuration.settings, addresses=["127.0.0.1:0"]),
        http=dataclasses.replace(configuration.http, port=0, host="127.0.0.1"),
    )
    loader = SavedModelLoader(runs=serving.RUNS["private"](), batching=configuration.batching)
    server = app.Server(configuration, loader, followers=[log])
    (port,) = server.start()
    running = serving.connect(server, f"127.0.0.1:{port}")
    yield running, log
    running.close()
    log.stop()


def predict(values):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "half_plus_two"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array(values, np.float32)))
    return request


def post(running, path, body):
    url = f"http://127.0.0.1:{running.server.http_ports[0]}{path}"
    data = json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, CONTENT), timeout=60) as reply:
        return json.loads(reply.read())


def logs(folder):
    (path,) = folder.iterdir()
    return [prediction_log_pb2.PredictionLog.FromString(record) for record in tf_records.read(path)]


def inputs_and_outputs(log):
    stored = log.predict_log
    reply = tf.make_ndarray(stored.response.outputs["y"]).ravel().tolist() if stored.HasField("response") else None
    return tf.make_ndarray(stored.request.inputs["x"]).ravel().tolist(), reply


def test_calls_over_grpc_and_http_are_in_the_log_with_their_own_replies(logged, tmp_path):
    running, log = logged
    futures = [running.prediction.Predict.future(predict([[index]]), timeout=60) for index in range(50)]
    assert len([future.result() for future in futures]) == 50
    post(running, "/v1/models/half_plus_two:predict", {"instances": [[100.0]]})
    infer = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [200.0]}]}
    post(running, "/v2/models/half_plus_two/infer", infer)
    wait_until(lambda: sum(_statuses(log).values()) == 52)
    log.stop()
    found = sorted((x, y or []) for x, y in map(inputs_and_outputs, logs(tmp_path / "log")))
    expected = [([float(index)], [index / 2 + 2]) for index in [*range(50), 100]]
    assert found == [*expected, ([200.0], [])]


def test_a_call_that_fails_has_no_record(logged, tmp_path):
    running, log = logged
    with pytest.raises(grpc.RpcError) as caught:
        running.prediction.Predict(predict_pb2.PredictRequest(model_spec=predict([1]).model_spec), timeout=60)
    assert caught.value.code().value[0] == int(Code.INVALID_ARGUMENT)
    running.prediction.Predict(predict([[1]]), timeout=60)
    wait_until(lambda: sum(_statuses(log).values()) == 1)
    log.stop()
    assert len(logs(tmp_path / "log")) == 1
    assert log._chosen == {}


def test_a_version_is_unloaded_while_its_calls_wait_to_be_written(logged, monkeypatch):
    running, log = logged
    handle = weakref.ref(running.server._router.routes.resolve(wire.ModelSpec(name="half_plus_two")))
    may_write = threading.Event()
    write = log._writer._write
    monkeypatch.setattr(log._writer, "_write", lambda entry: may_write.wait(60) and write(entry))
    for index in range(3):
        running.prediction.Predict(predict([[index]]), timeout=60)
    post(running, "/v1/models/half_plus_two:predict", {"instances": [[100.0]]})
    running.server._control.served_models.apply([])
    try:
        wait_until(lambda: gc.collect() >= 0 and handle() is None)
        assert log._waiting.size_bytes
    finally:
        may_write.set()


def _statuses(log):
    (found,) = [family for family in log.families() if family.name == "/tensorflow/serving/request_log_count"]
    return found.values
