"""The commands that ask once, as a user types them."""

from __future__ import annotations

import io
import json
import shlex

import numpy as np
import pytest

from servable_client import errors
from servable_client.cli import main
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


def misplaced(outcome, *hints):
    """A mistake in the words: status 2, and one line that says where each of them belongs."""
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == f"servable-client: {'; '.join(hints)}\n"


ADDRESSES = [
    ("127.0.0.1:8500", "127.0.0.1:8500"),
    ("localhost:8500", "localhost:8500"),
    ("models-1.example.com:443", "models-1.example.com:443"),
    ("my_host:80", "my_host:80"),
    ("[::1]:8500", "'[::1]:8500'"),
    (":8500", "localhost:8500"),
    ("127.0.0.1", "127.0.0.1:8500"),
    ("localhost", "localhost:8500"),
    ("unix:/tmp/a.sock", "unix:/tmp/a.sock"),
    ("unix:///tmp/a.sock", "unix:///tmp/a.sock"),
    ("unix-abstract:a", "unix-abstract:a"),
    ("dns:///models:8500", "dns:///models:8500"),
    ("ipv4:127.0.0.1:8500", "ipv4:127.0.0.1:8500"),
    ("ipv6:[::1]:8500", "'ipv6:[::1]:8500'"),
    ("http://localhost:8500", "localhost:8500"),
    ("http://localhost:8500/v1/models/half:predict", "localhost:8500"),
    ("https://models.example.com:443/", "models.example.com:443 --tls"),
    ("grpc://localhost:8500", "localhost:8500"),
]


@pytest.mark.parametrize(("word", "address"), ADDRESSES)
def test_an_address_among_the_inputs_gets_a_hint(run, word, address):
    hint = f"{word} looks like an address: pass it as -a {address}"
    misplaced(run("predict", word, "-m", "half", "x=[1]"), hint)
    misplaced(run("predict", "-m", "half", word, "x=[1]"), hint)
    misplaced(run("predict", "-m", "half", "x=[1]", word), hint)


@pytest.mark.parametrize("command", ["predict", "bench", "metadata", "status", "health"])
def test_an_address_without_its_option_gets_a_hint_in_every_command(run, command):
    hint = "127.0.0.1:8500 looks like an address: pass it as -a 127.0.0.1:8500"
    misplaced(run(command, "127.0.0.1:8500"), hint)


def test_an_address_before_the_command_gets_a_hint(capsys):
    assert main(["localhost:8500", "predict", "-m", "half", "x=1"]) == 2
    hint = "localhost:8500 looks like an address: pass it as -a localhost:8500 after the command"
    assert capsys.readouterr().err == f"servable-client: {hint}\n"


@pytest.mark.parametrize("command", ["predict", "bench", "metadata", "status"])
def test_a_model_without_its_option_gets_a_hint(run, command):
    misplaced(run(command, "half"), "half looks like a model's name: pass it as -m half")
    misplaced(
        run(command, "localhost:8500", "half"),
        "localhost:8500 looks like an address: pass it as -a localhost:8500",
        "half looks like a model's name: pass it as -m half",
    )


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "localhost:{}", ":{}", "dns:///localhost:{}", "http://127.0.0.1:{}"])
def test_a_command_that_follows_its_hints_is_answered(server, capsys, form):
    address = form.format(server.port)
    assert main(["predict", address, "half", "x=[1, 2]", "--json"]) == 2
    hints = capsys.readouterr().err.removeprefix("servable-client: ").split("; ")
    options = [part for hint in hints for part in shlex.split(hint.split("pass it as ")[1])]
    assert main(["predict", *options, "x=[1, 2]", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == {"y": [2.5, 3.0]}


@pytest.mark.parametrize(
    "word", ["[1, 2]", "x=[1]", '{"x": [1]}', "-1", "1.5", "true", "null", "NaN", "x:0=[1]", '"a:80"']
)
def test_an_input_is_taken_for_no_address_and_no_model(run, word):
    outcome = run("predict", "-m", "half", word)
    assert "looks like" not in outcome.err
    without_model = run("predict", word)
    assert without_model.status == 2
    assert "the following arguments are required: -m/--model" in without_model.err
    assert "looks like" not in without_model.err


def test_options_may_stand_between_inputs(run, server):
    server.model("sum").predict(lambda a, b: {"sum": a + b}, inputs={"a": "int32", "b": "int32"})
    outcome = run("predict", "a=1", "-m", "sum", "b=2", "--json")
    assert json.loads(outcome.out)["outputs"] == {"sum": 3}


@pytest.mark.parametrize("words", [["status", "-mhalf", "half"], ["health", "a", "b"], ["predict", "-mhalf", "--none"]])
def test_words_that_mean_nothing_are_named(run, words):
    outcome = run(*words)
    assert outcome.status == 2
    assert f"unrecognized arguments: {words[-1]}" in outcome.err


@pytest.fixture
def shaped(server):
    inputs = {"x": ("float32", [None, 3]), "n": ("int64", [2]), "t": ("string", [None])}
    server.model("shaped").predict(lambda x, n, t: {"y": x}, inputs=inputs)
    server.model("shaped").predict(lambda k: {"k": k}, inputs={"k": ("int8", [])}, signature="scalar")
    return server


def test_zeros_are_sent_in_the_shapes_of_the_signature(run, shaped):
    assert run("predict", "-m", "shaped", "--zeros").status == 0
    assert run("predict", "-m", "shaped", "--zeros", "--batch", 2).status == 0
    one, two = (request.inputs for request in shaped.asked())
    assert (one["x"].tolist(), one["n"].tolist(), one["t"].tolist()) == ([[0.0] * 3], [0, 0], [b""])
    assert (two["x"].tolist(), two["n"].tolist(), two["t"].tolist()) == ([[0.0] * 3] * 2, [0, 0], [b"", b""])
    assert (one["x"].dtype, one["n"].dtype) == (np.float32, np.int64)
    outcome = run("predict", "-m", "shaped", "--signature=scalar", "--zeros", "--json")
    assert json.loads(outcome.out)["outputs"] == {"k": 0}


def test_inputs_that_are_given_stay_beside_zeros(run, shaped):
    assert run("predict", "-m", "shaped", "--zeros", "n=[1, 2]").status == 0
    (request,) = shaped.asked()
    assert (request.inputs["n"].tolist(), request.inputs["x"].tolist()) == ([1, 2], [[0.0] * 3])
    assert json.loads(run("predict", "-m", "half", "--zeros", "[2]", "--json").out)["outputs"] == {"y": [3.0]}


def test_zeros_that_cannot_be_made_are_reported_and_the_advice_works(run, shaped):
    one_line(run("predict", "-m", "half", "--zeros"), "input 'x' has no known rank: pass x=...")
    assert run("predict", "-m", "half", "--zeros", "x=1").status == 0
    one_line(run("predict", "-m", "shaped", "--zeros", "--signature=gone"), "no signature 'gone'; it has: scalar, ser")
    one_line(run("predict", "-m", "shaped", "--zeros", "z=1"), "input 'z'", "no such input")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--batch=2"], "pass --zeros too"),
        (["--zeros", "--no-infer"], "not allowed"),
        (["--zeros", "--batch=0"], "1 or"),
    ],
)
def test_options_that_contradict_zeros_are_status_2(run, words, part):
    outcome = run("predict", "-m", "half", *words)
    assert outcome.status == 2
    assert part in outcome.err


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
