"""The console's files and data: what is answered, to whom, and under which rules a browser shows it."""

import re
import weakref
from pathlib import Path

import pytest

from servable import console
from servable.errors import Internal
from servable.lifecycle.version import State
from tests.console.serving import LOCAL, Served, Version, definition

STATIC = Path(console.__file__).parent / "static"


@pytest.mark.parametrize("target", ["/", "/?x=1", "/console", "/console/", "/console/index.html"])
def test_the_page_is_at_the_root(target):
    reply = Served().ask(target)
    assert (reply.status, reply.content_type) == (200, "text/html; charset=utf-8")
    assert reply.body == (STATIC / "index.html").read_bytes()


def test_all_that_the_page_loads_is_there_and_nothing_is_from_elsewhere():
    served, seen = Served(), set()
    for path in STATIC.iterdir():
        text = path.read_text()
        assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
        loaded = re.findall(r'(?:src|href)="(/[^"]*)"', text)
        loaded += [f"/console/{name}" for name in re.findall(r'from "\./([^"]*)"', text)]
        for target in loaded:
            assert served.ask(target).status == 200, target
            seen.add(target.removeprefix("/console/"))
    assert seen | {"index.html"} == {path.name for path in STATIC.iterdir()}


@pytest.mark.parametrize("target", ["/", "/console/main.js", "/console/models", "/console/none", "/console/../app.py"])
def test_each_reply_forbids_what_is_inline_from_elsewhere_or_in_a_frame(target):
    headers = dict(Served().ask(target).headers)
    policy = headers[b"Content-Security-Policy"].decode()
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers[b"X-Content-Type-Options"] == b"nosniff"


def test_the_page_has_nothing_inline():
    text = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|<script(?![^>]*src=)|\son\w+=|\sstyle=", text)


def test_names_become_text_only():
    for path in STATIC.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text())


def test_a_file_that_is_known_is_not_sent_again():
    served = Served()
    tag = dict(served.ask("/console/main.js").headers)[b"ETag"]
    reply = served.ask("/console/main.js", headers=[*LOCAL, (b"if-none-match", tag)])
    assert (reply.status, reply.body) == (304, b"")


@pytest.mark.parametrize(
    "target", ["/console/none.js", "/console/../handler.py", "/console/__init__.py", "/console/x/y"]
)
def test_what_is_no_file_of_the_page_is_not_found(target):
    assert Served().ask(target).status == 404


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_changed(verb):
    for target in ("/", "/console/models", "/console/events"):
        assert Served().ask(target, verb).status == 404


@pytest.mark.parametrize(
    "host", [b"evil.example", b"evil.example:8501", b"127.0.0.1.evil.example", b"", b"localhost.evil"]
)
def test_on_a_loopback_address_other_names_are_refused(host):
    for target in ("/", "/console/models", "/console/events"):
        assert Served().ask(target, headers=[(b"host", host)]).status == 421
    assert Served(bind_address="0.0.0.0").ask("/", headers=[(b"host", host)]).status == 200


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:8501", b"[::1]:8501", b"127.0.0.1", b"x.localhost:80"])
def test_the_names_of_this_machine_are_answered(host):
    assert Served().ask("/", headers=[(b"host", host)]).status == 200


class Load:
    seconds, resident_bytes = 1.5, 2_000_000


def test_the_models_are_told_with_versions_states_labels_loads_and_signatures():
    served = Served(load_of=lambda _version: Load, labels={"m": {"stable": 1, "canary": 2}})
    served.add("m", 1)
    served.publish("m", 2, State.LOADING)
    served.publish("broken", 1, State.END, Internal("no such file"))
    broken, m = served.models()
    assert broken == {
        "name": "broken",
        "versions": [{"version": "1", "state": "END", "error": "no such file", "labels": []}],
    }
    loading, serving = m["versions"]
    assert (loading["version"], loading["state"], loading["labels"]) == ("2", "LOADING", ["canary"])
    assert (serving["state"], serving["labels"]) == ("AVAILABLE", ["stable"])
    assert (serving["load_seconds"], serving["memory_bytes"]) == (1.5, 2_000_000)
    assert serving["signatures"] == [
        {
            "key": "serving_default",
            "method": "tensorflow/serving/predict",
            "inputs": [{"alias": "x", "dtype": "float", "shape": [-1, 8, 8]}],
            "outputs": [{"alias": "y", "dtype": "float", "shape": [-1, 8, 8]}],
        }
    ]


def test_odd_names_are_told_as_they_are():
    served = Served()
    names = ["", "<script>alert(1)</script>", "a/b", "é😀", '"']
    for name in names:
        served.add(name, 1, Version(**{"<b>": definition(inputs=(name,))}))
    models = served.models()
    assert [model["name"] for model in models] == sorted(names)
    for model in models:
        (signature,) = model["versions"][0]["signatures"]
        assert (signature["key"], signature["inputs"][0]["alias"]) == ("<b>", model["name"])


def test_a_version_is_not_kept_by_the_console():
    served = Served()
    version = Version(serving_default=definition())
    remembered = weakref.ref(version)
    served.add("m", 1, version)
    served.models()
    (handle,) = served.router.routes
    served.router.remove(handle)
    del version, handle
    assert remembered() is None
