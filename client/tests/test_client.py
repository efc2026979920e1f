"""Every call, by both clients, against the fake server."""

import inspect
import math

import numpy as np
import pytest
from half_models import fill

from servable_client import AsyncClient, Client, Health, ModelConfig, State, Task, errors, wire
from servable_client.errors import Internal, NotFound, Unimplemented
from servable_client.testing import FakeModelServer, Malformed, WrongShape


def test_both_clients_have_the_same_methods_with_the_same_arguments():
    public = [name for name in vars(Client) if not name.startswith("_")]
    assert public == [name for name in vars(AsyncClient) if not name.startswith("_")]
    for name in public:
        assert inspect.signature(getattr(Client, name)) == inspect.signature(getattr(AsyncClient, name))


def test_one_input_need_not_be_named_and_one_output_is_the_value(connect, server):
    prediction = connect(server.address, model="half").predict([1, 2.0])
    assert prediction.value.tolist() == [2.5, 3.0]
    assert prediction["y"].dtype == np.float32
    assert (prediction.model, prediction.version, prediction.signature) == ("half", 1, "serving_default")
    assert dict(prediction).keys() == {"y"}
    assert len(prediction) == 1
    assert "y" in prediction
    assert "x" not in prediction
    assert "y: float32[2]" in repr(prediction)


def test_lists_become_the_dtype_that_the_signature_asks_for(connect, server):
    client = connect(server.address, model="half", signature="two")
    outputs = client.predict({"a": [1, 2], "b": np.int64([3, 4])})
    assert outputs["sum"].tolist() == [4, 6]
    (request,) = server.asked("Predict")
    assert {array.dtype for array in request.inputs.values()} == {np.dtype(np.int32)}
    with pytest.raises(KeyError, match="double, sum"):
        outputs["total"]
    with pytest.raises(ValueError, match="2 outputs"):
        _ = outputs.value


def test_strings_go_and_come_as_bytes(connect, server):
    client = connect(server.address, model="half", signature="text")
    assert client.predict(["a", b"b\0"]).value.tolist() == [b"a", b"b\0"]
    assert client.predict("é").value.item() == "é".encode()


def test_the_output_filter_says_which_outputs_to_get(connect, server):
    client = connect(server.address, model="half", signature="two")
    inputs = {"a": 1, "b": 2}
    assert list(client.predict(inputs, outputs=["sum"])) == ["sum"]
    assert list(client.predict(inputs, outputs="sum")) == ["sum"]
    assert server.asked("Predict")[-1].output_filter == ("sum",)


def test_a_version_or_a_label_is_asked_for(connect, server):
    fill(server, version=3)
    server.model("half", version=1, label="stable")
    client = connect(server.address, model="half", label="stable")
    assert client.predict(1.0).version == 1
    assert client.predict(1.0, version=3).version == 3
    assert [(each.version, each.label) for each in server.asked("Predict")] == [(None, "stable"), (3, None)]
    assert client.metadata(version=3).version == 3


def test_metadata_is_asked_for_once(connect, server):
    client = connect(server.address, model="half")
    for _ in range(3):
        client.predict(1.0)
    client.predict({"a": 1, "b": 2}, signature="two")
    assert len(server.asked("GetModelMetadata")) == 1


@pytest.mark.parametrize("lacks_metadata", [False, True])
def test_two_servers_of_two_versions_are_asked_for_metadata_a_few_times(connect, server, lacks_metadata):
    with FakeModelServer() as other:
        fill(other, version=2)
        if lacks_metadata:
            other.misbehave(Unimplemented("no such method"), times=None, method="GetModelMetadata")
        client = connect([server.address, other.address], model="half")
        versions = {client.predict({"x": [1.0]}).version for _ in range(40)}
        assert versions == {1, 2}
        assert 1 <= len(server.asked("GetModelMetadata")) + len(other.asked("GetModelMetadata")) <= 3


