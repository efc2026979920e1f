"""The log of `servable serve` as a process: JSON from the first line to the last, and a stderr that nobody reads."""

import fcntl
import json
import os
import signal
import subprocess
import sys

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

from tests.process.launching import PATIENCE_S, _environment, free_port, run

_F_GETPIPE_SZ = 1032


def test_every_line_is_json_from_the_start_to_the_end(serve, models):
    process = serve(
        "--log_format=json", "--model_name=half_plus_two", f"--model_base_path={models.base_path('half_plus_two')}",
        "--no_such_flag=1",
    )  # fmt: skip
    process.stderr.wait_for("try: ")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    lines = [json.loads(line) for line in process.stderr.text().splitlines()]
    assert process.stdout.text() == ""
    states = [(line.get("model"), line["state"]) for line in lines if "state" in line]
    assert states == [
        ("half_plus_two", "LOADING"), ("half_plus_two", "AVAILABLE"),
        (None, "SERVING"), (None, "DRAINING"), (None, "STOPPED"),
    ]  # fmt: skip


@pytest.mark.parametrize("flags", [("--model_base_path=/no/such/folder",), ("--port=0", "/no/such/folder")])
def test_a_start_that_fails_says_so_in_json(flags):
    ended = run("serve", f"--port={free_port()}", "--log_format=json", "--max_num_load_retries=0", *flags)
    assert ended.status == 255
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert "Failed to start server." in lines[-1]["message"]
    assert ended.stdout == ""


@pytest.fixture(params=["text", "json"])
def unread(request, models):
    """A server whose stderr is a pipe that is full from the start and that nobody reads."""
    reader, writer = os.pipe()
    os.write(writer, b"x" * fcntl.fcntl(writer, _F_GETPIPE_SZ))
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "servable", "serve", f"--port={port}", "--bind_address=127.0.0.1",
         f"--log_format={request.param}", "--log_level=debug", "--drain_delay_s=0", "--model_name=half_plus_two",
         f"--model_base_path={models.base_path('half_plus_two')}"],
        stderr=writer, env=_environment(),
    )  # fmt: skip
    os.close(writer)
    yield process, port
    process.kill()
    process.wait(PATIENCE_S)
    os.close(reader)


def test_a_stderr_that_nobody_reads_stops_neither_start_nor_calls_nor_the_end(unread):
    process, port = unread
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "half_plus_two"})
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        reply = stub.GetModelStatus(request, timeout=PATIENCE_S, wait_for_ready=True)
    assert [each.version for each in reply.model_version_status]
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
