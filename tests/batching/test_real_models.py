"""Batches of real models: what TensorFlow gives for requests together is what it gives for each alone."""

import contextlib
import dataclasses

import numpy as np
import pytest
from tensorflow_serving.apis import classification_pb2, predict_pb2

from servable.batching.dispatch import Dispatcher
from servable.batching.scheduler import Scheduler
from servable.config.batching import QueueLimits
from servable.errors import ServingError
from servable.execution.loader import SavedModelLoader
from servable.inference.classify import Classify
from servable.inference.predict import Predict
from servable.routing import Router
from servable.servables import Handle
from tests.batching.fakes import TIMEOUT_S, FakeReply, call
from tests.conformance.calls import predict_request, values
from tests.conformance.example_calls import classification, example, xs


class RawReply(FakeReply):
    """A reply whose message stays as it is."""

    def send(self, message):
        self._answer(message)


@dataclasses.dataclass
class Batched:
    """A model whose requests are all begun before the first runs, so that they make one batch."""

    model: object
    dispatcher: Dispatcher
    scheduler: Scheduler
    predict: Predict
    classify: Classify
    name: str

    def prepare(self, key="serving_default", outputs=None):
        signature = self.model.signatures[key]
        aliases = outputs or signature.outputs
        self.model.runner(tuple(signature.inputs.values()), tuple(signature.outputs[alias] for alias in aliases))

    def run(self, *requests):
        """Run Predict requests of inputs by alias, and give the outputs, or the error, of each."""
        return self.answers(*(predict_request(self.name, inputs, outputs=filters) for inputs, filters in requests))

    def answers(self, *requests):
        replies = [RawReply() for _ in requests]
        for request, reply in zip(requests, replies, strict=True):
            method = self.predict if isinstance(request, predict_pb2.PredictRequest) else self.classify
            call(self.dispatcher, method.begin, reply, TIMEOUT_S, request.SerializeToString())
        self.scheduler.start()
        return [_read(request, reply.wait()) for request, reply in zip(requests, replies, strict=True)]

    @property
    def counts(self):
        return self.dispatcher.counts.of(self.name)

    @property
    def batches(self):
        """How many batches had how many requests."""
        return dict(self.counts.requests)


def serialized(x):
    return example(x=x).SerializeToString()


def _read(request, answer):
    if isinstance(answer, ServingError):
        return answer.code.name, answer.message
    if isinstance(request, predict_pb2.PredictRequest):
        outputs = predict_pb2.PredictResponse.FromString(answer).outputs
        return {alias: values(tensor) for alias, tensor in outputs.items()}
    return classification_pb2.ClassificationResponse.FromString(answer).result


@pytest.fixture
def batched(models):
    """Models by name and limits."""
    with contextlib.ExitStack() as ending:

        def load(name, **limits):
            model = SavedModelLoader()(models.version_path(name))
            ending.callback(model.close)
            model.queue_limits = QueueLimits(**limits)
            router, scheduler = Router(), Scheduler(2)
            router.add(Handle(name, 1, model))
            ending.callback(scheduler.stop, TIMEOUT_S)
            return Batched(model, Dispatcher(scheduler), scheduler, Predict(router), Classify(router), name)

        yield load


def test_requests_of_any_rows_are_one_run(batched):
    served = batched("half_plus_two")
    served.prepare()
    answers = served.run(*(({"x": np.array(rows, np.float32)}, ()) for rows in ([1.0], [2.0, 3.0], [4.0])))
    assert answers == [{"y": [2.5]}, {"y": [3.0, 3.5]}, {"y": [4.0]}]
    assert served.batches == {3: 1}


def test_the_first_request_prepares_and_is_answered(batched):
    served = batched("half_plus_two")
    assert served.run(({"x": np.float32([1.0])}, ())) == [{"y": [2.5]}]


def test_strings_are_batched(batched):
    served = batched("strings")
    served.prepare(outputs=("bytes", "loud"))
    inputs = ([b"a", b"bcd"], [b""], [b"\xff\0"])
    answers = served.run(*(({"text": np.array(texts, object)}, ("bytes", "loud")) for texts in inputs))
    assert answers == [
        {"bytes": [len(text) for text in texts], "loud": [text + b"!" for text in texts]} for texts in inputs
    ]
    assert served.batches == {3: 1}


@pytest.mark.behaviour("8.4", "padding is the tensor's own first element, and outputs keep it")
@pytest.mark.parametrize("pads", [False, True])
def test_sequences_of_different_lengths_are_answered_with_padding_and_without(batched, pads):
    served = batched("variable_length", pads=pads)
    served.prepare()
    long, short = np.ones((1, 4, 100), np.float32), np.full((2, 2, 100), 3, np.float32)
    answers = served.run(
        ({"sequences": long, "lengths": np.array([4], np.int32)}, ()),
        ({"sequences": short, "lengths": np.array([2, 1], np.int32)}, ()),
    )
    assert [answer["mean"] for answer in answers] == [[[1.0] * 100], [[3.0] * 100] * 2]
    # Outputs keep what was padded, as in the original.
    assert np.shape(answers[1]["steps"]) == ((2, 4) if pads else (2, 2))
    assert sum(served.counts.runs.values()) == (1 if pads else 2)