def test_the_version_that_answered_last_says_what_inputs_are(connect, server):
    client = connect(server.address, model="half")
    for version in (1, 2, 3):
        server.model("half", version=version).become("AVAILABLE")
        dtype = "float32" if version == 2 else "float64"
        server.model("half", version=version).predict(lambda x: {"y": x}, inputs={"x": dtype})
        client.predict({"x": 1.0})
        assert client.predict({"x": 1.0}).value.dtype == dtype
    server.model("half", version=3).become("END")
    client.predict({"x": 1.0})
    assert client.predict({"x": 1.0}).value.dtype == np.float32
    # Version 2 was known already: its signature was remembered beside that of version 3.
    assert len(server.asked("GetModelMetadata")) <= 4


def test_a_server_without_metadata_is_asked_for_it_a_few_times(connect, server):
    server.misbehave(Unimplemented("no such method"), times=None, method="GetModelMetadata")
    client = connect(server.address, model="half")
    for _ in range(10):
        client.predict({"x": [1.0]})
    assert len(server.asked("GetModelMetadata")) <= 2


def test_metadata_is_asked_for_again_when_another_version_serves(connect, server):
    client = connect(server.address, model="half")
    client.predict(1.0)
    newer = server.model("half", version=2)
    newer.predict(lambda z: {"y": z}, inputs={"z": "int64"})
    # The remembered signature has another name and dtype: neither fails because of it.
    assert client.predict(1).version == 2
    assert client.predict({"z": 1}).value.dtype == np.int64


def test_a_name_that_only_the_newer_version_has_is_accepted(connect, server):
    client = connect(server.address, model="half")
    client.predict({"x": 1.0})
    server.model("half", version=2).predict(lambda z: {"y": z}, inputs={"z": "int64"})
    assert client.predict({"z": 1}).version == 2


def test_without_inference_of_types_nothing_is_asked_and_names_are_needed(connect, server):
    client = connect(server.address, model="half", infer=False)
    assert client.predict({"x": [1.0]}).value.tolist() == [2.5]
    with pytest.raises(errors.InputError, match="name it"):
        client.predict([1.0])
    assert server.asked("GetModelMetadata") == []


def test_a_server_without_metadata_is_called_all_the_same(connect, server):
    server.misbehave(Unimplemented("no such method"), times=None, method="GetModelMetadata")
    client = connect(server.address, model="half")
    assert client.predict({"x": [1.0]}).value.tolist() == [2.5]
    with pytest.raises(errors.InputError, match="not known"):
        client.predict([1.0])


@pytest.mark.parametrize(
    ("inputs", "name", "words"),
    [
        ({"a": 1, "c": 2}, "c", "no such input"),
        ({"a": 1, "bb": 2}, "bb", "did you mean 'b'"),
        ({"a": 1}, "b", "missing"),
        ({"a": [1.5], "b": 1}, "a", "expected int32, got list of float"),
        ({"a": [[1], [1, 2]], "b": 1}, "a", "inhomogeneous"),
        ({"a": object(), "b": 1}, "a", "type object"),
        ({1: 1}, None, "must be a str"),
        ([1, 2], None, r"takes a: int32\[\?\], b: int32"),
    ],
)
def test_a_wrong_input_is_refused_before_anything_is_sent(connect, server, inputs, name, words):
    client = connect(server.address, model="half", signature="two")
    with pytest.raises(errors.InputError, match=words) as caught:
        client.predict(inputs)
    assert caught.value.input == name
    assert server.asked("Predict") == []


def test_a_signature_that_the_model_has_not_is_answered_with_those_that_it_has(connect, server):
    with pytest.raises(errors.InputError, match="classes, serving_default, text, two, values"):
        connect(server.address, model="half").predict(1.0, signature="thre")


