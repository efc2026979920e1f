"""One server for the tests that only look at its answers."""

import pytest

from tests.transport.http.serving import serving


@pytest.fixture(scope="module")
def port():
    with serving() as port:
        yield port
