"""What the fake server remembers of its requests."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from servable_client import Client
from servable_client.testing import FakeModelServer


def test_a_request_is_recorded_decoded(server, client):
    client.predict({"x": [1.0, 2.0]}, version=1, outputs=["y"], timeout_s=5, metadata={"tenant": "a", "id-bin": b"\0"})
    (request,) = server.asked("Predict")
    assert (request.model, request.version, request.label, request.signature) == ("half", 1, None, "")
    assert request.inputs["x"].dtype == np.float32
    assert request.inputs["x"].tolist() == [1.0, 2.0]
    assert request.output_filter == ("y",)
    assert (request.metadata["tenant"], request.metadata["id-bin"]) == ("a", b"\0")
    assert 0 < request.deadline_s <= 5.1  # grpc rounds it up on the wire


def test_examples_are_recorded_with_their_context_apart(server, client):
    server.model("half").regress([1.0])
    client.regress({"n": [1, 2], "name": "a"}, context={"f": 0.5})
    (request,) = server.asked("Regress")
    assert request.examples[0]["n"].tolist() == [1, 2]
    assert request.examples[0]["name"].tolist() == [b"a"]
    assert request.context["f"].tolist() == [0.5]


def test_a_call_without_a_deadline_has_none(server, client):
    client.predict([1.0], timeout_s=float("inf"))
    assert server.asked()[0].deadline_s is None


def test_requests_are_in_order_and_can_be_forgotten(server, client):
    client.predict([1.0])
    client.status()
    assert [request.method for request in server.requests] == ["GetModelMetadata", "Predict", "GetModelStatus"]
    assert server.asked("Predict", model="other") == []
    server.forget()
    assert server.requests == []


def test_a_test_can_wait_for_a_request_of_another_thread(server, client):
    caller = threading.Thread(target=client.predict, args=([1.0],))
    caller.start()
    assert server.wait_for(1)[0].model == "half"
    caller.join(10)


def test_waiting_for_what_does_not_come_ends_with_an_error(server):
    with pytest.raises(TimeoutError, match=r"0 of 2 Predict requests came in 0\.01 s"):
        server.wait_for(2, timeout_s=0.01)


def test_a_server_that_has_not_started_says_so():
    with pytest.raises(RuntimeError, match="no port before it starts"):
        _ = FakeModelServer().address


def test_a_server_starts_again_on_its_port(server, client):
    address = server.address
    server.stop()
    server.start()
    assert server.address == address
    with Client(address, model="half") as another:
        assert another.predict([1.0]).value.tolist() == [2.5]


def test_two_servers_have_ports_of_their_own(server):
    with FakeModelServer() as other:
        assert other.port != server.port


@pytest.mark.parametrize(
    ("module", "loaded"), [("pytest_servable_client", "grpc"), ("servable_client.testing", "tensorflow")]
)
def test_the_plug_in_costs_no_grpc_and_the_kit_no_tensorflow(module, loaded):
    code = f"import {module}, sys; sys.exit({loaded!r} in sys.modules)"
    path = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=path, check=False).returncode == 0


def test_pytest_has_the_fixture_where_the_plug_in_is_loaded(pytester_run):
    assert pytester_run("def test_it(fake_model_server): assert fake_model_server.port") == 0


@pytest.fixture
def pytester_run(tmp_path):
    """Runs a test file in a pytest of its own, with the plug-in and without any other."""

    def run(text):
        (tmp_path / "test_it.py").write_text(text)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_servable_client", "-p", "no:cacheprovider", "."]
        env = {"PYTHONPATH": ":".join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(command, cwd=tmp_path, env=env, check=False, capture_output=True, timeout=60).returncode

    return run
