"""Rows/s of 32 callers of one row each, on models of many kinds: batching without a file and as the original does it.

    python benchmarks/batching_models/run.py                            all models, some seven minutes
    python benchmarks/batching_models/run.py --quick                    a short look at four of them
    python benchmarks/batching_models/run.py --models lstm,loop --rounds 1
    python benchmarks/batching_models/run.py --baseline ../base         another checkout's server beside this one's
    python benchmarks/batching_models/run.py --json figures.json --write      also into benchmarks/README.md

Three servers serve each model: with --enable_batching and no file, with a file of the original's defaults, and without
batching. h2load keeps one call in flight on each of 32 connections; rounds visit the servers in turn, and their replies
are compared. Needs h2load (Debian: nghttp2-client); Linux only.
The status is 1 if batching without a file gives less than 0.9 of what it gives with the defaults on any model, as the
median of the rounds' ratios, or if a call failed: one that was refused since a queue was full counts as failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.append(str(Path(__file__).resolve().parents[1] / "compare"))

import command_line
import exports
import machine
import report
from messages import predict_floats
from models import MODELS, Model
from report import digits, table
from results import Cell, Results, median, titles
from rounds import Comparison
from servers import Kind, serve_command
from timed_exports import FIXED_COSTS_MS, LOOP_WIDTH, LSTM_SHAPE

LOAD: Final = "32x1"
BOUND: Final = 0.9
AUTOMATIC, DEFAULTS, UNBATCHED = "automatic", "defaults", "unbatched"
_CPUS: Final = len(os.sched_getaffinity(0))
# What tensorflow_model_server does where a file says nothing (TensorFlow Serving: session_bundle_config.proto), written
# out so that it stays what it is.
_DEFAULTS_FILE: Final = (
    "max_batch_size { value: 1000 } batch_timeout_micros { value: 0 } max_enqueued_batches { value: 10 } "
    f"num_batch_threads {{ value: {_CPUS} }}\n"
)
_QUICK: Final = {"models": ("half_plus_two", "mlp", "lstm", "fixed_20ms"), "rounds": 1, "seconds": 0.7}


def _floats(name: str, title: str, shape: Sequence[int], run_s: float) -> Model:
    def make_request(model: str, variant: int) -> bytes:
        return predict_floats(model, shape, variant)

    return Model(name, title, name, make_request, (LOAD,), run_s=run_s)


def _models() -> dict[str, Model]:
    compared = [
        dataclasses.replace(MODELS[name], loads=(LOAD,)) for name in ("half_plus_two", "mlp", "cnn", "mobilenet_v2")
    ]
    others = [
        _floats("lstm", "LSTM, 300 steps", (1, *LSTM_SHAPE), 0.01),
        _floats("loop", "while loop, 300 steps", (1, LOOP_WIDTH), 0.002),
        _floats("batching_ops", "batching ops in the graph", (1, LOOP_WIDTH), 0.001),
        *(
            _floats(f"fixed_{cost_ms}ms", f"{cost_ms} ms whatever the rows", (1,), cost_ms / 1e3 / _CPUS)
            for cost_ms in FIXED_COSTS_MS
        ),
    ]
    return {model.name: model for model in (*compared, *others)}


BATCHED_MODELS: Final = _models()


@dataclass(frozen=True)
class Mode:
    """A way to start the server: how tables call it, and its flags, in which {file} is the file of the defaults."""

    title: str
    flags: tuple[str, ...] = ()


MODES: Final = {
    AUTOMATIC: Mode("batching, no file", ("--enable_batching",)),
    DEFAULTS: Mode("the original's defaults", ("--enable_batching", "--batching_parameters_file={file}")),
    UNBATCHED: Mode("no batching"),
}


def main() -> int:
    """Measure, or read figures, then print them."""
    options = parse(sys.argv[1:])
    results = Results.read(options.earlier) if options.earlier else measure(options)
    if options.json:
        results.write(options.json)
    text = whole(results)
    print(text)
    if options.write:
        report.insert(machine.ROOT / "benchmarks" / "README.md", text, "batching")
    return 1 if find_misses(results) or results.faults else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The flags; lists are checked against what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, known in {"models": BATCHED_MODELS, "modes": MODES}.items():
        command_line.add_names(parser, flag, tuple(known))
    parser.add_argument("--rounds", type=int, default=3, help="how often each server is visited (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="length of a visit; slow models take longer (%(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help=f"defaults are {_QUICK}")
    command_line.add_checkouts(parser)
    command_line.add_figures(parser)
    if "--quick" in arguments:
        parser.set_defaults(**_QUICK)
    options = parser.parse_args(arguments)
    command_line.check(parser, options, needs_h2load=not options.earlier)
    return options


def measure(options: argparse.Namespace) -> Results:
    """Every model in turn, each on all servers."""
    began_s = time.monotonic()
    chosen = {name: BATCHED_MODELS[name] for name in options.models}
    baseline = machine.commit(options.baseline) if options.baseline else ""
    settings = {"rounds": options.rounds, "seconds": options.seconds, "baseline": baseline}
    with tempfile.TemporaryDirectory() as folder:
        defaults = Path(folder, "defaults.txt")
        defaults.write_text(_DEFAULTS_FILE)
        kinds = list(_kinds(options, defaults))
        kind_titles = {kind.name: kind.title for kind in kinds}
        results = Results(machine.describe(options.server_path), settings, titles(chosen), kind_titles, {})
        exported = exports.ensure([model.export for model in chosen.values()])
        for model in chosen.values():
            comparison = Comparison(model, kinds, exported / model.export, say)
            comparison.run(model.loads, options.rounds, options.seconds)
            results.cells += comparison.cells
            results.faults += comparison.faults
            if options.json:
                # So that a run which is cut short leaves what it has.
                results.write(options.json)
    results.settings["minutes"] = round((time.monotonic() - began_s) / 60, 1)
    return results


def _kinds(options: argparse.Namespace, defaults: Path) -> Iterable[Kind]:
    checkouts: Mapping[str, Path | None] = {"": options.server_path, "baseline": options.baseline}
    for prefix, checkout in checkouts.items():
        for name in options.modes if checkout else ():
            mode = MODES[name]
            flags = [flag.format(file=defaults) for flag in mode.flags]
            kind_name, title = (f"{prefix}_{name}", f"baseline: {mode.title}") if prefix else (name, mode.title)
            yield Kind(kind_name, title, functools.partial(_command, checkout, flags))


def _command(checkout: Path, flags: Sequence[str], model: Model, base_path: Path, port: int) -> Sequence[str]:
    named = (f"--model_name={model.name}", f"--model_base_path={base_path}")
    return serve_command(port, *named, *flags, checkout=checkout.resolve())


def find_misses(results: Results) -> list[str]:
    """The models on which batching without a file gives too little."""
    ratios = {name: _ratio(results, name, AUTOMATIC) for name in results.models}
    return [
        f"{results.models[name]['title']}: {ratio:.2f} of what the defaults give (bound: {BOUND:g})"
        for name, ratio in ratios.items()
        if ratio is not None and ratio < BOUND
    ]


def _ratio(results: Results, model: str, server: str) -> float | None:
    cell = results.find(model, server, LOAD)
    return None if cell is None else results.ratio(cell, DEFAULTS)


def whole(results: Results) -> str:
    """The table, and what is missed."""
    settings, misses = results.settings, find_misses(results)
    baseline = f", baseline {settings['baseline']}" if settings.get("baseline") else ""
    lines = [
        f"{machine.as_line(results.machine)}{baseline}; {settings['rounds']} rounds of {settings['seconds']:g} s or "
        f"more, {settings.get('minutes', 0):g} minutes.",
        "",
        "Rows/s of 32 callers of one row each, as a share of what the original's defaults give and, in brackets, as "
        "they are; then p50 / p99 in ms.",
        "",
        *table(["", *results.servers.values()], (_row(results, name) for name in results.models)),
        "",
        f"Bound: without a file at least {BOUND:g} of what the original's defaults give. {len(misses)} are missed"
        f"{': ' + '; '.join(misses) if misses else ''}.",
    ]
    if results.faults:
        faults = (f"- {' '.join(fault.split())[:300]}" for fault in results.faults)
        lines += ["", f"**{len(results.faults)} failures**:", "", *faults]
    return "\n".join(lines)


def _row(results: Results, name: str) -> list[str]:
    cells = (results.find(name, server, LOAD) for server in results.servers)
    return [results.models[name]["title"], *("" if cell is None else _show(results, cell) for cell in cells)]


def _show(results: Results, cell: Cell) -> str:
    if not any(cell.requests_s):
        return "**failed**"
    ratio = results.ratio(cell, DEFAULTS)
    rate = f"({digits(median(cell.requests_s))})"
    share = (
        "" if ratio is None else f"**{ratio:.2f}** " if cell.server == AUTOMATIC and ratio < BOUND else f"{ratio:.2f} "
    )
    return f"{share}{rate}, {digits(cell.p50_ms)} / {digits(cell.p99_ms)}"


def say(line: str) -> None:
    """Progress; the table alone goes to stdout."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
