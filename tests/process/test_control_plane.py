"""`servable serve` as its operator's worst day has it: killed in a reload, ended in the middle of everything."""

import signal
import time

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc

from tests.conformance.calls import TIMEOUT_S, model_spec, predict_request, values
from tests.conformance.operating import model, reload_request
from tests.process.launching import is_open
from tests.process.test_signals import enter_gate
from tests.process.transport import connect

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
UNLOADING = get_model_status_pb2.ModelVersionStatus.UNLOADING


@pytest.fixture
def launch(serve, request):
    """Starts a process, waits until it serves, and gives it with the stubs of both services."""

    def start(*flags):
        process = serve(*flags).wait_until_serving()
        channel = connect(process.address)
        request.addfinalizer(channel.close)
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return process, prediction, model_service_pb2_grpc.ModelServiceStub(channel)

    return start


@pytest.fixture
def endless(endless_load):
    """A model whose load never ends."""
    return model("endless", endless_load)


def answer(prediction):
    response = prediction.Predict(predict_request("good", {"x": [[2.0]]}), timeout=TIMEOUT_S)
    return values(response.outputs["y"])


@pytest.mark.behaviour("14", "SIGKILL in the middle of a reload: the next start serves the config again")
def test_a_server_that_was_killed_in_a_reload_serves_its_config_again(launch, models, model_config, endless, tmp_path):
    base_path = models.base_path("half_plus_two")
    flags = f"--model_config_file={model_config({'good': base_path})}", f"--grpc_socket_path={tmp_path}/servable.sock"
    killed, prediction, admin = launch(*flags, "--log_level=debug")
    reload_ = admin.HandleReloadConfigRequest.future(
        reload_request(model("good", base_path), endless), timeout=TIMEOUT_S
    )
    killed.stderr.wait_for(r"loading \{name: endless version: 1\}")
    assert answer(prediction) == [[3.0]]
    killed.signal(signal.SIGKILL)
    assert reload_.exception(TIMEOUT_S).code() is UNAVAILABLE
    assert killed.wait() == -signal.SIGKILL
    # Its socket is still there, and nobody listens on it.
    _, prediction, _ = launch(*flags)
    assert answer(prediction) == [[3.0]]


@pytest.mark.behaviour(
    "14",
    "SIGTERM ends the process within its drain time whatever hangs: a load, a reload, a call that holds "
    "a leaving version, a retry loop",
)
def test_a_drain_is_bounded_whatever_hangs(launch, models, model_config, endless, tmp_path):
    base_path = tmp_path / "gate"
    base_path.mkdir()
    (base_path / "1").symlink_to(models.version_path("gate"))
    flags = f"--model_config_file={model_config({'gate': base_path})}", "--drain_timeout_s=0.5"
    process, prediction, admin = launch(*flags, "--log_level=debug")
    # A call that never ends holds version 1; a load that never ends holds a reload that waits for it.
    call = enter_gate(prediction)
    (base_path / "2").symlink_to(models.version_path("gate"))
    process.stderr.wait_for(r"unloading \{name: gate version: 1\} once its calls in flight are over")
    reload_ = admin.HandleReloadConfigRequest.future(
        reload_request(model("gate", base_path), endless), timeout=TIMEOUT_S
    )
    process.stderr.wait_for(r"loading \{name: endless version: 1\}")
    assert states(admin, "gate")[1] == UNLOADING
    process.signal(signal.SIGTERM)
    asked_s = time.monotonic()
    assert process.wait() == 0
    assert time.monotonic() - asked_s < 10
    assert [held.exception(TIMEOUT_S).code() for held in (call, reload_)] == [UNAVAILABLE] * 2


def states(admin, name):
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec(name))
    return {
        entry.version: entry.state for entry in admin.GetModelStatus(request, timeout=TIMEOUT_S).model_version_status
    }


@pytest.mark.behaviour(
    "14",
    "SIGTERM ends the process within its drain time whatever hangs: a load, a reload, a call that holds "
    "a leaving version, a retry loop",
)
def test_sigterm_ends_a_start_that_tries_a_broken_model_again_and_again(serve, models):
    process = serve(
        "--model_name=m",
        f"--model_base_path={models.base_path('garbage_saved_model')}",
        "--max_num_load_retries=1000000",
        "--load_retry_interval_micros=20000",
    )
    process.stderr.wait_for(r"loading .* failed \(attempt 3 of 1000001, the next in 0.02 s\): DATA_LOSS: Can't parse")
    assert not is_open(process.port)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
