"""The console is there by default where only this machine can ask, and otherwise by its flag."""

import pytest

from servable.console import exposure


@pytest.mark.parametrize(
    ("address", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_by_default_it_is_served_on_loopback_only(address, is_loopback):
    assert exposure.is_served("auto", address) is is_loopback
    assert exposure.is_served("true", address)
    assert not exposure.is_served("false", address)
