"""Where the whole server has a console."""

import urllib.error

import pytest

from servable.errors import InvalidArgument
from servable.options import ServerOptions, validate
from tests.console.serving import DIGITS, add_version, listening, serving


@pytest.fixture(scope="module")
def base_path(tmp_path_factory):
    base_path = tmp_path_factory.mktemp("models") / "digits"
    add_version(DIGITS / "1", base_path, 1)
    return base_path


def test_a_loopback_address_has_a_console_and_the_log_says_where(base_path):
    with serving({"digits": base_path}, labels={"digits": {"stable": 1}}) as served:
        assert f"console on {served.url}/" in served.server.describe()
        (model,) = served.get("/console/models")["models"]
        (version,) = model["versions"]
        assert (model["labels"], version["state"]) == ({"stable": 1}, "available")
        assert version["load_seconds"] > 0
        with listening(served.url) as stream:
            assert stream.readline().startswith(b'data: {"revision": ')


def test_the_console_can_be_switched_off(base_path):
    with serving({"digits": base_path}, console="false") as served:
        assert not any("console" in line for line in served.server.describe())
        with pytest.raises(urllib.error.HTTPError, match="404"):
            served.get("/console/models")


def test_looking_at_the_page_is_no_request_that_is_counted(base_path):
    with serving({"digits": base_path}) as served:
        served.get("/console/models")
        served.get("/console/signatures?model=digits&version=1")
        assert served.server.metrics.write().count(b"\nservable_requests_total{") == 0


def test_a_choice_that_there_is_not_is_refused():
    with pytest.raises(InvalidArgument, match="console must be auto, true or false; was yes"):
        validate(ServerOptions(model_base_path="/m", console="yes"))
