"""The settings of hypothesis that the properties have, and a server with both ports."""

import pytest

from tests.process.launching import free_port
from tests.properties.conftest import COMMON  # noqa: F401  Loads the profile.


@pytest.fixture(scope="session")
def http_server(servers):
    """A server of three models that listens for gRPC and HTTP."""
    return servers("half_plus_two", "dtypes", "strings", bind_address="127.0.0.1", rest_api_port=free_port())
