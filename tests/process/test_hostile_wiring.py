"""A signature that makes TensorFlow abort, in a server that is a process of its own."""

import shutil

import grpc
import numpy as np
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc

from servable import wire
from servable.execution import tf_records
from servable.warmup.records import WARMUP_FILE
from tests.conformance.calls import INVALID_ARGUMENT, predict_request, refused
from tests.process.launching import PATIENCE_S

TWICE = 'Endpoint "sp:1" fed more than once.'
X = np.ones(2, np.float32)
NAME = "fed_twice"


def fed_twice():
    return predict_request(NAME, {"a": X, "b": X, "x": X}, "fed_twice")


def write_warmup(version_directory):
    path = version_directory / WARMUP_FILE
    path.parent.mkdir()
    log = wire.PredictionLog()
    log.predict_log.request.ParseFromString(fed_twice().SerializeToString())
    with tf_records.writing(path) as append:
        append(log.SerializeToString())


def test_neither_a_request_nor_a_warm_up_record_ends_the_process(serve, models, tmp_path):
    base_path = shutil.copytree(models.base_path("fed_twice"), tmp_path / NAME)
    flags = [f"--model_base_path={base_path}", f"--model_name={NAME}", "--max_num_load_retries=0"]
    server = serve(*flags).wait_until_serving()
    with grpc.insecure_channel(server.address) as channel:
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert refused(prediction.Predict, fed_twice()) == (INVALID_ARGUMENT, TWICE)
        shutil.copytree(base_path / "1", tmp_path / "2")
        write_warmup(tmp_path / "2")
        (tmp_path / "2").rename(base_path / "2")
        server.stderr.wait_for(f"name: {NAME} version: 2.*failed")
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = NAME
        status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=PATIENCE_S)
        two, _ = status.model_version_status
        assert two.version == 2
        assert two.status.error_message.startswith(TWICE)
        reply = prediction.Predict(predict_request(NAME, {"x": X}), timeout=PATIENCE_S)
        assert list(reply.outputs["y"].float_val) == [2.0, 2.0]
