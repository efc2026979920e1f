"""The test models on disk, each built once per test run, in whichever worker asks first.

Knows the builders only by name (`build_<name>` is the model `<name>`) and imports them, and TensorFlow with
them, when the first model is asked for: a test that needs no model pays nothing.
"""

import fcntl
import importlib
import inspect
import os
import shutil
from pathlib import Path

MODULES = ("keras_models", "tf2_models", "tf1_models", "odd_models", "odd_heads", "broken_models")
VERSION = "1"


def shared_root(base_temp):
    """Returns a folder that all pytest workers of one run share, and no other run.

    Args:
        base_temp: `tmp_path_factory.getbasetemp()`, the run's folder, or under xdist a worker's inside it.
    """
    run = base_temp.parent if "PYTEST_XDIST_WORKER" in os.environ else base_temp
    return Path(run) / "models"


def load_builders():
    """Returns the builders by model name."""
    modules = [importlib.import_module(f"tests.models.{name}") for name in MODULES]
    return {
        name.removeprefix("build_"): function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("build_") and function.__module__ == module.__name__
    }


class ModelStore:
    """Builds test models on first use. The folders it returns are shared: copy before you change one."""

    def __init__(self, root, load=load_builders):
        self._root = Path(root)
        self._load = load
        self._builders = None

    @property
    def names(self):
        """The names of all models, sorted."""
        return sorted(self.builders)

    @property
    def builders(self):
        """The builders by model name."""
        if self._builders is None:
            self._builders = self._load()
        return self._builders

    def base_path(self, name):
        """Returns the model's base path, which holds one version, "1"."""
        base = self._root / name
        if not base.exists():
            self._root.mkdir(parents=True, exist_ok=True)
            self._build_once(name, base)
        return base

    def version_path(self, name):
        """Returns the model's version directory."""
        return self.base_path(name) / VERSION

    def _build_once(self, name, base):
        """The lock makes one worker build and the others wait; the system frees it if that worker dies."""
        builder = self._builder(name)
        with (self._root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not base.exists():
                self._build(builder, base)

    def _build(self, builder, base):
        """The rename comes last: a base path that exists is complete."""
        unfinished = base.with_name(f"{base.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        builder(unfinished / VERSION)
        unfinished.rename(base)

    def _builder(self, name):
        if name not in self.builders:
            raise LookupError(f"no test model is named {name!r}; there are {', '.join(self.names)}")
        return self.builders[name]
