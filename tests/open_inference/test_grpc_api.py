"""GRPCInferenceService without a socket: what is asked for, how it is answered, what is refused."""

import numpy as np
import pytest
from hypothesis import given

from servable import wire
from servable.errors import FailedPrecondition, Internal, InvalidArgument, NotFound, ServingError, Unimplemented
from servable.inference.predict import Predict
from servable.open_inference import datatypes, grpc_api
from servable.open_inference.grpc_api import GrpcInfer
from tests.inference.asking import arrays_request
from tests.open_inference.asking import (
    any_arrays,
    assert_equal,
    datatype_of,
    echo,
    echo_models,
    from_bytes,
    grpc_infer,
    grpc_request,
)

X = np.array([[1.5, -2.0]], np.float32)


def call(name, message, *, models=None, ready=True):
    """The reply of a method other than ModelInfer."""
    method = grpc_api.methods((models or echo_models()).router, lambda: ready)[f"/{grpc_api.SERVICE}/{name}"]
    return getattr(wire, f"{name}Response").FromString(method(message.SerializeToString(), None))


def input_of(message):
    return message.inputs[0]


@given(any_arrays())
def test_raw_values_are_answered_raw(array):
    reply = grpc_infer(grpc_request({"x": array}))
    (output,), (content,) = reply.outputs, reply.raw_output_contents
    assert (output.name, output.datatype, tuple(output.shape)) == ("x_out", datatype_of(array).name, array.shape)
    assert not output.HasField("contents")
    assert_equal(from_bytes(content, datatype_of(array), array.shape), array)


@given(any_arrays([name for name, datatype in datatypes.BY_NAME.items() if datatype.field]))
def test_typed_values_are_answered_typed(array):
    reply = grpc_infer(grpc_request({"x": array}, raw=False))
    (output,) = reply.outputs
    assert not reply.raw_output_contents
    assert tuple(output.shape) == array.shape
    values = list(getattr(output.contents, datatype_of(array).field))
    got = np.empty(array.size, array.dtype)
    got[:] = values
    assert_equal(got.reshape(array.shape), array)


def test_an_output_without_typed_contents_makes_the_whole_reply_raw():
    def fetch(request):
        fetched = echo(request)
        return type(fetched)([array.astype(np.float16) for array in fetched.arrays], [wire.DT_HALF])

    reply = grpc_infer(grpc_request({"x": X}, raw=False), fetch=fetch)
    assert reply.outputs[0].datatype == "FP16"
    assert list(reply.raw_output_contents) == [X.astype(np.float16).tobytes()]


def test_a_request_without_inputs_is_answered_raw():
    parameter = {"signature_name": wire.InferParameter(string_param="none")}
    reply = grpc_infer(grpc_request({}, parameters=parameter))
    assert list(reply.raw_output_contents) == [np.array([7], np.int32).tobytes()]


def test_the_reply_names_model_version_and_id():
    reply = grpc_infer(grpc_request({"x": X}, id="some id"))
    assert (reply.model_name, reply.model_version, reply.id) == ("m", "2", "some id")


@pytest.mark.parametrize(("version", "answers"), [("", "2"), ("1", "1"), ("002", "2"), ("old", "1")])
def test_a_version_is_a_number_or_a_label(version, answers):
    assert grpc_infer(grpc_request({"x": X}, model_version=version)).model_version == answers


@pytest.mark.parametrize(
    ("version", "error", "words"),
    [
        ("3", NotFound, "Servable not found for request: Specific\\(m, 3\\)"),
        ("new", InvalidArgument, "Unrecognized servable version label: new"),
        ("-1", InvalidArgument, "Unrecognized servable version label: -1"),
        ("\u0663", InvalidArgument, "Unrecognized servable version label"),
        (str(1 << 63), InvalidArgument, "is larger than"),
        ("9" * 100_000, InvalidArgument, "is larger than"),
    ],
)
def test_a_version_that_is_not_there_is_refused(version, error, words):
    with pytest.raises(error, match=words):
        grpc_infer(grpc_request({"x": X}, model_version=version))


