"""Server reflection: every service can be found and called without .proto files, and no stream of it blocks a call."""

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.process.raw_http2 import RawClient
from tests.process.transport import PATIENCE_S, serve

SERVICES = {
    "grpc.health.v1.Health": ["Check", "Watch"],
    "grpc.reflection.v1.ServerReflection": ["ServerReflectionInfo"],
    "grpc.reflection.v1alpha.ServerReflection": ["ServerReflectionInfo"],
    "inference.GRPCInferenceService": [
        "ServerLive",
        "ServerReady",
        "ModelReady",
        "ServerMetadata",
        "ModelMetadata",
        "ModelInfer",
    ],
    "tensorflow.ProfilerService": ["Profile", "Terminate", "Monitor"],
    "tensorflow.serving.ModelService": ["GetModelStatus", "HandleReloadConfigRequest"],
    "tensorflow.serving.PredictionService": ["Classify", "Regress", "Predict", "MultiInference", "GetModelMetadata"],
}
PATHS = {version: f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha")}


@pytest.fixture(scope="module")
def channel(profiled):
    return profiled.channel


@pytest.fixture(scope="module")
def found(channel):
    """A descriptor pool that is filled from the server only."""
    return DescriptorPool(ProtoReflectionDescriptorDatabase(channel))


def ask(channel, version, **question):
    """One question over one stream."""
    call = channel.stream_stream(
        PATHS[version],
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    (answer,) = call(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=PATIENCE_S)
    return answer


@pytest.mark.behaviour("1.1", "reflection is always on")
@pytest.mark.behaviour("1.1", "reflection answers under v1alpha and v1, and describes every service and message")
@pytest.mark.parametrize("version", PATHS)
def test_every_service_is_listed(channel, version):
    listed = ask(channel, version, list_services="").list_services_response.service
    assert [service.name for service in listed] == sorted(SERVICES)


@pytest.mark.behaviour("1.1", "reflection answers under v1alpha and v1, and describes every service and message")
@pytest.mark.parametrize("service", SERVICES)
def test_every_method_of_a_service_can_be_resolved_with_its_messages(found, service):
    descriptor = found.FindServiceByName(service)
    methods = [method.name for method in descriptor.methods]
    assert set(SERVICES[service]) <= set(methods)
    for method in descriptor.methods:
        assert method.input_type.full_name
        assert method.output_type.full_name


@pytest.mark.behaviour("1.1", "reflection answers under v1alpha and v1, and describes every service and message")
def test_a_call_can_be_made_with_the_descriptors_of_reflection(channel, found):
    method = found.FindServiceByName("tensorflow.serving.PredictionService").methods_by_name["Predict"]
    request, response = (GetMessageClass(kind) for kind in (method.input_type, method.output_type))
    call = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}", request.SerializeToString, response.FromString
    )
    question = request()
    question.model_spec.name = "half_plus_two"
    question.inputs["x"].dtype = 1
    question.inputs["x"].float_val.append(2.0)
    question.inputs["x"].tensor_shape.dim.add(size=1)
    question.inputs["x"].tensor_shape.dim.add(size=1)
    assert list(call(question, timeout=PATIENCE_S).outputs["y"].float_val) == [3.0]


@pytest.mark.behaviour("1.1", "ours: reflection describes the details of errors")
@pytest.mark.parametrize("version", PATHS)
@pytest.mark.parametrize(
    "question",
    [
        {"file_containing_symbol": "google.rpc.Status"},
        {"file_containing_symbol": "google.rpc.ErrorInfo"},
        {"file_by_filename": "google/rpc/status.proto"},
        {"file_by_filename": "google/rpc/error_details.proto"},
    ],
)
def test_the_files_of_the_details_of_errors_are_there(channel, version, question):
    (file, *_) = ask(channel, version, **question).file_descriptor_response.file_descriptor_proto
    assert b"google.rpc" in file


@pytest.mark.behaviour("1.1", "ours: reflection describes the details of errors")
def test_the_details_of_an_error_can_be_read_with_the_descriptors_of_reflection(channel, found):
    """As grpcurl does: the Status of the trailer, and in it the Any by the name that it has."""
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/tensorflow.serving.PredictionService/Predict")(b"\n\x03\n\x01x", timeout=PATIENCE_S)
    details = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    status = GetMessageClass(found.FindMessageTypeByName("google.rpc.Status")).FromString(details)
    found.FindMessageTypeByName("google.rpc.ErrorInfo")
    shown = MessageToDict(status, descriptor_pool=found)
    assert shown["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "NOT_FOUND",
            "domain": "servable",
            "metadata": {"loaded_models": "gate, half_plus_two"},
        }
    ]


@pytest.mark.behaviour("1.1", "reflection answers under v1alpha and v1, and describes every service and message")
@pytest.mark.parametrize("version", PATHS)
@pytest.mark.parametrize(
    "question", [{"file_containing_symbol": "no.such.Thing"}, {"file_by_filename": "no/such/file.proto"}]
)
def test_what_is_not_there_is_not_found_and_the_stream_goes_on(channel, version, question):
    answer = ask(channel, version, **question)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.behaviour("1.1", "reflection answers under v1alpha and v1, and describes every service and message")
def test_several_questions_over_one_stream_are_answered_in_order(channel):
    questions = [
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        for symbol in ("tensorflow.serving.PredictRequest", "no.such.Thing", "tensorflow.TensorProto")
    ]
    answers = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter(questions))
    assert [answer.WhichOneof("message_response") for answer in answers] == [
        "file_descriptor_response",
        "error_response",
        "file_descriptor_response",
    ]


@pytest.mark.behaviour("1.1", "streams of health and reflection hold up no call")
def test_open_streams_hold_up_no_call():
    with serve(worker_threads=1) as transport:
        clients = [RawClient(transport.port) for _ in range(10)]
        for client in clients:
            for path in PATHS.values():
                client.begin(path)
        assert transport.call(b"a call") == b"a call"
        for client in clients:
            client.close()
