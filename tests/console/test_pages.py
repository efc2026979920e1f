"""The files of the page: each is reached, none is inline, and a browser may trust nothing else."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import servable.console
from servable.console.pages import START, Pages
from servable.http_exchange import HttpRequest

STATIC = Path(servable.console.__file__).parent / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
MOST_BYTES = 80_000


def ask(name, **headers):
    sent = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    return Pages().answer(name, HttpRequest("GET", f"/console/{name}", headers=sent))


def headers_of(reply):
    return {name.decode(): value.decode() for name, value in reply.headers}


def test_scripts_styles_and_images_come_from_the_server_alone_and_nobody_frames_the_page():
    policy = headers_of(ask(START))["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("frame-ancestors") == "'none'"
    assert {name: rules[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == dict.fromkeys(
        ("script-src", "style-src", "img-src", "connect-src"), "'self'"
    )
    assert "unsafe" not in policy


def test_the_browser_itself_refuses_to_parse_text_as_html():
    policy = headers_of(ask(START))["content-security-policy"]
    assert "require-trusted-types-for 'script'" in policy
    assert "trusted-types 'none'" in policy


def test_types_are_not_guessed():
    reply = ask("main.js")
    assert reply.content_type == "text/javascript; charset=utf-8"
    assert headers_of(reply)["x-content-type-options"] == "nosniff"


def test_a_file_is_sent_once_and_then_only_if_it_has_changed():
    tag = headers_of(ask("main.js"))["etag"]
    for known in (tag, f'"another", {tag}', f"W/{tag}"):
        again = ask("main.js", if_none_match=known)
        assert (again.status, again.body) == (304, b"")
        assert headers_of(again)["etag"] == tag
    assert ask("main.js", if_none_match='"another"').status == 200


@pytest.mark.parametrize("name", ["", "..", "../handler.py", "__init__.py", "main.js/", "static", "%2e%2e/handler.py"])
def test_what_is_no_file_of_the_page_is_none(name):
    assert ask(name) is None


def test_all_files_are_reached_from_the_first():
    reached, found = set(), {START}
    while found - reached:
        name = min(found - reached)
        reached.add(name)
        text = (STATIC / name).read_text()
        found |= set(re.findall(r'(?:from "\./|"console/)(\w+\.\w+)"', text))
    assert reached == {path.name for path in STATIC.iterdir()}


def test_the_page_is_small():
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < MOST_BYTES


def test_the_first_file_has_no_script_style_or_handler_of_its_own():
    text = (STATIC / START).read_text()
    assert not re.findall(r"<script[^>]*>[^<]|<style|\sstyle=|\son\w+=", text)
    assert not re.findall(r"https?://", text)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_elements_of_text(script):
    assert not re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|https?://(?!www\.w3\.org/2000/svg)",
        script.read_text(),
    )


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_parses(script):
    command = ["node", "--input-type=module", "--check", "-"]
    done = subprocess.run(command, input=script.read_text(), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
