"""The command line: `servable serve`, `check`, `inspect`, `warmup`, `health`, `protos`, `authorize`, and others'.

Each verb reads its arguments, calls one function and prints. Imports stand in functions, so that TensorFlow and gRPC
are imported only by the verbs that need them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, MutableMapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from servable import __version__, options
from servable.calls import Action
from servable.errors import InvalidArgument, ServingError

if TYPE_CHECKING:
    from servable.config.models import ModelConfig
    from servable.inspection import Report

# What the original returns from main as -1.
EXIT_FAILURE = 255
_VERBS = ("serve", "check", "warmup", "health", "inspect", "protos", "authorize")
# The group of entry points by which other distributions add verbs.
_COMMANDS = "servable.commands"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        The exit status: 0, or 255 as the original's where a server cannot start.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["serve"]:
        # The flags follow the original's syntax, which argparse does not take.
        return serve(arguments[1:])
    if arguments[:1] == ["check"]:
        return _check(arguments[1:])
    if arguments[:1] == ["warmup"]:
        # The verb takes flags of serve too.
        return _warm_up(arguments[1:])
    command = _find_command(arguments[0]) if arguments else None
    if command is not None:
        return command(arguments[1:])
    parsed = _parser().parse_args(arguments)
    status: int = parsed.run(parsed)
    return status


def _find_command(name: str) -> Callable[[Sequence[str]], int] | None:
    """The verb of another distribution, such as the client's `replay`; None for a verb of ours, and for none."""
    if name in _VERBS:
        return None
    found = entry_points(group=_COMMANDS, name=name)
    command: Callable[[Sequence[str]], int] | None = next((each.load() for each in found), None)
    return command


def serve(arguments: Sequence[str]) -> int:
    """Serve until a signal, with the flags of tensorflow_model_server."""
    parsed = options.parse(arguments)
    # With paths, which the original has not, it may stand anywhere.
    asks_for_help = parsed.help_requested or (parsed.paths and "--help" in parsed.unknown_flags)
    if parsed.options is None or asks_for_help:
        print(*filter(None, (parsed.failure, options.usage())), sep="\n")
        return EXIT_FAILURE
    if parsed.options.version:
        from servable.inspection import survey

        tensorflow_version = survey.installed_tensorflow_version()
        print(f"TensorFlow ModelServer: {__version__}\nTensorFlow Library: {tensorflow_version}")
        return 0
    return _serve(parsed, parsed.options)


def _serve(parsed: options.Parsed, server_options: options.ServerOptions) -> int:
    import logging

    # Before grpc is imported.
    disable_event_engine_listener()
    from servable import process
    from servable.observability import log

    level = server_options.log_level.lower()
    log.configure(level if level in options.LOG_LEVELS else "info", server_options.log_format)
    # The original prints these; where every line has to be JSON they are lines of the log.
    tell = logging.getLogger(__name__).error if server_options.log_format == "json" else _print_line
    for argument in parsed.unknown_flags:
        tell(options.describe_unknown(argument))
    if parsed.paths and parsed.unknown_flags:
        # Who writes paths is no script of the original's, which goes on without the flag.
        return EXIT_FAILURE
    for notice in options.notices(parsed):
        logging.getLogger(__name__).warning(notice)
    try:
        return process.serve(server_options, _models_of_paths(parsed, server_options))
    except ServingError as error:
        tell(f"Failed to start server. Error: {error}")
        return EXIT_FAILURE


def _print_line(text: str) -> None:
    print(text, flush=True)


