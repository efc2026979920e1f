"""`servable protos`: a file with the descriptors of every service and message, which other programs can read."""

import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from tests.process.command_lines import outcomes
from tests.process.test_reflection import SERVICES
from tests.process.transport import PATIENCE_S

PAGE = (Path(__file__).parents[2] / "docs" / "transcoding.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("protos")


@pytest.fixture(scope="module")
def results(folder):
    """The outcome of each command line."""
    arguments = {
        "written": ["--descriptor_set", folder / "servable.binpb"],
        "no such folder": [f"--descriptor_set={folder}/missing/servable.binpb"],
        "no file": [],
    }
    return dict(zip(arguments, outcomes(*(["protos", *words] for words in arguments.values())), strict=True))


@pytest.fixture(scope="module")
def path(results, folder):
    assert results["written"]["status"] == 0
    return folder / "servable.binpb"


@pytest.fixture(scope="module")
def pool(path):
    """Filled from the file only, in its order."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(path.read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def test_the_services_are_named(results, path):
    assert results["written"]["stdout"].startswith(f"{path} describes tensorflow.serving.PredictionService, ")
    assert set(results["written"]["stdout"].strip().split(" describes ")[1].split(", ")) == SERVICES.keys()


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_described_with_its_methods(pool, service):
    assert set(SERVICES[service]) <= set(pool.FindServiceByName(service).methods_by_name)


@pytest.mark.parametrize("message", ["google.rpc.Status", "google.rpc.ErrorInfo", "tensorflow.serving.SignatureDefMap"])
def test_what_travels_as_bytes_is_described_too(pool, message):
    assert pool.FindMessageTypeByName(message).full_name == message


def test_no_file_is_there_twice_or_before_one_that_it_imports(path):
    seen = []
    for file in FileDescriptorSet.FromString(path.read_bytes()).file:
        assert set(file.dependency) <= set(seen)
        seen.append(file.name)
    assert len(set(seen)) == len(seen)


def test_protoc_makes_code_of_it(path, tmp_path):
    pytest.importorskip("grpc_tools", reason="grpcio-tools is part of the extra `dev`")
    files = ["tensorflow_serving/apis/prediction_service.proto", "google/rpc/error_details.proto"]
    flags = [f"--descriptor_set_in={path}", f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *flags, *files], check=True, timeout=PATIENCE_S)
    assert "class PredictionServiceStub" in (tmp_path / files[0].replace(".proto", "_pb2_grpc.py")).read_text()
    assert (tmp_path / files[1].replace(".proto", "_pb2.py")).exists()


def test_protoc_reads_the_details_of_an_error_as_the_page_says(path):
    pytest.importorskip("grpc_tools", reason="grpcio-tools is part of the extra `dev`")
    shown, flags = re.search(r"^echo (\S+) \| base64 -d \|\n  protoc (.*)$", PAGE, re.MULTILINE).groups()
    arguments = flags.replace("servable.binpb", str(path)).split()
    decoded = subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", *arguments],
        input=base64.b64decode(shown), capture_output=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert decoded.stdout.split() == [b"reason:", b'"NOT_FOUND"', b"domain:", b'"servable"']


def test_a_path_that_cannot_be_written_is_one_line_that_says_why(results, folder):
    outcome = results["no such folder"]
    assert (outcome["status"], outcome["stdout"]) == (1, "")
    assert outcome["stderr"] == f"cannot write {folder}/missing/servable.binpb: No such file or directory\n"


def test_without_a_file_the_flag_is_named(results):
    assert results["no file"]["status"] == 2
    assert "--descriptor_set" in results["no file"]["stderr"]


def test_no_command_needs_tensorflow(results):
    assert not any(outcome["tensorflow"] for outcome in results.values())
