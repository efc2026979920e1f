"""A fault of ours that quotes a request: the log has its type and its place, and not its text."""

import logging

import grpc
import pytest

from servable.observability.line_formats import JsonFormatter, TextFormatter
from tests.process import transport

PAYLOAD = "canary-" + "in-a-fault"


def fail(request, *_):
    # As int() and many others do.
    raise ValueError(f"invalid literal: {request.decode()!r}")


@pytest.fixture
def logged(caplog):
    """What was logged, in both formats."""
    return lambda: [each.format(record) for record in caplog.records for each in (JsonFormatter(), TextFormatter())]


def test_a_method_that_fails_quotes_no_request(logged, caplog):
    with transport.serve(fail) as served, pytest.raises(grpc.RpcError):
        served.call(PAYLOAD.encode())
    assert logging.ERROR in [record.levelno for record in caplog.records]
    assert all("ValueError" in line and "in fail" in line for line in logged())
    assert not any(PAYLOAD in line for line in logged())
