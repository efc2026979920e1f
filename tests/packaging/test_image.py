"""The image: its two shell scripts, run beside a fake server, and what its Dockerfile promises."""

from __future__ import annotations

import fnmatch
import os
import subprocess

import pytest

from tests.packaging.fakes import ROOT, TIMEOUT_S, write_executable

RECORDER = '#!/bin/sh\necho "$$"\nfor argument; do echo "$argument"; done\nexit 4\n'


def run_recorder(command, **environment):
    """Runs a script that ends in a server; returns whether that is the same process, and its arguments."""
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    pid, *arguments = process.communicate(timeout=TIMEOUT_S)[0].splitlines()
    assert process.returncode == 4
    return int(pid) == process.pid, arguments


@pytest.fixture
def entrypoint(tmp_path):
    """Returns a function that runs the entrypoint with arguments and the image's environment, but for what is given."""
    write_executable(tmp_path / "tensorflow_model_server", RECORDER)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    def entrypoint(*arguments, **environment):
        defaults = {"MODEL_NAME": "model", "MODEL_BASE_PATH": "/models", "PATH": path}
        return run_recorder([ROOT / "docker/tf_serving_entrypoint.sh", *arguments], **{**defaults, **environment})

    return entrypoint


def test_the_entrypoint_serves_the_model_that_the_environment_names(entrypoint):
    _, arguments = entrypoint(MODEL_NAME="mine", MODEL_BASE_PATH="/elsewhere")
    assert arguments == [
        "--port=8500",
        "--rest_api_port=8501",
        "--model_name=mine",
        "--model_base_path=/elsewhere/mine",
    ]


def test_the_callers_flags_come_last_and_whole(entrypoint):
    _, arguments = entrypoint("--port=9000", "--model_name=with space")
    assert arguments[-2:] == ["--port=9000", "--model_name=with space"]


def test_a_name_with_a_space_stays_one_argument(entrypoint):
    _, arguments = entrypoint(MODEL_NAME="my model")
    assert arguments[2:] == ["--model_name=my model", "--model_base_path=/models/my model"]


def test_the_server_takes_the_place_of_the_entrypoint(entrypoint):
    is_same_process, _ = entrypoint()
    assert is_same_process


def test_the_original_name_stands_for_servable_serve_in_the_same_process(tmp_path):
    servable = write_executable(tmp_path / "servable", RECORDER)
    text = (ROOT / "docker/tensorflow_model_server").read_text()
    assert "/opt/servable/bin/servable" in text
    alias = write_executable(tmp_path / "alias", text.replace("/opt/servable/bin/servable", str(servable)))
    assert run_recorder([alias, "--model_name=with space"]) == (True, ["serve", "--model_name=with space"])


def read_instructions():
    """Returns the Dockerfile's instructions as (word, rest) without comments, continuation lines joined."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    joined = "\n".join(line for line in lines if not line.lstrip().startswith("#")).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def read_final_stage():
    """Returns the instructions of the last stage."""
    instructions = read_instructions()
    start = max(number for number, (word, _) in enumerate(instructions) if word == "FROM")
    return instructions[start:]


def test_both_stages_start_from_the_base_that_the_builder_chooses():
    bases = [rest.split()[0] for word, rest in read_instructions() if word == "FROM"]
    assert bases == ["${BASE_IMAGE}", "${BASE_IMAGE}"]


def test_what_the_dockerfile_copies_exists_and_gets_past_the_ignore_file():
    kept = [line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copies = [rest.split()[:-1] for word, rest in read_instructions() if word == "COPY" and "--from" not in rest]
    sources = [source.rstrip("/") for copy in copies for source in copy]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, name) or source.startswith(f"{name}/") for name in kept), source


def test_only_hashed_pins_and_the_project_itself_are_installed():
    text = " ".join(rest for word, rest in read_instructions() if word == "RUN")
    installs = [part for part in text.split("&&") if " install " in part]
    assert installs
    assert [part for part in installs if "--require-hashes" not in part and "--no-deps" not in part] == []
    assert [part for part in installs if "--no-cache-dir" not in part] == []


def test_the_final_stage_is_as_the_originals_users_expect():
    final = dict(read_final_stage())
    assert "MODEL_NAME=model" in final["ENV"].split()
    assert "MODEL_BASE_PATH=/models" in final["ENV"].split()
    assert final["EXPOSE"] == "8500 8501"
    assert final["ENTRYPOINT"] == '["/usr/bin/tf_serving_entrypoint.sh"]'
    assert final["STOPSIGNAL"] == "SIGTERM"


def test_the_user_is_a_number_and_not_root():
    user, group = dict(read_final_stage())["USER"].split(":")
    assert int(user) > 0
    assert int(group) > 0
