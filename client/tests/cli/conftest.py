"""A fake server to call, and the command as a function that returns what it printed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from servable_client.cli import main
from servable_client.testing import FakeModelServer


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def server():
    with FakeModelServer() as server:
        server.model("half").predict(lambda x: {"y": x * 0.5 + 2}, outputs={"y": ("float32", [None])})
        yield server


@pytest.fixture
def run(server, capsys):
    """Runs a command against the server; nothing is retried in vain, since it answers."""

    def run(command, *words):
        try:
            status = main([command, f"--address={server.address}", *map(str, words)])
        except SystemExit as end:
            status = end.code
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture
def files(tmp_path):
    """A file of each kind, by suffix, each with the values 1 and 2."""
    np.save(tmp_path / "x.npy", np.array([1, 2], np.float32))
    np.savez(tmp_path / "x.npz", x=np.array([1, 2], np.float32))
    (tmp_path / "x.json").write_text('{"x": [1, 2]}')
    (tmp_path / "list.json").write_text("[1, 2]")
    return tmp_path
