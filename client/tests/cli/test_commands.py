"""The commands that ask once, as a user types them."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from servable_client import errors
from servable_client.testing import Malformed


@pytest.mark.parametrize("words", [["x=[1, 2]"], ["[1, 2]"], ['{"x": [1, 2]}'], ["x=[1,2]", "--output=y"]])
def test_predict_takes_json_by_name_or_without(run, words):
    outcome = run("predict", "-m", "half", "--json", *words)
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out) == {
        "model": "half",
        "version": 1,
        "signature": "serving_default",
        "outputs": {"y": [2.5, 3.0]},
    }


@pytest.mark.parametrize(
    "word", ["x=@{}/x.npy", "@{}/x.npy", "@{}/x.npz", "@{}/x.json", "x=@{}/list.json", "@{}/list.json"]
)
def test_predict_reads_files(run, files, word):
    outcome = run("predict", "-m", "half", "--json", word.format(files))
    assert json.loads(outcome.out)["outputs"] == {"y": [2.5, 3.0]}, outcome.err


@pytest.mark.parametrize(("word", "text"), [("x=@-", "[1, 2]"), ("-", '{"x": [1, 2]}'), ("-", "[1, 2]")])
def test_predict_reads_standard_input(run, monkeypatch, word, text):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert json.loads(run("predict", "-m", "half", "--json", word).out)["outputs"] == {"y": [2.5, 3.0]}


def test_predict_prints_a_table(run):
    lines = run("predict", "-m", "half", "x=[1, 2]").out.splitlines()
    assert lines[0] == "half version 1, signature serving_default"
    assert lines[1].split() == ["output", "dtype", "shape", "values"]
    assert lines[2].split()[:3] == ["y", "float32", "[2]"]


def test_large_values_are_cut_in_a_table(run, server, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert all(len(line) <= 80 for line in run("predict", "-m", "half", json.dumps(list(range(5000)))).out.splitlines())


def test_bytes_go_and_come_as_b64(run, server):
    server.model("text").predict(lambda t: {"same": t}, inputs={"t": "string"})
    outcome = run("predict", "-m", "text", "--json", 't=[{"b64": "/w=="}, "ü"]')
    assert server.asked()[0].inputs["t"].tolist() == [b"\xff", "ü".encode()]
    assert json.loads(outcome.out)["outputs"] == {"same": [{"b64": "/w=="}, "ü"]}


@pytest.mark.parametrize(
    ("dtype", "printed"),
    [("complex64", [[1.0, 0.0]]), ("bool", [True]), ("float16", [1.0]), ("uint8", [1]), ("string", ["1"])],
)
def test_every_family_of_dtypes_is_printed_as_json(run, server, dtype, printed):
    value = ["1"] if dtype == "string" else np.ones(1, dtype)
    server.model("typed").predict({"y": value})
    assert json.loads(run("predict", "-m", "typed", "--json", "x=1").out)["outputs"] == {"y": printed}


def test_the_model_spec_is_what_the_options_say(run, server):
    server.model("half", version=3, label="canary").predict(lambda x: {"z": x}, signature="raw")
    words = ["-m", "half", "--label=canary", "--signature=raw", "--metadata=Tenant=a", "--timeout=7", "x=1"]
    assert run("predict", *words).status == 0
    request = server.asked()[0]
    assert (request.model, request.label, request.signature) == ("half", "canary", "raw")
    assert request.metadata["tenant"] == "a"
    assert 0 < request.deadline_s <= 7.1  # grpc rounds it up on the wire
    assert run("predict", "-m", "half", "--model-version=1", "x=1").status == 0
    assert server.asked()[1].version == 1


def test_metadata_shows_signatures(run, server):
    server.model("half").predict(lambda a, n=2: {"s": a}, signature="short")
    rows = [line.split() for line in run("metadata", "-m", "half").out.splitlines()]
    assert rows[0] == ["half", "version", "1"]
    assert ["serving_default", "input", "x", "float32", "unknown"] in rows
    assert ["output", "y", "float32", "[?]"] in rows
    assert ["input", "n", "int64", "unknown", "optional"] in rows
    found = json.loads(run("metadata", "-m", "half", "--json").out)
    assert found["signatures"]["serving_default"]["outputs"]["y"] == {
        "dtype": "float32",
        "shape": [None],
        "tensor": "y:0",
    }


def test_status_shows_versions_and_failures(run, server):
    server.model("half", version=2).become("END", errors.Internal("out of\nmemory"))
    lines = [line.split() for line in run("status", "-m", "half").out.splitlines()]
    assert lines == [
        ["version", "state", "error"],
        ["2", "END", "INTERNAL:", "out", "of", "memory"],
        ["1", "AVAILABLE"],
    ]
    assert json.loads(run("status", "-m", "half", "--json").out)[0]["code"] == "INTERNAL"


def test_health_is_the_exit_status(run, server):
    assert run("health") == (0, "SERVING\n", "")
    assert run("health", "nobody") == (1, "SERVICE_UNKNOWN\n", "")
    server.set_health()
    assert run("health", "--json") == (1, '{"service": "", "status": "NOT_SERVING"}\n', "")


def one_line(outcome, *parts):
    """A failure: status 1, nothing on stdout, one line on stderr that has the parts."""
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith("servable-client: ")
    assert outcome.err.count("\n") == 1
    for part in parts:
        assert part in outcome.err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["hello"], ["'hello' is no JSON", "a string needs its quotes"]),
        (["x=[1,"], ["input 'x': '[1,' is no JSON"]),
        (["x=[1,[2]]"], ["input 'x': expected float32", "list"]),
        (["z=1"], ["input 'z'", "x: float32"]),
        (['x="text"'], ["input 'x': expected float32", "a string is no number"]),
        (["x=1", "x=2"], ["input 'x' is given twice"]),
        (["x=1", "2"], ["'2' has no name"]),
        (["x=@gone.npy"], ["gone.npy: No such file or directory"]),
        (["x=@it.txt"], ["it.txt: expected a file that ends in .npy, .npz, .json"]),
        (['x={"a": 1}'], ["input 'x': expected a value or a list"]),
        (['x={"b64": "?"}'], ["no base64"]),
        (["x=" + "[" * 100000], ["nested too deeply"]),
        (["x=1", "--model=gone"], ["NOT_FOUND", "Latest(gone)"]),
        (["x=1", "--signature=gone"], ["no signature 'gone'", "serving_default"]),
        (["x=1", "--token=t"], ["a token", "tls"]),
        (["x=1", "--ca=gone.pem"], ["ca cannot be read"]),
        (["x=1", "--token=@gone.txt"], ["gone.txt: No such file or directory"]),
    ],
)
def test_what_goes_wrong_is_reported_in_one_line(run, words, parts):
    one_line(run("predict", "-m", "half", *words), *parts)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".json"])
def test_a_file_that_is_not_what_its_name_says_is_reported(run, tmp_path, suffix):
    path = tmp_path / f"odd{suffix}"
    path.write_bytes(b"\xff\xfenothing")
    one_line(run("predict", "-m", "half", f"@{path}"), str(path))


def test_pickled_arrays_are_refused(run, tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    one_line(run("predict", "-m", "half", f"x=@{tmp_path}/x.npy"), "is no array", "allow_pickle=False")


def test_a_reply_that_is_none_is_reported_in_one_line(run, server):
    server.misbehave(Malformed(), method="Predict")
    one_line(run("predict", "-m", "half", "x=1"), "no PredictResponse")


def test_a_server_that_is_not_there_is_reported_in_one_line(run, server):
    server.stop()
    one_line(run("status", "-m", "half", "--timeout=1"), "no server listens there")


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "m", "--timeout=0"],
        ["-m", "m", "--timeout=nan"],
        [],
        ["-m", "m", "--label=a", "--model-version=1"],
        ["-m", "m", "--metadata=a"],
    ],
)
def test_a_mistake_in_the_words_is_status_2(run, words):
    outcome = run("predict", *words)
    assert outcome.status == 2
    assert "usage: servable-client predict" in outcome.err
