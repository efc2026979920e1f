"""What native code writes to stderr while it starts, in processes of their own."""

import subprocess
import sys

from servable.observability import native_log

CODE = """
import logging, os, sys
logging.basicConfig(level=logging.{level}, format="%(levelname)s %(message)s")
from servable.observability.native_log import captured
with captured():
    {body}
print("after", file=sys.stderr)
"""
PATIENCE_S = 60.0


def run(level, body, **environment):
    import os

    done = subprocess.run(
        [sys.executable, "-c", CODE.format(level=level, body=body)],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    return done.returncode, done.stderr.splitlines()


def write(*lines):
    return f"os.write(2, {''.join(line + chr(10) for line in lines).encode()!r})"


GREETING = "I0000 00:00:1795832404.300564    1231 port.cc:153] oneDNN custom operations are on."
NO_GPU = "E0000 00:00:1795832404.300564    1231 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error"
FAULT = "E0000 00:00:1795832404.300564    1231 gpu.cc:7] the disk is full"


def test_greetings_show_at_debug_only():
    body = write("WARNING: All log messages before absl::InitializeLog() is called are written to STDERR", GREETING)
    assert run("INFO", body) == (0, ["after"])
    assert run("DEBUG", body)[1][1:] == [f"DEBUG {GREETING}", "after"]


def test_what_is_a_fault_shows():
    assert run("INFO", write(GREETING, FAULT)) == (0, [f"ERROR {FAULT}", "after"])


def test_what_others_write_meanwhile_is_not_lost():
    assert run("INFO", "print('a warning of Python', file=sys.stderr)") == (0, ["a warning of Python", "after"])


def test_a_process_that_ends_shows_its_last_words():
    status, lines = run("INFO", write(GREETING, FAULT) + "; os.abort()")
    assert status < 0
    assert lines[:2] == [GREETING, FAULT]


def test_an_exception_passes():
    status, lines = run("INFO", write(FAULT) + "; raise SystemExit(3)")
    assert (status, lines) == (3, [f"ERROR {FAULT}"])


def test_without_a_place_for_a_file_nothing_is_kept_back(tmp_path):
    missing = str(tmp_path / "missing")
    body = "import tempfile; tempfile.tempdir = " + repr(missing)
    code = "INFO", write(GREETING)
    assert run(*code)[1] == ["after"]
    done = subprocess.run(
        [sys.executable, "-c", body + "\n" + CODE.format(level="INFO", body=write(GREETING))],
        capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines() == [GREETING, "after"]


def test_cuda_is_missed_only_where_there_is_a_gpu(tmp_path, monkeypatch):
    device = tmp_path / "nvidia0"
    monkeypatch.setattr(native_log, "_GPU_DEVICES", (str(device),))
    assert native_log._level(NO_GPU) == 10
    device.touch()
    assert native_log._level(NO_GPU) == 40
