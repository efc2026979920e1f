"""The command `servable-client`: asks a server, and measures it. Works with any server of TensorFlow Serving's API.

This module parses words and turns errors into one line and a status; what commands do is in `_cli_*`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from servable_client import __version__, _cli_bench, _cli_commands
from servable_client._cli_connection import add_connection, add_model
from servable_client.errors import ClientError

FAILED, USAGE, INTERRUPTED = 1, 2, 130

_INPUTS = """\
inputs:
  x=[1,2]            JSON; numbers become the dtype that the signature asks for, {"b64": "..."} is bytes
  x=@values.npy      an array; also x=@values.json and x=@- for JSON from standard input
  @inputs.npz        all inputs by name; also @inputs.json and - for a JSON object from standard input
  [1,2]              the only input of the signature, which then needs no name
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The words after the command's name; by default those of the process.

    Returns:
        The exit status: 0, 1 for a failure (one line on stderr), 2 for a mistake in the words, 130 for Ctrl-C.
    """
    options = _make_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ClientError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # Whoever read us has enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def _fail(message: str) -> int:
    """One line, whatever a server's text has."""
    sys.stderr.write(f"servable-client: {'; '.join(filter(None, map(str.strip, message.splitlines())))}\n")
    return FAILED


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("servable-client", description=(__doc__ or "").split("\n", 1)[0].split(": ", 1)[1])
    parser.add_argument("--version", action="version", version=f"servable-client {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_predict(commands)
    _add_metadata(commands)
    _add_status(commands)
    _add_health(commands)
    _add_bench(commands)
    return parser


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "predict", "run a signature on inputs", epilog=_INPUTS)
    add_connection(parser)
    add_model(parser, signature=True)
    parser.add_argument(
        "--output", action="append", default=[], metavar="NAME", help="ask for this output only; repeat"
    )
    parser.add_argument("--no-infer", action="store_true", help="do not ask for the signature first")
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="see below")
    parser.set_defaults(run=_cli_commands.predict)


def _add_metadata(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "metadata", "show what a model takes and gives")
    add_connection(parser)
    add_model(parser)
    parser.set_defaults(run=_cli_commands.metadata)


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "status", "show the versions of a model and their states")
    add_connection(parser)
    add_model(parser)
    parser.set_defaults(run=_cli_commands.status)


def _add_health(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "health", "ask grpc.health.v1; the status is 0 if it is SERVING and 1 if not")
    add_connection(parser)
    parser.add_argument("service", nargs="?", default="", help="a service or model; by default the server")
    parser.set_defaults(run=_cli_commands.health)


def _add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "bench", "measure a signature under load", epilog=_INPUTS + _cli_bench.NOTES)
    add_connection(parser)
    add_model(parser, signature=True)
    _cli_bench.add_options(parser)
    parser.set_defaults(run=_cli_bench.bench)


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=what, description=what, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )


if __name__ == "__main__":
    sys.exit(main())
