"""The examples of docs/rest.md: each command is run as it stands, and gives what the page says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from servable.http_plane import HttpPlane
from servable.rest.openapi import OpenApi
from tests.rest import served
from tests.transport.http.serving import serving

PAGE = (Path(__file__).parents[2] / "docs" / "rest.md").read_text()
EXAMPLES = re.findall(r"```sh\n(curl .*?)\n```\n\n```\w+\n(.*?)\n```", PAGE, re.DOTALL)
TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def port(models):
    handles = served.load([("half_plus_two", 123, models.version_path("half_plus_two"))])
    running = served.serve(handles, {"half_plus_two": {"stable": 123}})
    plane = HttpPlane(
        is_ready=lambda: True,
        is_model_ready=lambda _name: None,
        rest=running.api.handle,
        open_api=OpenApi(running.router).handle,
    )
    with serving(plane.handle) as port:
        yield port
    running.stop()


def test_the_page_has_examples():
    assert len(EXAMPLES) == PAGE.count("\ncurl ") == 8


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(("command", "wanted"), EXAMPLES)
def test_an_example_gives_what_the_page_says(port, command, wanted):
    here = command.replace("localhost:8501", f"127.0.0.1:{port}").replace("curl ", "curl -sS --noproxy '*' ", 1)
    ran = subprocess.run(here, shell=True, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    assert ran.stdout.strip("\n") == wanted
