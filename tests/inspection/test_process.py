"""The command as a process: it imports nothing that takes seconds, and ends well though its output is not read."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.inspection.making import meta_graph, signature, write
from tests.process.launching import run

ROOT = Path(__file__).parents[2]
HALF = meta_graph({"serving_default": signature({"x": "float32[?]"}, {"y": "float32[?]"})})
MODEL = ROOT / "examples" / "digits" / "model"
HEAVY = ("tensorflow", "keras", "grpc")
PROGRAM = """
import sys
from servable import cli
assert cli.main(["inspect", sys.argv[1]]) == 0
print([name for name in sys.argv[2:] if name in sys.modules], file=sys.stderr)
"""


def test_inspect_imports_neither_tensorflow_nor_grpc():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(MODEL), *HEAVY], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout.startswith("SavedModel, version 1: 3 signatures, no warnings\n")


def test_a_reader_that_has_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "servable", "inspect", str(MODEL)],
            stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_several_directories_end_with_a_line_each(tmp_path):
    paths = [str(write(tmp_path / name / "1", HALF)) for name in ("a", "b")]
    ended = run("inspect", *paths)
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-2:] == [
        f"{path}: SavedModel, version 1: 1 signature, no warnings" for path in paths
    ]


def test_one_that_cannot_be_read_hides_no_other(tmp_path):
    path = str(write(tmp_path / "a" / "1", HALF))
    ended = run("inspect", f"{tmp_path}/none", path, "--json")
    assert (ended.status, ended.stderr) == (1, f"{tmp_path}/none: NOT_FOUND: {tmp_path}/none does not exist.\n")
    assert [report["path"] for report in json.loads(ended.stdout)] == [path]


def test_the_models_of_a_config_file_are_looked_at(tmp_path):
    path = str(write(tmp_path / "a" / "1", HALF))
    config = tmp_path / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "a" base_path: "{tmp_path}/a" model_platform: "tensorflow" }} }}'
    )
    ended = run("inspect", f"--model_config_file={config}")
    assert (ended.status, path in ended.stdout) == (0, True)


def test_without_anything_to_look_at_it_says_so():
    ended = run("inspect")
    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr == "INVALID_ARGUMENT: There is nothing to look at: name a DIR, or --model_config_file.\n"
