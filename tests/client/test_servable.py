"""What only servable has: hints in the error details, and its handling of labels."""

import pytest

from servable_client import Client, errors


@pytest.fixture
def client(servers):
    with Client(servers("half_plus_two").address) as client:
        yield client


def test_a_label_that_is_unknown_is_reported(client):
    with pytest.raises(errors.InvalidArgument, match="Unrecognized servable version label: worst"):
        client.predict([[1.0]], model="half_plus_two", label="worst")


def test_hints_say_what_there_is(client):
    with pytest.raises(errors.NotFound) as caught:
        client.predict([[1.0]], model="half_plus_tow")
    assert "half_plus_two" in " ".join(caught.value.hints.values())
