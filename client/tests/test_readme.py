"""Every snippet of the README runs, and prints what it says it prints."""

import re
import shlex
from pathlib import Path

import grpc
import numpy as np
import pytest
from certificates import Authority

from servable_client.cli import main
from servable_client.testing import FakeModelServer

README = (Path(__file__).parents[1] / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
LOCAL = "localhost:8500"
REMOTE = ("models-1.example.com:443", "models-2.example.com:443")


def half_plus_two(server):
    for version in (1, 2):
        model = server.model("half_plus_two", version=version, label="stable" if version == 1 else None)
        model.predict(lambda x: {"y": x * np.float32(0.5) + np.float32(2)}, inputs={"x": ("float32", (None,))})


@pytest.fixture
def local():
    with FakeModelServer() as server:
        half_plus_two(server)
        server.model("sums").predict(
            lambda a, b: {"sum": a + b, "difference": a - b}, signature="both", inputs={"a": "int32", "b": "int32"}
        )
        sizes = lambda image: {"size": np.array([len(each) for each in image])}  # noqa: E731
        server.model("sizes").predict(sizes, inputs={"image": ("string", (None,))})
        people = server.model("people")
        people.classify(
            lambda all_: [{"young": 1 - each["age"][0] / 100, "old": 0.5} for each in all_], signature="class"
        )
        people.regress(lambda all_: [each["age"][0] / 10 for each in all_], signature="score")
        yield server.address


@pytest.fixture
def remote(tmp_path):
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    key, cert = authority.issue("client")
    (tmp_path / "client.key").write_bytes(key)
    (tmp_path / "client.pem").write_bytes(cert)
    pair = authority.issue("models.example.com")
    demands = grpc.ssl_server_credentials([pair], authority.certificate, require_client_auth=True)
    with FakeModelServer(credentials=demands) as first, FakeModelServer(credentials=demands) as second:
        half_plus_two(first)
        half_plus_two(second)
        yield first.address, second.address


def test_there_are_ten_things_and_a_start():
    assert len(SNIPPETS) == 11
    assert re.findall(r"^### (\d+)\.", README, re.MULTILINE) == [str(number) for number in range(1, 11)]


def test_the_commands_run(local, capsys):
    (block,) = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert {command[1] for command in commands} == {"predict", "metadata", "status", "health", "bench", "replay"}
    for _, name, *words in commands:
        # The last of an option counts. The benchmark starts processes, a replay needs a log: their own tests run them.
        if name not in {"bench", "replay"}:
            assert main([name, *words, "-a", local]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_prints_what_it_says(snippet, local, remote, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xd9")
    text = snippet.replace(LOCAL, local)
    for name, address in zip(REMOTE, remote, strict=True):
        text = text.replace(name, address)
    exec(compile(text, "README.md", "exec"), {"__name__": "__main__"})
    # One line of comment stands for several of a loop.
    assert capsys.readouterr().out.split() == " ".join(PRINTED.findall(snippet)).split()
