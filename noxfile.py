"""Runs both test suites at the ends of the supported ranges of Python, TensorFlow, grpcio and protobuf.

Examples:
    nox
    nox -s lowest -- -x tests/codec
    nox -s client_lowest client_mixed client_newest
"""

from __future__ import annotations

from collections.abc import Sequence

import nox

nox.needs_version = ">=2025.2.9"
nox.options.reuse_venv = "yes"

NEWEST = ("--upgrade", "--upgrade-strategy", "eager")


@nox.session(python="3.10")
def lowest(session: nox.Session) -> None:
    """Both packages with the lowest versions that pyproject.toml allows, from requirements/lowest.txt."""
    run_main_suite(session, ["--constraint", "requirements/lowest.txt"])


@nox.session(python="3.13")
def newest(session: nox.Session) -> None:
    """Both packages with the newest versions that pyproject.toml allows."""
    run_main_suite(session, NEWEST)


@nox.session(python="3.10")
def client_lowest(session: nox.Session) -> None:
    """The client with the lowest versions that its pyproject.toml allows."""
    run_client_suite(session, ["grpcio==1.66.0", "protobuf==4.25.3", "numpy==1.26.0", "ml-dtypes==0.3.1"])


@nox.session(python="3.13")
def client_mixed(session: nox.Session) -> None:
    """The client with an old protobuf on the newest Python, which would break generated code."""
    run_client_suite(session, ["protobuf==4.25.9"])


@nox.session(python="3.13")
def client_newest(session: nox.Session) -> None:
    """The client with the newest versions that its pyproject.toml allows."""
    run_client_suite(session, NEWEST)


def run_main_suite(session: nox.Session, versions: Sequence[str]) -> None:
    """Runs the main suite in an environment that pip installs by the arguments `versions`."""
    session.install("-r", "requirements/build.in")  # tests build the wheels
    session.install(*versions, "-e", ".[test]", "-e", "client")
    session.run("python", "-m", "pip", "freeze")
    session.run("python", "-m", "pytest", "-n", "2", *session.posargs)


def run_client_suite(session: nox.Session, versions: Sequence[str]) -> None:
    """Runs the client's suite in an environment that pip installs by `versions`, without TensorFlow."""
    session.chdir("client")
    session.install(*versions, "-e", ".[test]")
    session.run("python", "-c", "import importlib.util as u; assert u.find_spec('tensorflow') is None")
    session.run("python", "-m", "pip", "freeze")
    session.run("python", "-m", "pytest", "-q", *session.posargs)