def test_optional_inputs_may_be_left_out(connect, server):
    server.model("scale").predict(lambda x, by=2.0: {"y": x * by}, inputs={"x": "float32", "by": "float32"})
    client = connect(server.address, model="scale")
    assert client.predict([1.5]).value.tolist() == [3.0]
    assert client.predict({"x": [1.5], "by": 4}).value.tolist() == [6.0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "no model"),
        ({"model": "half", "version": 1, "label": "a"}, "both"),
        ({"model": "half", "version": 1 << 64}, "version must be"),
        ({"model": "half", "version": "1"}, "version must be"),
        ({"model": "half", "version": [1]}, r"version must be an int64, got \[1\]"),
        ({"model": "half", "version": 2.0}, "version must be an int64, got 2.0"),
        ({"model": "half", "label": 1}, "label"),
        ({"model": "half", "label": ["a"]}, "label must be a str"),
        ({"model": ["half"]}, "model must be a str"),
        ({"model": "half", "signature": ["a"]}, "signature must be a str"),
        ({"model": "\ud800"}, "Unicode"),
    ],
)
def test_a_target_that_is_none_is_refused(connect, server, settings, words):
    client = connect(server.address)
    for method in (client.predict, client.classify):
        with pytest.raises(errors.InputError, match=words):
            method([{"x": 1.0}], **settings)
    assert server.requests == []


def test_a_version_that_is_no_integer_is_refused_after_its_equal_was_used_too(connect, server):
    fill(server, version=2)
    client = connect(server.address, model="half")
    assert client.predict(1.0, version=2).version == 2
    assert client.predict(1.0, version=np.int64(2)).version == 2
    server.forget()
    for version in (2.0, np.float32(2), [2], (2,)):
        with pytest.raises(errors.InputError, match="version must be an int64"):
            client.predict(1.0, version=version)
        with pytest.raises(errors.InputError, match="version must be an int64"):
            client.status(version=version)
        with pytest.raises(errors.InputError, match="version must be an int64"):
            client.wait_until_ready(version=version)
    assert server.requests == []


def test_a_zero_version_is_a_version(connect, server):
    fill(server, version=0)
    assert connect(server.address, model="half").predict(1.0, version=0).version == 0


def test_classify_gives_labels_and_scores_of_each_example(connect, server):
    client = connect(server.address, model="half", signature="classes")
    reply = client.classify([{"x": 1.0}, {"x": 2.0, "name": "b"}], context={"lang": "en"})
    assert reply.labels == [["no", "yes"]] * 2
    assert reply.scores.tolist() == [[0.25, 0.75]] * 2
    assert [each.label for each in reply.best] == ["yes", "yes"]
    assert reply[0][1] == ("yes", 0.75)
    assert len(reply) == 2
    assert len(reply[:1]) == 1
    assert reply.served.version == 1
    (request,) = server.asked("Classify")
    assert list(request.context) == ["lang"]


def test_regress_gives_a_value_for_each_example(connect, server):
    client = connect(server.address, model="half")
    reply = client.regress([{"x": 1.5}, {"x": 2.5}], signature="values")
    assert reply.values.dtype == np.float32
    assert list(reply) == [1.5, 2.5]
    assert reply[:1] == [1.5]
    assert client.regress({"x": 3.0}, signature="values")[0] == 3.0


def test_multi_inference_gives_a_result_for_each_task(connect, server):
    client = connect(server.address, model="half")
    classes, values = client.multi_inference({"x": 2.0}, [Task("classify", "classes"), ("regress", "values")])
    assert classes.labels == [["no", "yes"]]
    assert values.values.tolist() == [2.0]
    assert (classes.served.signature, values.served.signature) == ("classes", "values")


@pytest.mark.parametrize(
    ("tasks", "words"),
    [([], "one at least"), ([("predict", "x")], "classify or regress"), ([([], "x")], "classify or")],
)
def test_a_task_that_is_none_is_refused(connect, server, tasks, words):
    with pytest.raises(errors.InputError, match=words):
        connect(server.address, model="half").multi_inference({"x": 1.0}, tasks)


