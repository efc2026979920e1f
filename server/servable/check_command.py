"""`servable check`: would these models serve? Each is loaded and called as the server would do it, before that does.

Reads its arguments, has `checking` look at each version, and prints a table.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import markup
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from servable import model_paths, options, saved_model, sources, wire
from servable.checking import MANY_ROWS, Checker, Finding, Reference, Verdict
from servable.config import batching, models
from servable.config.models import ModelConfig
from servable.errors import InvalidArgument, ServingError, Unimplemented
from servable.inspection import as_text
from servable.options import ServerOptions
from servable.warmup import generation

SERVES, FAILS, WRONG = 0, 1, 2
_WIDE = 200

_DESCRIPTION = """\
Check models before a server serves them: each version is loaded as `servable serve` would load it, each signature is
called with a made-up request the server's own way and through TensorFlow alone, and the answers are compared and timed.
"""
_EPILOG = """\
Flags of `servable serve` (--model_config_file, --enable_batching, --saved_model_tags, ...) are taken too: give those
that the server will have. Exit status: 0 all serves, 1 something would fail, 2 the arguments are wrong.
"""
_STYLES = {Verdict.SERVES: "green", Verdict.FAILS: "bold red", Verdict.UNTRIED: "yellow"}


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit status."""
    parsed = options.parse(arguments)
    parser = argparse.ArgumentParser(
        "servable check",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="as for `servable serve`: PATH or NAME=PATH")
    if parsed.options is None:
        parser.error(str(parsed.failure))
    for unknown in (argument for argument in parsed.unknown_flags if argument not in {"-h", "--help"}):
        parser.error(options.describe_unknown(unknown))
    plan = parser.parse_args(parsed.unknown)
    # What the log would say is in the table, or in an error.
    logging.getLogger("servable").addHandler(logging.NullHandler())
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    checked: list[Finding] = []
    try:
        # It keeps what was found before an error.
        checked.extend(_check(plan.paths, parsed.options))
    except ServingError as error:
        Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        return WRONG
    finally:
        if checked:
            _print(checked)
    return FAILS if any(finding.verdict is Verdict.FAILS for finding in checked) else SERVES


@dataclass(frozen=True, slots=True)
class _Found:
    """One version that a server would serve, or why a model has none."""

    model: str
    version: int | None
    path: Path | None
    problem: str = ""


def _check(paths: Sequence[str], server_options: ServerOptions) -> Iterator[Finding]:
    configs = _configs(paths, server_options)
    config = batching.from_flags(server_options)
    found = [version for model in configs for version in _versions(model)]
    # TensorFlow takes seconds to import: a wrong argument is reported before.
    with _progress() as progress:
        task = progress.add_task("starting TensorFlow", total=len(found))
        checker = _make_checker(server_options, config)
        for version in found:
            progress.update(task, description=f"{version.model} {version.version or ''}")
            if version.path is None or version.version is None:
                yield Finding(version.model, version.version, Verdict.FAILS, version.problem)
            else:
                yield from checker.check(version.model, version.version, version.path)
            progress.advance(task)


def _configs(paths: Sequence[str], server_options: ServerOptions) -> Sequence[ModelConfig]:
    if server_options.model_config_file:
        configured = models.read(server_options.model_config_file) or ()
    elif server_options.model_base_path:
        configured = models.from_flags(server_options.model_name, server_options.model_base_path)
    else:
        configured = ()
    configs = (*configured, *model_paths.read_arguments(paths))
    model_paths.check_names(configs)
    if not configs:
        raise InvalidArgument("There is nothing to check: name a PATH, or --model_config_file.")
    return configs


def _versions(model: ModelConfig) -> Iterator[_Found]:
    list_versions = sources.list_version_directory if model.is_version_directory else sources.list_versions
    try:
        listed = list_versions(model.name, model.base_path).versions
    except ServingError as error:
        yield _Found(model.name, None, None, str(error))
        return
    selected = sources.select_versions(listed, model.version_policy)
    for missing in sources.warn_of_missing_versions(model.name, selected, model.version_policy):
        yield _Found(model.name, None, None, missing)
    if not selected:
        yield _Found(model.name, None, None, f"no versions found under base path {model.base_path}")
    for version in selected:
        yield _Found(model.name, version.number, version.path)


def _make_checker(server_options: ServerOptions, config: batching.BatchingConfig | None) -> Checker:
    from servable import process

    load = process.make_loader(server_options, config)
    tags = process.served_tags(server_options)

    def is_tflite(directory: Path) -> bool:
        return server_options.prefer_tflite_model and (directory / saved_model.TFLITE_NAME).exists()

    def load_reference(directory: Path) -> Reference:
        if is_tflite(directory):
            raise Unimplemented("it serves SavedModels, and this is a TensorFlow Lite model")
        from servable.execution import plain_model

        return plain_model.load(directory, tags)

    def read_examples(directory: Path) -> list[wire.Example]:
        if is_tflite(directory):
            return []
        graph_def = saved_model.select_meta_graph(saved_model.read(directory), tags).graph_def
        return [generation.make_example(spec) for spec in generation.find_example_specs(graph_def)]

    return Checker(server_options, config, load, load_reference, read_examples)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _print(findings: Sequence[Finding]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("model", "version", "signature", "call", "", "1 row", f"{MANY_ROWS} rows"):
        is_name, is_time = title in {"model", "signature"}, title.endswith(("row", "rows"))
        table.add_column(title, overflow="fold", no_wrap=not is_name, justify="right" if is_time else "left")
    for finding in findings:
        style = _STYLES[finding.verdict]
        table.add_row(
            *map(_plain, (finding.model, str(finding.version or "-"), finding.signature, finding.method)),
            f"[{style}]{finding.verdict.value}[/]",
            *map(_milliseconds, (finding.one_row_s, finding.many_rows_s)),
        )
    console = Console()
    if not console.is_terminal:
        # Names that are broken are of no use where somebody searches the output.
        console.width = _WIDE
    console.print(table)
    for text, names in _notes(findings).items():
        console.print(f"{_plain(', '.join(names))}: {_plain(text)}", highlight=False, soft_wrap=True)
    counts = Counter(finding.verdict for finding in findings)
    told = [f"{counts[Verdict.SERVES]} would serve", f"{counts[Verdict.FAILS]} would fail"]
    told += [f"{counts[Verdict.UNTRIED]} could not be tried"] if counts[Verdict.UNTRIED] else []
    console.print(", ".join(told) + ".", highlight=False)


def _notes(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """What there is to say, with the signatures that it is said of."""
    notes: dict[str, list[str]] = {}
    for finding in findings:
        name = "/".join(filter(None, (finding.model, str(finding.version or ""), finding.signature)))
        notes.setdefault(finding.text, []).append(name)
    return notes


def _plain(text: str) -> str:
    """A text that is shown as it is, whatever a model's names hold."""
    return markup.escape(as_text.escape(text))


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.2f} ms"
