"""What the fake server answers: functions, canned replies, and refusals in TensorFlow Serving's words."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from servable_client import Class, Client, Health, State, Task, errors


def test_a_function_answers_by_the_names_of_its_parameters(client):
    prediction = client.predict({"x": [1.0, 2.0]})
    assert prediction["y"].tolist() == [2.5, 3.0]
    assert (prediction.model, prediction.version, prediction.signature) == ("half", 1, "serving_default")


def test_one_input_need_not_be_named(client):
    assert client.predict([1.0]).value.tolist() == [2.5]


def test_a_canned_reply_answers_any_input(server, client):
    server.model("canned").predict({"y": np.array([7], np.int64), "who": "me"})
    prediction = client.predict({"anything": ["a"]}, model="canned")
    assert prediction["y"].tolist() == [7]
    assert prediction["who"].item() == b"me"


def test_a_canned_error_keeps_its_hints(server, client):
    server.model("broken").predict(errors.FailedPrecondition("not today", {"did_you_mean": "half"}))
    with pytest.raises(errors.FailedPrecondition, match="not today") as caught:
        client.predict({"x": [1.0]}, model="broken")
    assert caught.value.hints == {"did_you_mean": "half"}


def test_signatures_answer_each_in_their_own_way(server, client):
    server.model("half").predict(lambda a, b: {"sum": a + b}, signature="add")
    assert client.predict({"a": [1.0], "b": [2.0]}, signature="add").value.tolist() == [3.0]
    assert client.predict([1.0]).value.tolist() == [2.5]


def test_the_highest_available_version_answers_unless_one_is_named(server, client):
    server.model("half", version=3, label="canary").predict(lambda x: {"y": x * 3})
    assert client.predict([1.0]).version == 3
    assert client.predict([1.0], version=1).value.tolist() == [2.5]
    assert client.predict([1.0], label="canary").value.tolist() == [3.0]
    server.model("half", version=3).become("UNLOADING")
    assert client.predict([1.0]).version == 1


def test_an_exception_of_a_function_becomes_internal_with_its_text(server, client):
    def fail(x):
        raise KeyError("row 3")

    server.model("half").predict(fail)
    with pytest.raises(errors.Internal, match="the answer failed: KeyError: 'row 3'"):
        client.predict([1.0])


def test_an_answer_that_is_no_mapping_is_reported(server, client):
    server.model("half").predict(lambda x: x)
    with pytest.raises(errors.Internal, match="must be a mapping from output name to value; it is a ndarray"):
        client.predict([1.0])


@pytest.mark.parametrize(
    ("choice", "inputs", "error", "text"),
    [
        ({"model": "gone"}, {"x": [1.0]}, errors.NotFound, r"Servable not found for request: Latest\(gone\)"),
        ({"version": 9}, {"x": [1.0]}, errors.NotFound, r"Servable not found for request: Specific\(half, 9\)"),
        ({"label": "x"}, {"x": [1.0]}, errors.InvalidArgument, "Unrecognized servable version label: x"),
        ({"signature": "no"}, {"x": [1.0]}, errors.FailedPrecondition, 'Serving signature key "no" not found'),
        ({}, {"z": [1.0]}, errors.InvalidArgument, r"Sent extra: \{z\}. Missing but required: \{x\}"),
        ({}, {"x": np.ones(2, np.int32)}, errors.InvalidArgument, "to be float but int32 is provided"),
        ({"outputs": ["no"]}, {"x": [1.0]}, errors.InvalidArgument, "output tensor alias not found in signature: no"),
    ],
)
def test_refusals_have_the_codes_and_words_of_tensorflow_serving(server, choice, inputs, error, text):
    with Client(server.address, model="half", infer=False) as blunt, pytest.raises(error, match=text):
        blunt.predict(inputs, **choice)


def test_outputs_can_be_asked_for_one_by_one(server, client):
    server.model("half").predict(lambda x: {"y": x, "z": x + 1})
    assert list(client.predict([1.0], outputs=["z"])) == ["z"]


def test_metadata_reports_what_a_function_declares(server, client):
    def look(image: NDArray[np.uint8], scale=1.0, top=3):
        return {"label": np.full(top, b"cat", object)}

    server.model("look").predict(look, outputs={"label": ("string", [None])})
    signature = client.metadata(model="look").signatures["serving_default"]
    assert [str(spec) for spec in signature.inputs.values()] == [
        "image: uint8[?]",
        "scale: float32[?]",
        "top: int64[?]",
    ]
    assert signature.optional == {"scale", "top"}
    assert str(signature.outputs["label"]) == "label: string[?]"
    assert client.predict({"image": [[1]]}, model="look").value.tolist() == [b"cat"] * 3


def test_metadata_reports_outputs_that_replies_have_shown(server, client):
    assert client.metadata().signatures["serving_default"].outputs == {}
    client.predict(np.ones((2, 3), np.float32))
    assert str(client.metadata().signatures["serving_default"].outputs["y"]) == "y: float32[?, 3]"


def test_declared_inputs_that_a_function_does_not_take_are_refused_at_once(server):
    with pytest.raises(errors.InputError, match=r"takes \['x'\], and \['image'\] is declared"):
        server.model("half").predict(lambda x: {"y": x}, inputs={"image": "float32"})


def test_an_unknown_dtype_is_refused_at_once(server):
    with pytest.raises(errors.InputError, match="'x': unknown dtype 'float33'"):
        server.model("half").predict(lambda x: {"y": x}, inputs={"x": "float33"})


def test_classify_and_regress_see_examples_with_their_context(server, client):
    server.model("heads").classify(lambda examples: [{"odd": e["n"][0] % 2, "even": 0.5} for e in examples])
    server.model("heads").regress(lambda examples: [e["n"][0] + e["base"][0] for e in examples], signature="sum")
    found = client.classify([{"n": 3}, {"n": 4}], model="heads")
    assert list(found) == [(Class("odd", 1.0), Class("even", 0.5)), (Class("odd", 0.0), Class("even", 0.5))]
    sums = client.regress([{"n": 3}, {"n": 4, "base": 0}], context={"base": 10}, model="heads", signature="sum")
    assert list(sums) == [13.0, 4.0]


def test_multi_inference_runs_its_tasks_on_the_same_examples(server, client):
    server.model("heads").classify([[("cat", 0.75)]], signature="kind").regress([2.5], signature="size")
    tasks = [Task("classify", "kind"), Task("regress", "size")]
    kinds, sizes = client.multi_inference({"n": 1}, tasks, model="heads")
    assert kinds.labels == [["cat"]]
    assert list(sizes) == [2.5]


def test_a_head_refuses_what_it_is_not(server, client):
    with pytest.raises(errors.InvalidArgument, match="method_name to be tensorflow/serving/classify"):
        client.classify({"n": 1})


def test_status_reports_states_and_failures(server, client):
    server.model("half", version=2).become(State.END, errors.Internal("out of memory"))
    second, first = client.status()
    assert (second.version, second.state, second.code, second.message) == (2, State.END, 13, "out of memory")
    assert (first.version, first.state) == (1, State.AVAILABLE)
    with pytest.raises(errors.NotFound, match="Could not find any versions of model gone"):
        client.status(model="gone")


def test_health_follows_the_models_and_what_is_set(server, client):
    assert client.health() is Health.SERVING
    assert client.health("half") is Health.SERVING
    assert client.health("gone") is Health.SERVICE_UNKNOWN
    server.set_health("", "NOT_SERVING")
    assert client.health() is Health.NOT_SERVING


def test_reload_config_is_recorded_and_answered(server, client):
    assert client.reload_config({"half": "/models/half"}) == {}
    (request,) = server.asked("HandleReloadConfigRequest")
    assert request.message.config.model_config_list.config[0].base_path == "/models/half"