@pytest.mark.parametrize("examples", [[], "a", 3, [3], [{"x": [[1], [1, 2]]}], [{1: 1}], b"\x0a"])
def test_examples_that_are_none_are_refused(connect, server, examples):
    client = connect(server.address, model="half")
    for method in (client.classify, client.regress):
        with pytest.raises(errors.InputError):
            method(examples)
    assert server.requests == []


def test_metadata_reports_signatures_dtypes_and_shapes(connect, server):
    found = connect(server.address).metadata(model="half")
    assert (found.model, found.version) == ("half", 1)
    signature = found.signatures["serving_default"]
    assert signature.method == "tensorflow/serving/predict"
    assert str(signature.inputs["x"]) == "x: float32[?]"
    assert signature.outputs["y"].numpy == np.float32
    assert str(found.signatures["two"].inputs["a"]) == "a: int32[?]"


def test_status_reports_the_state_of_each_version(connect, server):
    server.model("half", version=2).become("END", Internal("out of memory"))
    newest, oldest = connect(server.address, model="half").status()
    assert (newest.version, newest.state, newest.code) == (2, State.END, errors.Code.INTERNAL)
    assert "out of memory" in newest.message
    assert (oldest.version, oldest.state, oldest.code, oldest.message) == (1, State.AVAILABLE, errors.Code.OK, "")
    (only,) = connect(server.address).status(model="half", version=1)
    assert only.version == 1


@pytest.mark.parametrize(
    "models",
    [
        {"m": "/models/m"},
        [ModelConfig("m", "/models/m")],
        'model_config_list { config { name: "m" base_path: "/models/m" model_platform: "tensorflow" '
        "model_version_policy { latest { num_versions: 1 } } } }",
    ],
)
def test_reload_config_takes_models_in_each_form(connect, server, models):
    client = connect(server.address)
    client.reload_config(models)
    (request,) = server.asked("HandleReloadConfigRequest")
    client.reload_config(request.message.config)
    assert server.asked("HandleReloadConfigRequest")[1].message == request.message
    (config,) = request.message.config.model_config_list.config
    assert (config.name, config.base_path, config.model_platform) == ("m", "/models/m", "tensorflow")


def test_reload_config_sends_policies_and_labels(connect, server):
    models = [
        ModelConfig("a", "/a", versions=(1, 3), labels={"stable": 1}),
        ModelConfig("b", "/b", versions="all"),
        ModelConfig("c", "/c", num_latest=2),
    ]
    connect(server.address).reload_config(models, metrics=["/tensorflow/serving/request_count"])
    message = server.asked("HandleReloadConfigRequest")[0].message
    a, b, c = (each.model_version_policy for each in message.config.model_config_list.config)
    assert list(a.specific.versions) == [1, 3]
    assert b.HasField("all")
    assert c.latest.num_versions == 2
    assert dict(message.config.model_config_list.config[0].version_labels) == {"stable": 1}
    assert list(message.metric_names) == ["/tensorflow/serving/request_count"]


def test_no_models_unload_everything(connect, server):
    connect(server.address).reload_config([])
    assert server.asked("HandleReloadConfigRequest")[0].message.config.HasField("model_config_list")


@pytest.mark.parametrize(
    "models",
    [
        "model_config_list {",
        ["m"],
        [{"name": "m"}],
        [ModelConfig("m", "/m", versions=([1],))],
        [ModelConfig("m", "/m", versions=(2.5,))],
        [ModelConfig("m", "/m", versions=2)],
        [ModelConfig("m", "/m", labels={"stable": 1.0})],
        [ModelConfig("m", "/m", num_latest=[1])],
        [ModelConfig(["m"], "/m")],
    ],
)
def test_models_that_are_none_are_refused(connect, server, models):
    with pytest.raises(errors.InputError, match="models"):
        connect(server.address).reload_config(models)


