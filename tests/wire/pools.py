"""The two sides of the comparison: our files, and those that the stock wheels ship."""

import contextlib
import importlib
import pkgutil
from importlib.metadata import version
from pathlib import Path

import tensorflow as tf
import tensorflow_serving.apis
import tensorflow_serving.config
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from servable import wire

FOLDER = Path(wire.__file__).parent
# The Open Inference Protocol is no part of TensorFlow Serving (test_open_inference compares it), nor is what is ours.
OURS = [
    wire.POOL.FindFileByName(file.name)
    for file in FileDescriptorSet.FromString((FOLDER / "wire.binpb").read_bytes()).file
    if file.package not in {"inference", "servable"}
]

SHIPPED = descriptor_pool.Default()
# The older of the two wheels: nothing says that they are of one release.
SHIPPED_VERSION = min(
    tuple(int(part) for part in text.split(".")[:2]) for text in (version("tensorflow-serving-api"), tf.__version__)
)


def _load_tensorflow():
    # Each stands for all that it imports.
    for name in ("core.example.example", "core.protobuf.saved_model"):
        importlib.import_module(f"tensorflow.{name}_pb2")
    for name in ("profiler_options", "xplane"):
        importlib.import_module(f"tensorflow.tsl.profiler.protobuf.{name}_pb2")


def _load_serving():
    """Import every generated module of the wheel, and return the files that they are made from."""
    files = []
    for package in (tensorflow_serving.apis, tensorflow_serving.config):
        names = [module.name for module in pkgutil.iter_modules(package.__path__)]
        for name in (name for name in names if name.endswith("_pb2")):
            # Up to 2.16 the modules that define services fail here, after their descriptors are in the pool.
            with contextlib.suppress(AttributeError):
                files.append(importlib.import_module(f"{package.__name__}.{name}").DESCRIPTOR)
    return files


_load_tensorflow()
SERVING_FILES = _load_serving()


def is_shipped(name):
    """Tell whether a wheel defines a message, enum or service of this full name."""
    try:
        return SHIPPED.FindFileContainingSymbol(name) is not None
    except KeyError:
        return False
