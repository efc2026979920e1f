"""Whether there is a console, and which requests it answers."""

import pytest

from servable.console import exposure


@pytest.mark.parametrize(
    ("choice", "bind_address", "is_served"),
    [
        ("auto", "127.0.0.1", True),
        ("auto", "127.8.9.1", True),
        ("auto", "localhost", True),
        ("auto", "::1", True),
        ("auto", "[::1]", True),
        ("auto", "0.0.0.0", False),
        ("auto", "::", False),
        ("auto", "10.0.0.5", False),
        ("auto", "localhost.example.com", False),
        ("true", "0.0.0.0", True),
        ("false", "127.0.0.1", False),
    ],
)
def test_a_console_is_there_on_a_loopback_address_or_where_it_is_asked_for(choice, bind_address, is_served):
    assert exposure.is_served(choice, bind_address) is is_served


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8501",
        "LOCALHOST.:1",
        "app.localhost:1",
        "127.0.0.1:8501",
        "[::1]:8501",
        "10.0.0.7",
        None,
    ],
)
def test_hosts_that_nobody_can_own_are_answered(host):
    assert exposure.is_host_answered(host and host.encode(), "127.0.0.1")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8501",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "notlocalhost",
        "[evil.example]:1",
        "localhost:evil",
        "127.0.0.1@evil.example",
        "",
        "[::1",
    ],
)
def test_a_name_that_somebody_may_have_let_point_here_is_refused(host):
    assert not exposure.is_host_answered(host.encode(), "127.0.0.1")


def test_where_other_machines_may_ask_they_may_use_any_name():
    assert exposure.is_host_answered(b"models.example:8501", "0.0.0.0")


@pytest.mark.parametrize(
    ("fetch_site", "is_other"),
    [(None, False), (b"same-origin", False), (b"none", False), (b"cross-site", True), (b"same-site", True)],
)
def test_a_browser_tells_which_page_asks(fetch_site, is_other):
    assert exposure.is_of_another_site(fetch_site) is is_other
