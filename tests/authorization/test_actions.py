"""Which action a method or a path is: all that a server has are covered, and what is not covered is denied."""

import pytest
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from hypothesis import given
from hypothesis import strategies as st

from servable.authorization.actions import action_of_method, action_of_path
from servable.calls import Action
from servable.errors import InvalidArgument, PermissionDenied
from servable.execution import profiler
from servable.rest import urls
from servable.transport.descriptors import describe_all

METHODS = [
    f"/{file.package}.{service.name}/{method.name}"
    for file in describe_all().file
    for service in file.service
    for method in service.method
]
OPEN = [
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]


@pytest.mark.parametrize("path", METHODS)
def test_each_method_that_is_described_has_an_action_or_is_open(path):
    assert (action_of_method(path) is None) is (path in OPEN)


def test_each_service_of_a_server_is_described(servers):
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    call = ServerReflectionStub(servers("half_plus_two").channel).ServerReflectionInfo(iter([question]), timeout=60)
    offered = {service.name for service in next(call).list_services_response.service}
    assert len(offered) > 5
    assert offered <= {path.split("/")[1] for path in METHODS}


def test_each_method_of_the_profiler_is_for_who_may_profile():
    assert {action_of_method(f"/tensorflow.ProfilerService/{name}") for name in profiler.methods()} == {Action.PROFILE}


@pytest.mark.parametrize(
    "path",
    ["", "/", "/tensorflow.serving.PredictionService/predict", "/x.Y/Z", "/tensorflow.serving.SessionService/Run"],
)
def test_a_method_that_is_not_known_is_denied(path):
    with pytest.raises(PermissionDenied):
        action_of_method(path)


@pytest.mark.parametrize(
    ("verb", "target", "action"),
    [
        ("GET", "/healthz", None),
        ("GET", "/readyz?x", None),
        ("GET", "/v2/health/live", None),
        ("GET", "/v2/health/ready/", None),
        ("OPTIONS", "/v1/models/m:predict", None),
        ("POST", "/v1/models/m:predict", Action.PREDICT),
        ("POST", "/V1/Models/m/versions/1:CLASSIFY", Action.PREDICT),
        ("GET", "/v1/models/m", Action.STATUS),
        ("GET", "/v1/models/m/ready", Action.STATUS),
        ("GET", "/v1/models/metadata", Action.STATUS),
        ("GET", "/v1/models/m/metadata", Action.METADATA),
        ("GET", "/V1/models/m/VERSIONS/1/metadata", Action.METADATA),
        ("GET", "/v1/models/m/labels/x/metadata", Action.METADATA),
        ("GET", "/v2", Action.METADATA),
        ("GET", "/v2/", Action.METADATA),
        ("GET", "/v2/models/m", Action.METADATA),
        ("GET", "/v2/models/m/versions/1?signature_name=x", Action.METADATA),
        ("GET", "/v2/models/m/ready", Action.STATUS),
        ("POST", "/v2/models/m/infer", Action.PREDICT),
        ("POST", "/v2/models/m/versions/1/infer/", Action.PREDICT),
        ("GET", "/", Action.CONSOLE),
        ("GET", "/console", Action.CONSOLE),
        ("GET", "/console/signatures?model=m&version=1", Action.CONSOLE),
        ("GET", "/openapi.json", Action.CONSOLE),
        ("GET", "/metrics", Action.METRICS),
        ("GET", "/monitoring/prometheus/metrics?x", Action.METRICS),
    ],
)
def test_a_path_has_its_action(verb, target, action):
    assert action_of_path(verb, target) is action


@pytest.mark.parametrize("target", ["/x", "//healthz", "/healthz/", "/v3/models", "/consoles", "*", "", "/v1", "/v2x"])
def test_a_path_that_is_not_known_is_denied(target):
    with pytest.raises(PermissionDenied):
        action_of_path("GET", target)


def test_the_path_of_the_metrics_wins():
    assert action_of_path("GET", "/v1/models/m", ("/v1/models/m",)) is Action.METRICS


PART = ["/v1", "/V1", "/models", "/Models", "/m", "/metadata", "/METADATA", "/versions", "/1", "/labels", ":predict"]
PARTS = st.lists(st.sampled_from([*PART, "?", "#", "%2f", "/\u00b2"]), max_size=8)


@given(st.sampled_from(["GET", "POST"]), PARTS)
def test_the_rest_api_and_the_rules_read_a_url_alike(verb, parts):
    target = "/v1" + "".join(parts)
    try:
        asked = urls.parse(verb, target).action
    except InvalidArgument:
        return
    of_model = {urls.Action.STATUS: Action.STATUS, urls.Action.METADATA: Action.METADATA}
    assert action_of_path(verb, target) is of_model.get(asked, Action.PREDICT)
