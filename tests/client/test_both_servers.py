"""Every call against servable and against a server built on the stock stubs, by both clients."""

import numpy as np
import pytest

from servable_client import Health, State, Task, errors
from servable_client.cli import main

NAMES = {"half": "float16", "float": "float32", "double": "float64"}
NUMERIC = (
    *("half", "bfloat16", "float", "double", "complex64", "complex128", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)


def signature_of(name):
    return f"identity_{name}"


def test_predict_takes_one_unnamed_input(client):
    prediction = client.predict([[1.0], [2.0]], model="half_plus_two")
    assert prediction.value.tolist() == [[2.5], [3.0]]
    assert prediction.value.dtype == np.float32
    assert (prediction.model, prediction.version, prediction.signature) == ("half_plus_two", 1, "serving_default")


@pytest.mark.parametrize("count", [1, 3, 3000])
@pytest.mark.parametrize("name", NUMERIC)
def test_predict_carries_every_dtype(client, name, count):
    signatures = client.metadata(model="dtypes").signatures
    spec = signatures[signature_of(name)].inputs["x"]
    values = (np.arange(count) % 2).astype(spec.numpy)
    got = client.predict(values, model="dtypes", signature=signature_of(name)).value
    assert got.dtype == values.dtype
    np.testing.assert_array_equal(got, values)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 1, 3)])
def test_predict_carries_every_shape(client, shape):
    values = np.full(shape, 1.5, np.float32)
    got = client.predict(values, model="dtypes", signature="identity_float").value
    assert got.shape == shape
    np.testing.assert_array_equal(got, values)


def test_predict_carries_strings(client):
    outputs = client.predict(["a", b"\xff\0b", ""], model="strings")
    assert outputs["loud"].tolist() == [b"a!", b"\xff\0b!", b"!"]
    assert outputs["bytes"].tolist() == [1, 3, 0]
    assert outputs["joined"].item() == b"a,\xff\0b,"


def test_predict_carries_many_strings(client):
    many = [str(number) for number in range(3000)]
    assert client.predict(many, model="strings").get("loud").tolist() == [f"{each}!".encode() for each in many]


def test_predict_converts_to_what_the_signature_asks_for(client):
    got = client.predict([1, 0], model="dtypes", signature="identity_bfloat16").value
    assert got.dtype.name == "bfloat16"
    with pytest.raises(errors.InputError, match="expected int64, got list of float"):
        client.predict([1.5], model="dtypes", signature="identity_int64")


def test_predict_gets_the_outputs_asked_for(client):
    assert list(client.predict(["a"], model="strings", outputs=["bytes"])) == ["bytes"]


def test_predict_moves_megabytes(client):
    large = np.random.default_rng(0).random((1 << 21), np.float32)
    got = client.predict(large, model="dtypes", signature="identity_float").value
    np.testing.assert_array_equal(got, large)


def test_classify_takes_dicts(client):
    reply = client.classify([{"x": 0.25}, {"x": 0.75}], model="example_heads")
    assert reply.labels == [["low", "high"]] * 2
    assert reply.scores.tolist() == [[0.75, 0.25], [0.25, 0.75]]
    assert [each.label for each in reply.best] == ["low", "high"]
    assert (reply.served.version, reply.served.signature) == (1, "serving_default")


def test_regress_takes_a_context(client):
    reply = client.regress([{}, {"x": 0.5}], context={"x": 0.25}, model="example_heads", signature="regression")
    assert reply.values.tolist() == [2.5, 5.0]


def test_multi_inference_runs_several_signatures(client):
    tasks = [Task("regress", "regression"), Task("classify")]
    values, classes = client.multi_inference({"x": 0.5}, tasks, model="example_heads")
    assert values.values.tolist() == [5.0]
    assert classes.scores.tolist() == [[0.5, 0.5]]


def test_metadata_reports_the_signatures(client):
    found = client.metadata(model="half_plus_two")
    assert found.version == 1
    assert str(found.signatures["serving_default"].inputs["x"]) == "x: float32[?, 1]"
    assert found.signatures["regress_x_to_y"].method == "tensorflow/serving/regress"


def test_status_reports_the_versions(client):
    (only,) = client.status(model="half_plus_two")
    assert (only.version, only.state, only.message) == (1, State.AVAILABLE, "")


def test_health_and_readiness(client):
    assert client.health() is Health.SERVING
    assert client.health("nobody") is Health.SERVICE_UNKNOWN
    client.wait_until_ready()
    client.wait_until_ready(model="half_plus_two")


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(errors.NotFound, match=r"Latest\(nobody\)") as caught:
        client.predict(1.0, model="nobody")
    assert caught.value.model == "nobody"
    with pytest.raises(errors.NotFound):
        client.status(model="nobody")


@pytest.mark.parametrize("model", ["half_plus_two", "strings"])
@pytest.mark.parametrize("batch", [[], ["--batch=3"]])
def test_the_command_predict_with_zeros_is_answered(address, model, batch, capsys):
    assert main(["predict", "-a", address, "-m", model, "--zeros", *batch]) == 0, capsys.readouterr().err
