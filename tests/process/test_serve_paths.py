"""`servable serve PATH ...` as a process: what it serves, and all that it prints."""

import re
import shutil
import signal

import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc

from servable import startup
from tests.conformance.calls import TIMEOUT_S, model_spec, predict_request, values
from tests.process import launching
from tests.process.launching import ServerProcess
from tests.process.transport import connect

STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


@pytest.fixture
def serve():
    started = []

    def start(*arguments):
        started.append(ServerProcess(*arguments, "--drain_delay_s=0"))
        return started[-1].wait_until_serving()

    yield start
    for process in started:
        process.kill()


def answer(process, name):
    with connect(process.address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return values(stub.Predict(predict_request(name, {"x": [[2.0]]}), timeout=TIMEOUT_S).outputs["y"])


def versions(process, name):
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec(name))
    with connect(process.address) as channel:
        reply = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=TIMEOUT_S)
    return [each.version for each in reply.model_version_status]


def test_paths_of_each_kind_are_served_beside_flags(serve, models, tmp_path):
    version = models.version_path("half_plus_two")
    shutil.copytree(version, tmp_path / "my_export")
    shutil.copytree(version, tmp_path / "digits" / "3")
    shutil.copytree(version, tmp_path / "digits" / "4")
    process = serve(
        str(tmp_path / "my_export"), str(tmp_path / "digits" / "3"), f"base={tmp_path / 'digits'}",
        f"--model_base_path={version.parent}", "--model_name=flagged",
    )  # fmt: skip
    served = {name: versions(process, name) for name in ("my_export", "digits", "base", "flagged")}
    assert served == {"my_export": [1], "digits": [3], "base": [4], "flagged": [1]}
    assert [answer(process, name) for name in served] == [[[3.0]]] * 4


def test_the_start_is_a_line_a_model_and_a_call_to_try(serve, models, tmp_path):
    shutil.copytree(models.version_path("half_plus_two"), tmp_path / "mine")
    process = serve(str(tmp_path / "mine"))
    process.stderr.wait_for("try: ")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    lines = [STAMP.sub("", line) for line in process.stderr.text().splitlines()]
    version = re.escape("{name: mine version: 1}")
    states = (
        r"INFO servable.management.served_models: config applied: added mine",
        rf"INFO servable.lifecycle.manager: loading {version} from .*",
        rf"INFO servable.lifecycle.manager: {version} is available after \d+\.\d s: signature.*",
        r"INFO servable.process: started in \d+\.\d s",
    )
    for line, pattern in zip(lines, states, strict=False):
        assert re.fullmatch(pattern, line)
    port, client = process.address.rpartition(":")[2], startup._find_client()
    assert client.endswith("servable-client")
    assert [line.partition(": ")[2] for line in lines[len(states) :]] == [
        f"serving on {process.address}",
        f"try: {client} predict -a 127.0.0.1:{port} -m mine --zeros",
        "draining: calls in flight have 30 s; one more signal ends them",
        "stopped",
    ]


def test_of_several_models_a_table_says_which_serve(serve, models, tmp_path):
    (tmp_path / "bad" / "1").mkdir(parents=True)
    (tmp_path / "bad" / "1" / "saved_model.pb").write_bytes(b"garbage")
    good = models.base_path("half_plus_two")
    process = serve(str(good), str(tmp_path / "bad"), "--max_num_load_retries=0")
    process.stderr.wait_for(r"model +version +state")
    process.stderr.wait_for(r"half_plus_two +1 +serves")
    process.stderr.wait_for(r"bad +1 +END +DATA_LOSS")
    assert answer(process, "half_plus_two") == [[3.0]]


def test_a_version_whose_folder_goes_and_comes_back_is_followed(serve, models, tmp_path):
    path = tmp_path / "mine"
    shutil.copytree(models.version_path("half_plus_two"), path)
    process = serve(str(path))
    path.rename(tmp_path / "away")
    process.stderr.wait_for("filesystem access error")
    assert answer(process, "mine") == [[3.0]]
    (tmp_path / "away").rename(path)
    process.stderr.wait_for("has no problems any more")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["{}/none"], "none does not exist"),
        (["{}/empty"], "holds neither a SavedModel"),
        (["a={0}/x", "a={0}/x"], "Two models would be called"),
        (["{}/x", "--model_config_file=/m"], "cannot be mixed"),
    ],
)
def test_what_cannot_be_served_is_one_line(tmp_path, arguments, text):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "saved_model.pb").touch()
    ended = launching.run("serve", *[argument.format(tmp_path) for argument in arguments])
    assert ended.status == 255
    (line,) = ended.stdout.splitlines()
    assert line.startswith("Failed to start server. Error: ")
    assert text in line
    assert ended.stderr == ""


def test_a_misspelt_flag_beside_a_path_ends_the_start(models):
    ended = launching.run("serve", str(models.base_path("half_plus_two")), "--prot=8501")
    assert (ended.status, ended.stderr) == (255, "")
    assert ended.stdout == (
        "unknown argument: --prot=8501; did you mean --port? `servable serve --help` lists all flags.\n"
    )
