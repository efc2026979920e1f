"""HandleReloadConfigRequest, as far as it goes today: it is refused in words, and nothing changes."""

import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from tests.conformance.calls import INTERNAL, MODEL_SERVICE, TIMEOUT_S, UNIMPLEMENTED, model_spec, refused
from tests.conformance.example_calls import MODELS

METHOD = MODEL_SERVICE + "HandleReloadConfigRequest"
TEXT = "This server cannot change its models while it runs. Restart it with the new config."


@pytest.fixture
def served(servers):
    return servers(*MODELS, runs="private")


def _requests():
    config, request = model_server_config_pb2.ModelServerConfig, model_management_pb2.ReloadConfigRequest
    empty = model_server_config_pb2.ModelConfigList()
    another = model_server_config_pb2.ModelConfigList()
    another.config.add(name="other", base_path="/other", model_platform="tensorflow")
    custom = config()
    custom.custom_model_config.type_url = "type.googleapis.com/nobody.Knows"
    return {
        "nothing": request(),
        "no config list": request(config=config()),
        "empty list": request(config=config(model_config_list=empty)),
        "another model": request(config=config(model_config_list=another)),
        "custom config": request(config=custom),
        "metrics": request(metric_names=["/tensorflow/serving/request_count"]),
    }


REQUESTS = _requests()


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_reload_is_refused_and_the_text_says_what_to_do(served, request_):
    assert refused(served.model.HandleReloadConfigRequest, request_) == (UNIMPLEMENTED, TEXT)


def test_a_refused_reload_leaves_the_models_as_they_were(served):
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec("half_plus_two"))
    before = served.model.GetModelStatus(request, timeout=TIMEOUT_S)
    for request_ in REQUESTS.values():
        refused(served.model.HandleReloadConfigRequest, request_)
    assert served.model.GetModelStatus(request, timeout=TIMEOUT_S) == before


@pytest.mark.parametrize("garbage", [b"\xff", b"\x0a\x05abc"])
def test_bytes_that_are_no_request_are_internal_without_a_text(served, garbage):
    assert refused(served.channel.unary_unary(METHOD), garbage) == (INTERNAL, "")
