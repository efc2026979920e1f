"""A request over REST and one over gRPC share a batch, and the methods take each other's places."""

import threading

from servable import wire
from servable.calls import NO_CONTEXT
from servable.config.batching import BatchingConfig, QueueLimits
from servable.rest.message import RestMessage
from servable.rest.urls import Action, ModelUrl
from servable.servables import Handle
from tests.conformance.calls import PREDICTION_SERVICE
from tests.inference.asking import floats_request
from tests.rest import served
from tests.rest.doubling import Doubling

# A batch of two rows is full; one of a single row would wait for longer than the test.
LIMITS = QueueLimits(max_task_rows=2, max_batch_rows=2, timeout_s=60.0)


def test_a_request_over_rest_and_one_over_grpc_share_a_batch():
    model = Doubling(LIMITS)
    running = served.serve([Handle("m", 1, model)], batching=BatchingConfig(LIMITS))
    replies = []

    def call_over_grpc():
        replies.append(
            running.data.methods[PREDICTION_SERVICE + "Predict"](floats_request(3.0), served.TIMEOUT_S, NO_CONTEXT)
        )

    try:
        thread = threading.Thread(target=call_over_grpc)
        thread.start()
        status, _ = running.post("/v1/models/m:predict", '{"instances": [1.5]}')
        thread.join(served.TIMEOUT_S)
    finally:
        running.stop()
    assert status == 200
    assert wire.PredictResponse.FromString(replies[0]).outputs
    assert model.only_runner.rows == [2]


def test_a_message_is_as_long_as_its_body():
    assert len(RestMessage(ModelUrl(Action.PREDICT, "m"), b"abc")) == 3
