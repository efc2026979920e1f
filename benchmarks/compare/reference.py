"""Builds the C++ reference, if its sources and its build tools are there, and says why not otherwise."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from exports import cache_folder

from servable import saved_model

# Debian's packages: g++ libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc pkg-config.
_TOOLS = ("g++", "protoc", "grpc_cpp_plugin", "pkg-config")
_BINARY = "reference_server"


class LeftOut(Exception):
    """Why a server is not compared, in one line."""


def build(sources: Path) -> Path:
    """The built server, from the cache where it was built before.

    Raises:
        LeftOut: if it cannot be built here.
    """
    script = sources / "build.sh"
    if not script.is_file():
        raise LeftOut(f"{sources} is not there")
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise LeftOut(f"not on the PATH: {', '.join(missing)}")
    folder = cache_folder() / f"reference-{_fingerprint(sources)}"
    if not (folder / _BINARY).is_file():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        command = ["bash", str(script), sys.executable, str(unfinished)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise LeftOut(f"build.sh ended with {done.returncode}: {done.stdout.strip().rpartition(chr(10))[2]}")
        unfinished.rename(folder)
    return folder / _BINARY


def command(binary: Path, version_directory: Path, port: int) -> list[str]:
    """Its command line for a model of one input and one output."""
    feed, fetch = find_tensors(version_directory)
    spec = importlib.util.find_spec("tensorflow")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return [str(binary), str(port), str(version_directory), feed, fetch, "x", "y", spec.submodule_search_locations[0]]


def find_tensors(version_directory: Path) -> tuple[str, str]:
    """The tensors behind `x` and `y` of serving_default."""
    meta_graph = saved_model.select_meta_graph(saved_model.read(version_directory), ["serve"])
    signature = saved_model.signatures(meta_graph)["serving_default"]
    return signature.inputs["x"].name, signature.outputs["y"].name


def _fingerprint(sources: Path) -> str:
    digest = hashlib.sha256(metadata.version("tensorflow").encode())
    for path in sorted(sources.iterdir()):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