def test_health_reports_the_status_of_a_name(connect, server):
    client = connect(server.address)
    assert client.health() is Health.SERVING
    server.set_health("PredictionService", "NOT_SERVING")
    assert client.health("PredictionService") is Health.NOT_SERVING
    assert client.health("nobody") is Health.SERVICE_UNKNOWN


@pytest.mark.parametrize("method", ["predict", "classify", "regress", "metadata", "status", "reload_config", "health"])
def test_a_reply_that_does_not_parse_is_malformed(connect, server, method):
    client = connect(server.address, model="half", infer=False)
    arguments = {"predict": [{"x": 1.0}], "classify": [{"x": 1}], "regress": [{"x": 1}], "reload_config": [{}]}
    server.misbehave(Malformed(), method="Check" if method == "health" else None)
    with pytest.raises(errors.MalformedReply, match="the reply is no"):
        getattr(client, method)(*arguments.get(method, []))


def test_a_tensor_that_is_none_names_its_output(connect, server):
    server.misbehave(WrongShape(), method="Predict")
    with pytest.raises(errors.MalformedReply, match="output 'y'"):
        connect(server.address, model="half").predict([1.0])


def test_results_that_are_missing_are_reported(connect, server):
    client = connect(server.address, model="half")
    calls = {"Classify": "classify", "Regress": "regress", "MultiInference": "multi_inference"}
    for method, name in calls.items():
        server.misbehave(WrongShape(), method=method)
        arguments = [[("classify", "classes")]] if method == "MultiInference" else []
        signature = {} if arguments else {"signature": "classes" if name == "classify" else "values"}
        with pytest.raises(errors.MalformedReply, match="0 results"):
            getattr(client, name)({"x": 1.0}, *arguments, **signature)


def test_a_reply_without_the_outputs_asked_for_is_malformed(connect, server):
    server.misbehave(Malformed(wire.PredictResponse().SerializeToString()), method="Predict")
    with pytest.raises(errors.MalformedReply, match="lacks outputs that were asked for: y"):
        connect(server.address, model="half").predict([1.0], outputs=["y"])


def test_metadata_without_signatures_is_malformed(connect, server):
    server.misbehave(Malformed(b""), method="GetModelMetadata")
    with pytest.raises(errors.MalformedReply, match="signature_def"):
        connect(server.address, model="half").metadata()


def test_a_status_is_an_error_of_its_class_with_text_and_hints(connect, server):
    server.misbehave(NotFound("no such thing", {"did_you_mean": "half"}), method="Predict")
    client = connect(server.address, model="half", infer=False)
    with pytest.raises(errors.NotFound) as caught:
        client.predict({"x": 1.0})
    error = caught.value
    assert (error.code, error.message, error.model, error.target) == (
        errors.Code.NOT_FOUND,
        "no such thing",
        "half",
        server.address,
    )
    assert error.hints == {"did_you_mean": "half"}
    assert f"NOT_FOUND: no such thing (model 'half' at {server.address})\n  did_you_mean: half" == str(error)


@pytest.mark.parametrize("kind", errors.ServingError.__subclasses__())
def test_every_code_has_its_class(connect, server, kind):
    server.misbehave(kind("why"), times=None)
    with pytest.raises(kind, match="why"):
        connect(server.address, model="half", retries=0).status()


def test_a_deadline_that_is_over_is_an_error_before_anything_is_sent(connect, server):
    client = connect(server.address, model="half")
    with pytest.raises(errors.DeadlineExceeded, match="before the call was sent"):
        client.predict(1.0, timeout_s=0)
    assert server.requests == []


@pytest.mark.parametrize("timeout_s", [math.nan, "1", object()])
def test_a_timeout_that_is_none_is_refused(connect, server, timeout_s):
    with pytest.raises(errors.InputError, match="timeout_s"):
        connect(server.address, timeout_s=timeout_s)
    with pytest.raises(errors.InputError, match="timeout_s"):
        connect(server.address, model="half").predict(1.0, timeout_s=timeout_s)
