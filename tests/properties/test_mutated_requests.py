"""Whatever bytes arrive, each call ends with an answer or a status that was meant, and the server goes on."""

import logging

import grpc
import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from servable import wire
from servable.codec import dtypes, encoding
from tests.models.odd_models import DTYPES
from tests.properties.mutations import mutated
from tests.properties.reading import plain, tensorflow_reads
from tests.properties.seeds import HALF_PLUS_TWO, MODELS, PREDICTION, SEEDS, example_list, model_spec, with_context
from tests.properties.tensor_protos import tensor_protos

DEADLINE_S = 20
# UNKNOWN is what grpc makes of an uncaught exception; DEADLINE_EXCEEDED would be a call that hangs.
MEANT = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
}


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(self.format(record))


@pytest.fixture(scope="module", params=["private", "public"])
def running(servers, request):
    return servers(*MODELS, runs=request.param)


@pytest.fixture(scope="module")
def complaints():
    """What the handlers and grpc's server log: nothing, unless there was an unexpected exception."""
    records = Records()
    loggers = [logging.getLogger(name) for name in ("servable.transport.handlers", "grpc._server")]
    for logger in loggers:
        logger.addHandler(records)
    yield records.messages
    for logger in loggers:
        logger.removeHandler(records)


def answer(running, method, request):
    """The code, and the bytes of the reply or the text of the status."""
    try:
        return grpc.StatusCode.OK, running.call(method, request, timeout_s=DEADLINE_S)
    except grpc.RpcError as error:
        return error.code(), error.details()


def check(running, complaints, method, request):
    code, text = answer(running, method, request)
    event(code.name)
    assert code in MEANT, text
    # The one INTERNAL that is meant has no text: the bytes are no message.
    assert code is not grpc.StatusCode.INTERNAL or text == ""
    assert not complaints, complaints


def check_that_it_serves(running):
    code, reply = answer(running, f"{PREDICTION}/Predict", HALF_PLUS_TWO.SerializeToString())
    assert code is grpc.StatusCode.OK
    assert list(wire.PredictResponse.FromString(reply).outputs["y"].float_val) == [3, 4]


@pytest.mark.parametrize("method", SEEDS)
@given(data=st.data())
def test_a_mutated_request_is_answered_or_refused(running, complaints, method, data):
    check(running, complaints, method, data.draw(mutated(SEEDS[method])))
    check_that_it_serves(running)


@given(method=st.sampled_from(sorted(SEEDS)), request=st.binary(max_size=60))
def test_bytes_of_any_kind_are_answered_or_refused(running, complaints, method, request):
    check(running, complaints, method, request)


NAMES = st.sampled_from(["", "nope", *MODELS])
KEYS = st.sampled_from(["", "serving_default", "regression", "regress_x_to_y", "identity_float", "nope", "größe"])
VERSIONS, LABELS = st.sampled_from([None, None, None, 1, 2, -1]), st.sampled_from([None, None, None, "", "stable"])
ANY_SPECS = st.builds(model_spec, NAMES, KEYS, VERSIONS, LABELS)
OUTPUTS = st.lists(st.sampled_from(["y", "scores", "outputs", "nope", "größe"]), max_size=2)
ALIASES = st.sampled_from(["x", "x", "inputs", "", "nope", "größe"])


@given(spec=ANY_SPECS, inputs=st.dictionaries(ALIASES, tensor_protos(), max_size=2), outputs=OUTPUTS)
def test_any_tensors_under_any_names_are_answered_or_refused(running, complaints, spec, inputs, outputs):
    request = wire.PredictRequest(model_spec=spec, output_filter=outputs)
    for alias, tensor in inputs.items():
        request.inputs[alias].CopyFrom(tensor)
    check(running, complaints, f"{PREDICTION}/Predict", request.SerializeToString())


SERVED_DTYPES = [dtype.number for dtype in dtypes.BY_NUMBER.values() if dtype.name in DTYPES]


@given(tensor=tensor_protos(st.sampled_from([*SERVED_DTYPES, wire.DT_INVALID])))
def test_an_identity_gives_back_what_tensorflow_reads_or_refuses_what_it_refuses(running, complaints, tensor):
    dtype = dtypes.BY_NUMBER.get(tensor.dtype)
    key = f"identity_{dtype.name if dtype else 'float'}"
    request = wire.PredictRequest(model_spec=model_spec("dtypes", key), inputs={"x": tensor})
    expected = tensorflow_reads(tensor)
    code, reply = answer(running, f"{PREDICTION}/Predict", request.SerializeToString())
    event(code.name)
    if expected is None:
        assert (code, reply) == (grpc.StatusCode.INVALID_ARGUMENT, "tensor parsing error: x")
    else:
        assert code is grpc.StatusCode.OK, reply
        assert plain(tensorflow_reads(wire.PredictResponse.FromString(reply).outputs["y"])) == plain(expected)
    assert not complaints, complaints


EXAMPLES = [example_list(0.5).example_list.examples[0].SerializeToString()]


@given(texts=st.lists(mutated(EXAMPLES) | st.binary(max_size=9), max_size=3))
def test_any_bytes_for_an_example_are_answered_or_refused(running, complaints, texts):
    """Through Predict they reach the graph's own parser, whose complaints quote them."""
    request = wire.PredictRequest(model_spec=model_spec("example_heads"))
    encoding.encode(np.array(texts, object), wire.DT_STRING, request.inputs["inputs"])
    check(running, complaints, f"{PREDICTION}/Predict", request.SerializeToString())


HEADS = [model_spec("example_heads"), model_spec("example_heads", "regression")]
METHODS = [f"tensorflow/serving/{name}" for name in ("classify", "regress", "classify", "regress", "predict")]
TASKS = st.builds(
    lambda spec, method: wire.InferenceTask(model_spec=spec, method_name=method),
    st.sampled_from([*HEADS, *HEADS, *HEADS, None]).flatmap(lambda spec: ANY_SPECS if spec is None else st.just(spec)),
    st.sampled_from(METHODS),
)
INPUTS = st.builds(
    lambda make, values: make(*values),
    st.sampled_from([example_list, with_context]),
    st.lists(st.floats(width=32), max_size=3),
)


@given(tasks=st.lists(TASKS, max_size=3), examples=INPUTS)
def test_any_tasks_over_any_examples_are_answered_or_refused(running, complaints, tasks, examples):
    request = wire.MultiInferenceRequest(tasks=tasks, input=examples)
    check(running, complaints, f"{PREDICTION}/MultiInference", request.SerializeToString())
    for task in tasks:
        for method, kind in [("Classify", wire.ClassificationRequest), ("Regress", wire.RegressionRequest)]:
            single = kind(model_spec=task.model_spec, input=examples)
            check(running, complaints, f"{PREDICTION}/{method}", single.SerializeToString())
