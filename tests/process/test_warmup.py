"""A server with a warm-up file, and `servable warmup` as a command, as processes of their own."""

import shutil

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

from servable.warmup.records import WARMUP_FILE
from tests.process import launching
from tests.process.launching import PATIENCE_S

GARBAGE = b"this is no TFRecord file"
REFUSAL = "corrupted record at 0 (Is this even a TFRecord file?). Please verify your warmup data is in TFRecord format."


@pytest.fixture
def base_path(models, tmp_path):
    """A base path of half_plus_two that a test may change."""
    return shutil.copytree(models.base_path("half_plus_two"), tmp_path / "half_plus_two")


def spoil(version_directory):
    path = version_directory / WARMUP_FILE
    path.parent.mkdir()
    path.write_bytes(GARBAGE)


@pytest.mark.behaviour("5", "--enable_model_warmup")
def test_the_command_writes_a_file_that_a_server_warms_up_with(serve, base_path):
    made = launching.run("warmup", str(base_path))
    path = base_path / "1" / WARMUP_FILE
    assert (made.status, made.stdout) == (0, f"{path}: 6 requests written, 0 skipped\n")
    server = serve(f"--model_base_path={base_path}").wait_until_serving()
    assert server.stderr.wait_for(f"warmed up with the 6 records of {path}")


@pytest.mark.behaviour("7.4", "any error fails the load, and frees what was loaded")
def test_a_server_does_not_start_with_a_garbage_file(serve, base_path):
    spoil(base_path / "1")
    server = serve(f"--model_base_path={base_path}", "--max_num_load_retries=0")
    assert server.wait() == 255
    assert REFUSAL in server.stdout.text()


@pytest.mark.behaviour("7.4", "any error fails the load, and frees what was loaded")
def test_a_version_with_a_garbage_file_never_takes_over(serve, base_path):
    server = serve(f"--model_base_path={base_path}", "--max_num_load_retries=0", "--model_name=m").wait_until_serving()
    shutil.copytree(base_path / "1", base_path.parent / "2")
    spoil(base_path.parent / "2")
    (base_path.parent / "2").rename(base_path / "2")
    server.stderr.wait_for("name: m version: 2.*failed")
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "m"
    with grpc.insecure_channel(server.address) as channel:
        status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=PATIENCE_S)
    two, one = status.model_version_status
    assert (two.version, two.status.error_code, two.status.error_message) == (2, 15, REFUSAL)
    assert (one.version, one.state, one.status.error_code) == (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE, 0)
