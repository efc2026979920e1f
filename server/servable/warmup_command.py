"""`servable warmup`: writes the requests that a version answers before it serves.

Reads its arguments, passes a loader and the reader of records to the package `warmup`, and prints.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from servable import model_paths, options, saved_model
from servable.errors import FailedPrecondition, ServingError
from servable.options import ServerOptions
from servable.signatures import Signature
from servable.warmup import candidates
from servable.warmup.candidates import Candidate
from servable.warmup.records import WARMUP_FILE, RequestKind
from servable.warmup.replay import LogExecutor

WRITTEN, FAILED, INCOMPLETE = 0, 1, 3

_DESCRIPTION = """\
Write the warm-up file of a model: requests that a server answers before a version becomes available, so that
no caller meets a cold model. Without recorded requests they are made up from the signatures: zeros, empty
strings, and tf.Examples with the features that the graph parses. Every request is tried on the model first;
what it refuses is reported and left out.
"""
_EPILOG = """\
Flags of `servable serve` that say how models are loaded (--saved_model_tags, ...) are taken too: give those
that the server has.
Exit status: 0 all is written, 3 something was skipped, 1 nothing is written, 2 the arguments are wrong.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit status."""
    parsed = options.parse(arguments)
    parser = make_parser()
    if parsed.options is None:
        parser.error(str(parsed.failure))
    plan = parser.parse_args(parsed.unknown)
    try:
        return _write(plan, parsed.options)
    except ServingError as error:
        hints = "".join(f" ({key}: {value})" for key, value in error.hints.items())
        print(f"{error}{hints}", file=sys.stderr)
        return FAILED


def make_parser() -> argparse.ArgumentParser:
    """The arguments that are this verb's own."""
    parser = argparse.ArgumentParser(
        "servable warmup",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("directory", help="a version directory, or a base path, of which the highest version is taken")
    parser.add_argument(
        "--logs", action="append", default=[], type=Path, metavar="FILE", help="TFRecord file of PredictionLogs"
    )
    for kind in RequestKind:
        name = kind.name.lower()
        about = f"file with one request for {name}: serialized, text proto or JSON; bodies of the REST API are none"
        parser.add_argument(
            f"--{name}", action="append", dest="requests", default=[], metavar="FILE", help=about,
            type=partial(_as_request, kind),
        )  # fmt: skip
    parser.add_argument(
        "--signature", action="append", default=[], metavar="NAME",
        help="make up requests for this signature; all signatures if nothing recorded is given either",
    )  # fmt: skip
    parser.add_argument(
        "--batch_sizes", type=_sizes, default=[1], metavar="N,N,...",
        help="make up one request for each of these numbers of rows, e.g. 1,8,32; 1 by default",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help=f"where to write; VERSION_DIRECTORY/{WARMUP_FILE} by default"
    )
    parser.add_argument("--force", action="store_true", help="overwrite a file that is there")
    return parser


def _as_request(kind: RequestKind, path: str) -> tuple[Path, RequestKind]:
    return Path(path), kind


def _sizes(text: str) -> list[int]:
    sizes = [int(size) if size.isdecimal() else 0 for size in text.split(",")]
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no list of numbers from 1 up, such as 1,8,32")
    return list(dict.fromkeys(sizes))


def _write(plan: argparse.Namespace, server_options: ServerOptions) -> int:
    directory = model_paths.locate(plan.directory).path
    output = plan.output or directory / WARMUP_FILE
    candidates.check_output(output, force=plan.force)
    # TensorFlow takes seconds to import: wrong arguments are reported before.
    from servable import process
    from servable.execution import tf_records

    loader = process.make_cold_loader(server_options)
    servable = loader(directory)
    execute = LogExecutor(servable, check_method_name=server_options.enable_signature_method_name_check)
    found = chain(
        _signature_candidates(plan, servable.signatures, directory, loader.tags),
        *(candidates.log_candidates(path, tf_records.read) for path in plan.logs),
        (candidates.request_candidate(path, kind) for path, kind in plan.requests),
    )
    with candidates.replace_file(output, tf_records.writing) as write:
        outcome = candidates.write_accepted(found, execute, write, _report)
        if not outcome.kept:
            raise FailedPrecondition(
                "The model takes none of the requests; nothing is written."
                if outcome.skipped
                else "There is no request to write: no signature, or no record."
            )
    print(f"{output}: {outcome.kept} requests written, {outcome.skipped} skipped")
    return INCOMPLETE if outcome.skipped else WRITTEN


def _signature_candidates(
    plan: argparse.Namespace, signatures: Mapping[str, Signature], directory: Path, tags: Sequence[str]
) -> Iterable[Candidate]:
    if (plan.logs or plan.requests) and not plan.signature:
        return []
    graph_def = saved_model.select_meta_graph(saved_model.read(directory), tags).graph_def
    chosen = candidates.choose_signatures(signatures, plan.signature)
    return candidates.signature_candidates(chosen, plan.batch_sizes, graph_def)


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