@pytest.mark.behaviour("8.4", "ours: one bad request fails alone")
def test_one_request_that_a_kernel_refuses_fails_alone(batched):
    served = batched("matmul")
    served.prepare()
    good, bad = np.ones((2, 1), np.float32), np.ones((2, 3), np.float32)
    answers = served.run(({"x": good}, ()), ({"x": bad}, ()), ({"x": good * 2}, ()))
    assert [answers[0], answers[2]] == [{"z": [[1.0, 2.0]] * 2}, {"z": [[2.0, 4.0]] * 2}]
    assert answers[1][0] == "INVALID_ARGUMENT"
    assert "[2,3]" in answers[1][1]


@pytest.mark.behaviour("8.4", "ours: one bad request fails alone")
def test_one_bad_row_fails_only_its_own_request(batched):
    served = batched("example_heads")
    served.prepare()
    good, bad = classification(served.name, "", xs(0.25)), classification(served.name, "", xs(0.5))
    bad.input.example_list.examples[0].features.feature["x"].bytes_list.value.append(b"no number")
    answers = served.answers(good, bad, good)
    for answer in (answers[0], answers[2]):
        scores = {one.label: one.score for one in answer.classifications[0].classes}
        assert scores == {"low": 0.75, "high": 0.25}
    assert answers[1][0] == "INVALID_ARGUMENT"


@pytest.mark.behaviour(
    "8.2", "a queue is one version and its sets of tensors: APIs, signatures and filters in any order share it"
)
@pytest.mark.behaviour("13.12", "193 DifferentOrderForInputAndOutputTensors")
def test_apis_and_filters_over_the_same_tensors_share_a_batch(batched):
    served = batched("example_heads")
    served.prepare()
    examples = {"inputs": np.array([serialized(0.25)], object)}
    answers = served.answers(
        classification(served.name, "", xs(0.25)),
        predict_request(served.name, examples),
        predict_request(served.name, examples, outputs=["scores", "classes"]),
        predict_request(served.name, examples, outputs=["classes", "scores"]),
    )
    assert served.batches == {4: 1}
    assert answers[1] == answers[2] == answers[3] == {"scores": [[0.75, 0.25]], "classes": [[b"low", b"high"]]}


@pytest.mark.behaviour("8.4", "ours: one bad request fails alone")
def test_a_wrong_dtype_is_refused_before_it_is_queued(batched):
    served = batched("half_plus_two")
    served.prepare()
    answers = served.run(({"x": np.float32([1.0])}, ()), ({"x": np.int32([1])}, ()))
    assert answers[0] == {"y": [2.5]}
    assert answers[1] == ("INVALID_ARGUMENT", "Expects arg[0] to be float but int32 is provided")
    assert served.batches == {1: 1}


@pytest.mark.behaviour("8.4", "outputs without a batch dimension, even of a lone request")
@pytest.mark.behaviour("13.12", "187 RequestThatDoesntMatchSignatureGetsRunAnyway: a queue of its own")
@pytest.mark.behaviour("13.12", "194 MultipleSignatures, 197 SubsetOutputTensors")
def test_outputs_without_a_batch_dimension_are_refused_as_in_the_original(batched):
    served = batched("no_batch_output")
    x = {"x": np.float32([1.0, 2.0])}
    answers = served.run((x, ("doubled",)), (x, ("total",)), (x, ("constant",)))
    assert answers == [
        {"doubled": [2.0, 4.0]},
        ("FAILED_PRECONDITION", "Batched output tensor has 0 dimensions"),
        (
            "FAILED_PRECONDITION",
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
            "tensors",
        ),
    ]


@pytest.mark.behaviour("8.2", "ours: a request without rows does not wait for another")
@pytest.mark.behaviour("8.4", "a request above max_batch_size")
@pytest.mark.behaviour("8.4", "no inputs, scalars, inputs of different rows")
@pytest.mark.behaviour("8.4", "ours: two output aliases on one tensor both have their values")
def test_no_rows_and_scalars_and_no_inputs(batched):
    served = batched("odd_wiring", allowed_rows=(4,), max_task_rows=4, max_batch_rows=4)
    assert served.answers(
        predict_request(served.name, {"x": np.zeros(0, np.float32)}),
        predict_request(served.name, {"x": np.float32(1.0)}),
        predict_request(served.name, signature="nothing_in"),
        predict_request(served.name, {"x": np.zeros(5, np.float32)}),
        predict_request(served.name, {"x": np.float32([1.0])}, "twice_fetched"),
    ) == [
        {"y": []},
        ("INVALID_ARGUMENT", "Batching Run() input tensors must have at least one dimension"),
        ("INVALID_ARGUMENT", "Batching Run() must have at least one input tensor"),
        ("INVALID_ARGUMENT", "Task size 5 is larger than maximum input batch size 4"),
        {"y": [2.0], "z": [2.0]},
    ]


@pytest.mark.behaviour("8.5", "one request goes through several batches, the open one first")
def test_a_large_request_is_split(batched):
    served = batched("half_plus_two", max_batch_rows=3, splits=True, batches_at_once=None)
    served.prepare()
    many = np.arange(8, dtype=np.float32)
    answers = served.run(({"x": many[:2]}, ()), ({"x": many}, ()))
    assert answers == [{"y": (many[:2] / 2 + 2).tolist()}, {"y": (many / 2 + 2).tolist()}]
    assert {rows for rows, _ in served.counts.runs} == {1, 3}
