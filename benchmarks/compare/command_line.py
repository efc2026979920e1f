"""Flags that several benchmarks have: lists of names, checkouts whose server is measured, figures that are kept."""

from __future__ import annotations

import argparse
import functools
import shutil
from collections.abc import Sequence
from pathlib import Path

import machine


def add_names(
    parser: argparse.ArgumentParser, flag: str, known: Sequence[str], default: Sequence[str] | None = None
) -> None:
    """A flag that takes names, all of them unless there is a default; `none` stands for no name."""
    chosen = tuple(known if default is None else default)
    parser.add_argument(
        f"--{flag}",
        type=functools.partial(_choose, flag, tuple(known)),
        default=chosen,
        help=f"of {', '.join(known)}; with commas, or none (default: {', '.join(chosen)})",
    )


def _choose(flag: str, known: Sequence[str], text: str) -> tuple[str, ...]:
    chosen = () if text == "none" else tuple(text.split(","))
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"{flag} has no {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(name for name in known if name in chosen)


def add_checkouts(parser: argparse.ArgumentParser) -> None:
    """Whose server is measured."""
    parser.add_argument(
        "--server-path", type=Path, default=machine.ROOT, metavar="DIR", help="the checkout that is judged (this one)"
    )
    parser.add_argument("--baseline", type=Path, metavar="DIR", help="a checkout that is measured beside it")


def add_figures(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for the files of figures and tables."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures")
    parser.add_argument(
        "--from", type=Path, metavar="FILE", dest="earlier", help="measure nothing, print these figures"
    )
    parser.add_argument("--write", action="store_true", help="put the tables between the marks in benchmarks/README.md")


def check(parser: argparse.ArgumentParser, options: argparse.Namespace, *, needs_h2load: bool) -> None:
    """End with a usage error if something that is needed is not there."""
    if needs_h2load and shutil.which("h2load") is None:
        parser.error("h2load is not on the PATH; Debian has it in nghttp2-client")
    for checkout in filter(None, (options.server_path, options.baseline)):
        if not (checkout / "server" / "servable").is_dir():
            parser.error(f"{checkout} is no checkout: it has no server/servable")
