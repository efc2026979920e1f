"""Whether lanes are possible is tried once, on all that they rely on; where they are not, the public path serves."""

import logging

import grpc
import pytest

from servable.transport import core, lanes
from servable.transport.arrivals import Arrivals
from tests.process.transport import UNARY
from tests.transport.serving import inline

METHODS = {UNARY: inline(lambda request, time_left_s: request)}


@pytest.fixture(autouse=True)
def _fresh():
    lanes.are_possible.cache_clear()
    yield
    lanes.are_possible.cache_clear()


def test_the_installed_grpcio_can_have_lanes(caplog):
    assert lanes.are_possible()
    assert lanes.open_lanes(grpc.server(None), METHODS, 1, Arrivals()) is not None
    assert caplog.records == []


def test_no_lanes_are_made_if_none_are_wanted():
    assert lanes.open_lanes(grpc.server(None), METHODS, 0, Arrivals()) is None


def ignoring(*arguments):
    """An operation that never ends."""


def altered(make):
    """A function of the core whose outcome is another one."""

    def alter(monkeypatch, name):
        original = getattr(core, name)
        monkeypatch.setattr(core, name, lambda *arguments: make(original(*arguments)))

    return alter


def missing(monkeypatch, name):
    monkeypatch.delattr(core.Core if hasattr(core.Core, name) else core, name)


def silent(monkeypatch, name):
    monkeypatch.setattr(core, name, ignoring)


@pytest.mark.behaviour("11.2", "ours: a grpcio whose core does otherwise has no lanes, and a line in the log says so")
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("register", missing),
        ("add_queue", missing),
        ("request_call", missing),
        ("receive_message", missing),
        ("receive_close", silent),
        ("receive_message", silent),
        ("send_message", silent),
        ("send_status", silent),
        ("message", altered(lambda message: b"wrong")),
        ("deadline_s", altered(lambda deadline_s: deadline_s - 1e6)),
        ("deadline_s", altered(lambda deadline_s: deadline_s + 1e6)),
        ("deadline_s", altered(lambda deadline_s: 0.0)),
        ("deadline_s", altered(lambda deadline_s: float("inf"))),
    ],
)
def test_a_grpcio_that_does_otherwise_has_no_lanes_and_one_line_says_so(name, change, monkeypatch, caplog):
    caplog.set_level(logging.WARNING, "servable")
    monkeypatch.setattr(lanes, "_PATIENCE_S", 0.5)
    change(monkeypatch, name)
    assert lanes.open_lanes(grpc.server(None), METHODS, 1, Arrivals()) is None
    assert not lanes.are_possible()  # And it is not tried again.
    (record,) = [record for record in caplog.records if record.name == "servable.transport.lanes"]
    assert f"No lanes: grpcio {grpc.__version__}" in record.getMessage()
