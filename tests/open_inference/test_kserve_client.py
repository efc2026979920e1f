"""KServe's clients. Opt-in, since the package is large: SERVABLE_KSERVE_PYTHON names an interpreter that has kserve."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.open_inference.test_http_clients import http_address
from tests.serving import TIMEOUT_S

PYTHON = os.environ.get("SERVABLE_KSERVE_PYTHON", sys.executable)
SCRIPT = Path(__file__).with_name("kserve_client.py")
REPLY = ["half_plus_two", "some id", "y", "FP32", [3], [2.5, 3.0, 3.5]]


def has_kserve():
    probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec('kserve') is None)"
    return subprocess.run([PYTHON, "-c", probe], check=False).returncode == 0


@pytest.mark.skipif(not has_kserve(), reason="SERVABLE_KSERVE_PYTHON names no interpreter with kserve")
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_kserves_clients_are_answered(http_server, transport):
    command = [PYTHON, str(SCRIPT), http_server.address, http_address(http_server)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])[transport]
    assert told == {
        "live": True,
        "ready": True,
        "model": True,
        "no model": False,
        "raw": REPLY,
        "typed": REPLY,
    }