def disable_event_engine_listener(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let gRPC's core poll its sockets on the thread that polls a completion queue. To be called before grpc's import.

    By default the core's event engine reads a server's sockets on threads of its own, which then wake the thread that
    polls: four switches of threads for each small request. Without its listener a lone request takes half the CPU, and
    one under load a fifth less (docs/performance.md). It is a setting of the process: gRPC,
    doc/environment_variables.md. A core that no longer has this choice says so in one line of its log. What the
    operator has set for it stays.
    """
    experiments = environment.get("GRPC_EXPERIMENTS", "")
    if "event_engine_listener" not in experiments:
        environment["GRPC_EXPERIMENTS"] = ",".join(filter(None, (experiments, "-event_engine_listener")))


def _models_of_paths(parsed: options.Parsed, server_options: options.ServerOptions) -> Sequence[ModelConfig]:
    """The models that paths name. --model_name names the model of the only path, if no --model_base_path takes it."""
    from servable import model_paths

    if not parsed.paths:
        return ()
    names_path = "model_name" in parsed.explicit and not server_options.model_base_path
    return model_paths.read_arguments(parsed.paths, server_options.model_name if names_path else None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("servable", description="Serve TensorFlow SavedModels over gRPC.")
    parser.add_argument("--version", action="version", version=f"servable {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verbs.add_parser("serve", help="serve models; `servable serve --help` lists the flags", add_help=False)
    verbs.add_parser("check", help="load and call models as a server would; `servable check --help`", add_help=False)
    verbs.add_parser("warmup", help="write the requests that a model answers before it serves", add_help=False)
    _add_health(verbs.add_parser("health", help="ask a server whether it serves; exit status 0 if it does"))
    _add_inspect(verbs.add_parser("inspect", help="print what is in a SavedModel and which calls can use it"))
    _add_protos(verbs.add_parser("protos", help="write the descriptors of the server's services, for other tools"))
    _add_authorize(verbs.add_parser("authorize", help="check a file of rules, and say what they would decide"))
    for name in sorted(entry_points(group=_COMMANDS).names.difference(_VERBS)):
        verbs.add_parser(name, help=f"of another package; `servable {name} --help`", add_help=False)
    return parser


def _add_authorize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the rules, as for --authorization_file of `servable serve`")
    parser.add_argument("--action", choices=[action.value for action in Action], help="what would be done")
    parser.add_argument("--model", help="on which model; any if it is left out")
    parser.add_argument(
        "--identity", action="append", default=[], metavar="NAME", help="a name in the caller's certificate"
    )
    parser.add_argument(
        "--token_file", metavar="FILE", help="the caller's bearer token; - reads it from the standard input"
    )
    parser.set_defaults(run=_authorize)


def _authorize(arguments: argparse.Namespace) -> int:
    from servable.authorization import command

    try:
        question = command.Question(
            None if arguments.action is None else Action(arguments.action),
            arguments.model,
            arguments.identity,
            None if arguments.token_file is None else _read_token(arguments.token_file),
        )
        is_allowed, text = command.answer(arguments.file, question)
    except OSError as error:
        print(f"cannot read {arguments.token_file}: {error.strerror}", file=sys.stderr)
        return EXIT_FAILURE
    except ServingError as error:
        print(_one_line(error), file=sys.stderr)
        return EXIT_FAILURE
    print(text)
    return 0 if is_allowed else 1


def _read_token(path: str) -> str:
    """The token in a file: never an argument, which every process of the machine can read."""
    return (sys.stdin.read() if path == "-" else Path(path).read_text()).strip()


def _add_health(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", nargs="?", default="127.0.0.1:8500", help="host:port or unix:PATH")
    parser.add_argument("--service", default="", help="a service or a model; empty asks for the whole server")
    parser.add_argument("--timeout_s", type=float, default=5.0, help="how long to wait for the answer")
    parser.add_argument("--ca_file", help="PEM certificates to trust; TLS is used if any of these three is given")
    parser.add_argument("--cert_file", help="PEM certificate to show")
    parser.add_argument("--key_file", help="PEM key of that certificate")
    parser.set_defaults(run=_health)


def _health(arguments: argparse.Namespace) -> int:
    from servable.transport import probe

    tls = probe.TlsFiles(arguments.ca_file, arguments.cert_file, arguments.key_file)
    answer = probe.ask(arguments.address, arguments.service, arguments.timeout_s, tls)
    print(answer)
    return 0 if answer == probe.SERVING else 1


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directories", nargs="*", metavar="DIR", help="a version directory, or a base path with version directories"
    )
    parser.add_argument("--model_config_file", default="", help="the models of this file too, as for `servable serve`")
    parser.add_argument("--json", action="store_true", help="print JSON for programs; a list if there are several")
    parser.add_argument("--saved_model_tags", help="the meta graph to look at, as for `servable serve`")
    parser.add_argument("--custom_op_libraries", default="", help="shared objects with ops, as for `servable serve`")
    parser.add_argument("--import", dest="modules", default="", help="modules that register ops, likewise")
    parser.set_defaults(run=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    import logging

    from servable import inspection

    # What would be logged is in the report or in its error.
    logging.getLogger("servable").addHandler(logging.NullHandler())
    try:
        directories = _directories(arguments)
    except ServingError as error:
        print(_one_line(error), file=sys.stderr)
        return 1
    found = {directory: _look(directory, arguments) for directory in directories}
    reports = [each for each in found.values() if not isinstance(each, str)]
    errors = {directory: each for directory, each in found.items() if isinstance(each, str)}
    if arguments.json and (reports or len(found) > 1):
        _print_all(_as_json(reports, is_list=len(found) > 1))
    elif reports:
        summary = ["\n".join(map(inspection.summarize, reports))] if len(found) > 1 else []
        _print_all("\n\n".join([*map(inspection.to_text, reports), *summary]))
    for directory, error_text in errors.items():
        print(error_text if len(found) == 1 else f"{directory}: {error_text}", file=sys.stderr)
    return 1 if errors else 0


def _as_json(reports: Sequence[Report], *, is_list: bool) -> str:
    from servable import inspection

    written = list(map(inspection.to_json, reports))
    return f"[{', '.join(written)}]" if is_list else "".join(written)


def _directories(arguments: argparse.Namespace) -> Sequence[str]:
    """What is to be looked at. Raises a ServingError if nothing is, or if the config file is wrong."""
    from servable.config import models

    configured = models.read(arguments.model_config_file) or () if arguments.model_config_file else ()
    directories = [*arguments.directories, *(model.base_path for model in configured)]
    if not directories:
        raise InvalidArgument("There is nothing to look at: name a DIR, or --model_config_file.")
    return directories


def _look(directory: str, arguments: argparse.Namespace) -> Report | str:
    """The report on a directory, or why there is none."""
    from servable import inspection

    def find_missing_ops(names: Collection[str]) -> Collection[str]:
        from servable.execution import op_libraries

        op_libraries.load_all(arguments.custom_op_libraries, arguments.modules)
        return op_libraries.find_missing_ops(names)

    def find_ops_without_kernel(names: Collection[str]) -> Collection[str]:
        from servable.execution import op_libraries

        op_libraries.load_all(arguments.custom_op_libraries, arguments.modules)
        return op_libraries.find_ops_without_kernel(names)

    try:
        tags = arguments.saved_model_tags.split(",") if arguments.saved_model_tags else ()
        return inspection.inspect(directory, find_missing_ops, tags, find_ops_without_kernel)
    except ServingError as error:
        return _one_line(error)


def _one_line(error: ServingError) -> str:
    hints = "".join(f" ({key}: {value})" for key, value in error.hints.items())
    return f"{error}{hints}".replace("\n", " ")


def _check(arguments: Sequence[str]) -> int:
    import signal

    from servable import check_command

    # A run may be deep in TensorFlow, where Python's own handler of Ctrl-C is not called.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return check_command.main(arguments)


def _add_protos(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--descriptor_set",
        metavar="FILE",
        required=True,
        help="where to write all services and messages, those of errors included, as a FileDescriptorSet",
    )
    parser.set_defaults(run=_protos)


def _protos(arguments: argparse.Namespace) -> int:
    from servable.transport import descriptors

    described, path = descriptors.describe_all(), arguments.descriptor_set
    try:
        Path(path).write_bytes(described.SerializeToString(deterministic=True))
    except OSError as error:
        print(f"cannot write {path}: {error.strerror}", file=sys.stderr)
        return 1
    services = [f"{file.package}.{service.name}" for file in described.file for service in file.service]
    print(f"{path} describes {', '.join(services)}")
    return 0


def _warm_up(arguments: Sequence[str]) -> int:
    from servable import warmup_command

    return warmup_command.main(arguments)


def _print_all(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does. Python flushes stdout once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