def test_a_parameter_names_the_signature():
    parameter = {"signature_name": wire.InferParameter(string_param="two")}
    reply = grpc_infer(grpc_request({"x": X, "y": X[:, :1]}, parameters=parameter))
    assert [output.name for output in reply.outputs] == ["x_out", "y_out"]


def test_outputs_are_answered_in_the_order_in_which_they_are_asked_for():
    parameter = {"signature_name": wire.InferParameter(string_param="two")}
    message = grpc_request({"y": X[:, :1], "x": X}, parameters=parameter)
    for name in ("y_out", "x_out"):
        message.outputs.add(name=name)
    reply = grpc_infer(message)
    assert [(output.name, tuple(output.shape)) for output in reply.outputs] == [("y_out", (1, 1)), ("x_out", (1, 2))]
    assert list(reply.raw_output_contents) == [X[:, :1].tobytes(), X.tobytes()]
    del message.outputs[1]
    assert [output.name for output in grpc_infer(message).outputs] == ["y_out"]


REFUSED = {
    "an unknown model": (lambda m: setattr(m, "model_name", "n"), NotFound, "Servable not found for request: Latest"),
    "no model": (lambda m: m.ClearField("model_name"), InvalidArgument, "ModelSpec has no name specified"),
    "an unknown signature": (
        lambda m: m.parameters["signature_name"].MergeFrom(wire.InferParameter(string_param="no")),
        FailedPrecondition,
        'Serving signature key "no" not found',
    ),
    "a signature that is no string": (
        lambda m: m.parameters["signature_name"].MergeFrom(wire.InferParameter(int64_param=1)),
        InvalidArgument,
        "signature_name is no string",
    ),
    "an unknown input": (lambda m: setattr(input_of(m), "name", "z"), InvalidArgument, "Signature input alias: x"),
    "an input twice": (
        lambda m: (m.inputs.append(input_of(m)), m.raw_input_contents.append(X.tobytes())),
        InvalidArgument,
        "an input is in the request twice",
    ),
    "one input too many": (
        lambda m: (m.inputs.add(name="z", datatype="FP32"), m.raw_input_contents.append(b"")),
        InvalidArgument,
        "input size does not match signature",
    ),
    "an unknown output": (lambda m: m.outputs.add(name="z"), InvalidArgument, "output tensor alias not found"),
    "an output twice": (
        lambda m: [m.outputs.add(name="x_out") for _ in range(2)],
        InvalidArgument,
        "duplicate output tensor alias",
    ),
    "an unknown datatype": (
        lambda m: setattr(input_of(m), "datatype", "FP8"),
        InvalidArgument,
        'input "x": datatype "FP8" is none of BOOL',
    ),
    "too few raw values": (lambda m: m.raw_input_contents.append(b""), InvalidArgument, "has 2 values for 1 inputs"),
    "raw and typed values": (
        lambda m: input_of(m).contents.fp32_contents.append(1),
        InvalidArgument,
        "must not be set beside raw_input_contents",
    ),
    "raw values that are too short": (
        lambda m: m.raw_input_contents.__setitem__(0, b"\0" * 7),
        InvalidArgument,
        'input "x": 7 bytes were sent; 2 values of FP32 take 8',
    ),
    "typed values that are too few": (
        lambda m: (m.ClearField("raw_input_contents"), input_of(m).contents.fp32_contents.append(1)),
        InvalidArgument,
        'input "x": fp32_contents has 1 values; the shape takes 2',
    ),
    "shared memory": (
        lambda m: input_of(m).parameters["shared_memory_region"].MergeFrom(wire.InferParameter(string_param="r")),
        Unimplemented,
        "shared_memory_region is not supported",
    ),
    "a classification": (
        lambda m: (
            m.outputs.add(name="x_out").parameters["classification"].MergeFrom(wire.InferParameter(int64_param=3))
        ),
        Unimplemented,
        "classification is not supported",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_refused_with_a_reason(mistake):
    change, error, words = REFUSED[mistake]
    message = grpc_request({"x": X})
    change(message)
    with pytest.raises(error, match=words):
        grpc_infer(message)


def test_bytes_that_are_no_message_end_as_in_the_original():
    with pytest.raises(Internal) as raised:
        GrpcInfer(echo_models()).begin(b"\xff")
    assert raised.value.message == ""


def test_an_output_that_the_protocol_cannot_carry_is_refused_by_name():
    with pytest.raises(InvalidArgument, match='output "x_out" is of DT_COMPLEX64'):
        grpc_infer(grpc_request({"x": X}), fetch=lambda request: echo(request, [wire.DT_COMPLEX64]))


def test_an_inference_runs_the_target_of_the_same_predict_so_that_both_share_batches():
    models = echo_models()
    predict = Predict(models.router).begin(
        arrays_request({"y": (X, wire.DT_FLOAT), "x": (X, wire.DT_FLOAT)}, signature="two", outputs=["y_out", "x_out"])
    )
    parameter = {"signature_name": wire.InferParameter(string_param="two")}
    inference = GrpcInfer(models).begin(grpc_request({"x": X, "y": X}, parameters=parameter).SerializeToString())
    for name in ("servable", "feeds", "fetches"):
        assert getattr(inference.target, name) == getattr(predict.target, name)


def test_a_request_is_as_large_as_its_message_or_its_arrays():
    message = grpc_request({"x": X}, raw=False).SerializeToString()
    assert GrpcInfer(echo_models()).begin(message).size_bytes == max(len(message), X.nbytes)


def test_a_server_is_live_and_as_ready_as_it_says():
    assert call("ServerLive", wire.ServerLiveRequest()).live
    assert call("ServerReady", wire.ServerReadyRequest()).ready
    assert not call("ServerReady", wire.ServerReadyRequest(), ready=False).ready


def test_a_server_names_itself_and_its_extensions():
    reply = call("ServerMetadata", wire.ServerMetadataRequest())
    assert reply.name == "servable"
    assert reply.version
    assert list(reply.extensions) == ["binary_tensor_data"]


@pytest.mark.parametrize(
    ("name", "version", "ready"),
    [("m", "", True), ("m", "1", True), ("m", "old", True), ("m", "3", False), ("m", "new", False), ("n", "", False)],
)
def test_a_model_is_ready_if_it_would_answer(name, version, ready):
    assert call("ModelReady", wire.ModelReadyRequest(name=name, version=version)).ready is ready


def test_metadata_names_loaded_versions_and_the_tensors_of_the_default_signature():
    reply = call("ModelMetadata", wire.ModelMetadataRequest(name="m"), models=echo_models(3, 12, shape=(-1, 4)))
    assert (reply.name, list(reply.versions), reply.platform) == ("m", ["3", "12"], "tensorflow_savedmodel")
    (given_in,), (given_out,) = reply.inputs, reply.outputs
    assert (given_in.name, given_in.datatype, list(given_in.shape)) == ("x", "FP32", [-1, 4])
    assert given_out.name == "x_out"


@pytest.mark.parametrize(("shape", "told"), [(None, [-1]), ((), []), ((2, -1), [2, -1])])
def test_a_shape_without_a_known_rank_is_minus_one(shape, told):
    reply = call("ModelMetadata", wire.ModelMetadataRequest(name="m"), models=echo_models(shape=shape))
    assert list(reply.inputs[0].shape) == told


def test_metadata_names_a_dtype_that_the_protocol_lacks_as_tensorflow_does():
    models = echo_models(dtype=wire.DT_COMPLEX64)
    assert (
        call("ModelMetadata", wire.ModelMetadataRequest(name="m"), models=models).inputs[0].datatype == "DT_COMPLEX64"
    )


def test_metadata_of_what_is_not_there_is_an_error():
    for version in ("3", "new"):
        with pytest.raises(ServingError):
            call("ModelMetadata", wire.ModelMetadataRequest(name="m", version=version))
