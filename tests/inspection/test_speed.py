"""A look at an ordinary model imports nothing that takes seconds."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = ("tensorflow", "keras", "grpc")
PROGRAM = """
import sys
from servable import cli
assert cli.main(["inspect", sys.argv[1]]) == 0
print([name for name in sys.argv[2:] if name in sys.modules], file=sys.stderr)
"""


def test_inspect_imports_neither_tensorflow_nor_grpc():
    model = ROOT / "examples" / "digits" / "model"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(model), *HEAVY], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout.startswith("SavedModel, version 1: 3 signatures, no warnings\n")
