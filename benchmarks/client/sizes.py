"""The installed sizes of servable-client and of tensorflow-serving-api with TensorFlow, each in a fresh environment."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CLIENT = Path(__file__).resolve().parents[2] / "client"
STOCK = ["tensorflow-serving-api", "tensorflow"]


def weigh() -> tuple[float, float]:
    """Installs both, with all they depend on.

    Returns:
        The megabytes (10^6 bytes) of ours and of the stock one, without pip itself.
    """
    return _weigh_one([str(CLIENT)]), _weigh_one(STOCK)


def _weigh_one(requirements: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=False)
        python = Path(folder, "bin", "python")
        # The pip of this environment, so that the fresh one has nothing but what is weighed.
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile"]
        subprocess.run([*pip, *requirements], check=True)
        files = [path for path in Path(folder, "lib").rglob("*") if path.is_file() and not path.is_symlink()]
        return sum(path.stat().st_size for path in files) / 1e6
