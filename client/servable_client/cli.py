"""The command `servable-client`: asks a server, and measures it. Works with any server of TensorFlow Serving's API.

This module parses the command line, turns errors into one line and an exit status, and has the commands that ask once:
predict, metadata, status, health. Each returns the exit status. `bench` is in
`bench/command.py`, `replay` in `replay/command.py`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence

from servable_client import __version__
from servable_client._cli_connection import add_connection, add_model, count, find_misplaced, make_client
from servable_client._cli_values import array_text, array_value, as_json, fill_with_zeros, read_inputs, table
from servable_client._core import DEFAULT_SIGNATURE
from servable_client.bench import command as bench_command
from servable_client.errors import ClientError
from servable_client.replay import command as replay_command
from servable_client.replies import Health, Prediction, VersionStatus
from servable_client.signatures import ModelMetadata, Signature, TensorSpec

FAILED, USAGE, INTERRUPTED = 1, 2, 130

# No part of the docstring, which `python -OO` drops.
_DESCRIPTION = "asks a server, and measures it. Works with any server of TensorFlow Serving's API."
# A dash alone is standard input, and one before a digit a number.
_OPTION = re.compile(r"-[^\d.]")

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
    options, misplaced = _parse(arguments)
    if misplaced:
        _fail("; ".join(misplaced))
        return USAGE
    try:
        return int(options.run(options))
    except ClientError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # The reader of the pipe has closed it. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def _parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The options, and hints about words that were meant for one of them."""
    arguments = sys.argv[1:] if arguments is None else arguments
    before_command = find_misplaced(arguments[:1], lacks_model=False)
    if before_command:
        return argparse.Namespace(), [f"{hint} after the command" for hint in before_command]
    options, rest = _make_parser().parse_known_args(arguments)
    if any(map(_OPTION.match, rest)):
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if "words" in options:
        # argparse takes those before the next option only.
        options.words += rest
        rest = []
    lacks_model = "model" in options and options.model is None
    words = [*getattr(options, "inputs", [getattr(options, "service", "")]), *rest]
    misplaced = find_misplaced(words, lacks_model=lacks_model)
    if not misplaced and lacks_model:
        options.parser.error("the following arguments are required: -m/--model")
    if not misplaced and rest and "inputs" not in options:
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if "inputs" in options:
        # argparse takes those before the next option only.
        options.inputs = words
    return options, misplaced


def _fail(message: str) -> int:
    """One line, whatever a server's text has."""
    sys.stderr.write(f"servable-client: {'; '.join(filter(None, map(str.strip, message.splitlines())))}\n")
    return FAILED


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("servable-client", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"servable-client {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_predict(commands)
    _add_metadata(commands)
    _add_status(commands)
    _add_health(commands)
    _add_bench(commands)
    _add_replay(commands)
    return parser


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "predict", "run a signature on inputs", epilog=_INPUTS)
    add_connection(parser)
    add_model(parser, signature=True)
    parser.add_argument(
        "--output", action="append", default=[], metavar="NAME", help="ask for this output only; repeat"
    )
    signature_use = parser.add_mutually_exclusive_group()
    signature_use.add_argument("--no-infer", action="store_true", help="do not ask for the signature first")
    signature_use.add_argument(
        "--zeros",
        action="store_true",
        help="send zeros (or empty strings) for inputs of the signature that are not given",
    )
    parser.add_argument("--batch", type=count, metavar="N", help="the open sizes of --zeros (1)")
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="see below")
    parser.set_defaults(run=_predict)


def _add_metadata(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "metadata", "show what a model takes and gives")
    add_connection(parser)
    add_model(parser)
    parser.set_defaults(run=_metadata)


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "status", "show the versions of a model and their states")
    add_connection(parser)
    add_model(parser)
    parser.set_defaults(run=_status)


def _add_health(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "health", "ask grpc.health.v1; the status is 0 if it is SERVING and 1 if not")
    add_connection(parser)
    parser.add_argument("service", nargs="?", default="", help="a service or model; by default the server")
    parser.set_defaults(run=_health)


def _add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "bench", "measure a signature under load", epilog=_INPUTS + bench_command.NOTES)
    add_connection(parser)
    add_model(parser, signature=True)
    bench_command.add_options(parser)
    parser.set_defaults(run=bench_command.bench)


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "replay", "send the requests of a log again, and compare", epilog=replay_command.NOTES)
    replay_command.add_options(parser)
    parser.set_defaults(run=replay_command.replay)


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=what, description=what, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(parser=parser)
    return parser


