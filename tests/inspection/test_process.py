"""The command as a process: it imports nothing that takes seconds, and ends well though its output is not read."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "examples" / "digits" / "model"
HEAVY = ("tensorflow", "keras", "grpc")
PROGRAM = """
import sys
from servable import cli
assert cli.main(["inspect", sys.argv[1]]) == 0
print([name for name in sys.argv[2:] if name in sys.modules], file=sys.stderr)
"""


def test_inspect_imports_neither_tensorflow_nor_grpc():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(MODEL), *HEAVY], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout.startswith("SavedModel, version 1: 3 signatures, no warnings\n")


def test_a_reader_that_has_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "servable", "inspect", str(MODEL)],
            stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