def _predict(options: argparse.Namespace) -> int:
    """Run a signature."""
    if options.batch and not options.zeros:
        options.parser.error("--batch is the size of the inputs that --zeros makes: pass --zeros too")
    inputs = read_inputs(options.inputs)
    with make_client(options) as client:
        # One value without a name is the only input already.
        if options.zeros and isinstance(inputs, dict):
            name = options.signature or DEFAULT_SIGNATURE
            inputs = fill_with_zeros(inputs, client.metadata(), name, options.batch or 1)
        prediction = client.predict(inputs, outputs=options.output)
    _say(as_json(_prediction_value(prediction)) if options.json else _prediction_text(prediction))
    return 0


def _prediction_value(prediction: Prediction) -> dict[str, object]:
    return {
        "model": prediction.model,
        "version": prediction.version,
        "signature": prediction.signature,
        "outputs": {name: array_value(array) for name, array in prediction.items()},
    }


def _prediction_text(prediction: Prediction) -> str:
    rows = [
        (name, _dtype_name(array.dtype.name), str(list(array.shape)), array_text(array))
        for name, array in sorted(prediction.items())
    ]
    served = f"{prediction.model} version {prediction.version}, signature {prediction.signature}"
    return served + "\n" + table(("output", "dtype", "shape", "values"), rows)


def _dtype_name(name: str) -> str:
    return "string" if name == "object" else name


def _metadata(options: argparse.Namespace) -> int:
    """Show the signatures of a model."""
    with make_client(options) as client:
        found = client.metadata()
    _say(as_json(_metadata_value(found)) if options.json else _metadata_text(found))
    return 0


def _metadata_value(found: ModelMetadata) -> dict[str, object]:
    signatures = {
        name: {
            "method": signature.method,
            "inputs": {key: _spec_value(spec) for key, spec in signature.inputs.items()},
            "outputs": {key: _spec_value(spec) for key, spec in signature.outputs.items()},
            "optional": sorted(signature.optional),
        }
        for name, signature in found.signatures.items()
    }
    return {"model": found.model, "version": found.version, "signatures": signatures}


def _spec_value(spec: TensorSpec) -> dict[str, object]:
    return {"dtype": spec.dtype, "shape": spec.shape, "tensor": spec.tensor_name}


def _metadata_text(found: ModelMetadata) -> str:
    rows = [row for name, signature in found.signatures.items() for row in _signature_rows(name, signature)]
    return f"{found.model} version {found.version}\n" + table(("signature", "", "name", "dtype", "shape"), rows)


def _signature_rows(name: str, signature: Signature) -> list[tuple[str, ...]]:
    rows = [
        (kind, spec.name, spec.dtype, _shape_text(spec) + (" optional" if spec.name in signature.optional else ""))
        for kind, specs in (("input", signature.inputs), ("output", signature.outputs))
        for spec in specs.values()
    ]
    # The name once, beside its first row.
    return [(name if index == 0 else "", *row) for index, row in enumerate(rows or [("", "", "", "")])]


def _shape_text(spec: TensorSpec) -> str:
    if spec.shape is None:
        return "unknown"
    return "[" + ", ".join("?" if size is None else str(size) for size in spec.shape) + "]"


def _status(options: argparse.Namespace) -> int:
    """Show the versions of a model."""
    with make_client(options) as client:
        versions = client.status()
    if options.json:
        _say(as_json([_status_value(each) for each in versions]))
    else:
        rows = [(str(each.version), each.state.name, _failure(each)) for each in versions]
        _say(table(("version", "state", "error"), rows))
    return 0


def _status_value(each: VersionStatus) -> dict[str, object]:
    return {"version": each.version, "state": each.state.name, "code": each.code.name, "message": each.message}


def _failure(each: VersionStatus) -> str:
    return f"{each.code.name}: {' '.join(each.message.split())}" if each.code else ""


def _health(options: argparse.Namespace) -> int:
    """Ask for the health of the server or of a service."""
    with make_client(options) as client:
        found = client.health(options.service)
    _say(as_json({"service": options.service, "status": found.name}) if options.json else found.name)
    return 0 if found is Health.SERVING else 1


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    # Flushed inside `main`, which handles the error of a pipe without a reader.
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
