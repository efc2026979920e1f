"""The latency of one model's calls (the victim) beside noisy neighbours that load the server as badly as they can.

    python benchmarks/interference/run.py                                everything, less than 15 minutes
    python benchmarks/interference/run.py --quick                        less than 2 minutes, without the reference
    python benchmarks/interference/run.py --victims light --neighbours huge,malformed --modes lanes,public
    python benchmarks/interference/run.py --baseline ../base             another checkout's server beside this one's
    python benchmarks/interference/run.py --json figures.json --write    also into benchmarks/README.md
    python benchmarks/interference/run.py --from figures.json --write    the same of an earlier run

A server in each mode has all models loaded; for the C++ reference, a process for each model. While a neighbour loads
the server from a process of its own, the victims are called one after the other from another process, in an open loop;
each call is timed from when it was due. Rounds visit all servers in turn. Needs h2load for the neighbour `callers`, and
for the C++ reference its build tools, as benchmarks/compare/run.py does; Linux only.
The status is 1 if a bound is missed or a call failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "compare"))

import command_line
import exports
import machine
import reference
import report
import tables
import visits
from arrangements import MODES, Arrangement, Start
from figures import Figures
from neighbours import NEIGHBOURS
from servers import REFERENCE
from victims import VICTIMS

_QUICK = {"victims": ("light",), "rounds": 1, "seconds": 0.6}


def main() -> int:
    """Measure, or read figures, then print them."""
    options = parse(sys.argv[1:])
    figures = Figures.read(options.earlier) if options.earlier else measure(options)
    if options.json:
        figures.write(options.json)
    text = tables.whole(figures)
    print(text)
    if options.write:
        report.insert(machine.ROOT / "benchmarks" / "README.md", text, "interference")
    return 1 if figures.find_misses(REFERENCE) or figures.faults else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The flags; lists are checked against what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, known in {"victims": VICTIMS, "neighbours": NEIGHBOURS, "modes": MODES}.items():
        command_line.add_names(parser, flag, tuple(known))
    parser.add_argument("--rounds", type=int, default=3, help="how often each server is visited (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a victim is called (%(default)s)")
    parser.add_argument("--quick", action="store_true", help=f"defaults are {_QUICK}, without the reference")
    parser.add_argument(
        "--reference", type=Path, default=machine.ROOT.parent / "shared" / "reference", help="its sources"
    )
    command_line.add_checkouts(parser)
    command_line.add_figures(parser)
    if "--quick" in arguments:
        parser.set_defaults(**_QUICK)
    options = parser.parse_args(arguments)
    command_line.check(parser, options, needs_h2load="callers" in options.neighbours and not options.earlier)
    return options


def measure(options: argparse.Namespace) -> Figures:
    """All servers up, all visits, all servers down."""
    began_s = time.monotonic()
    where, left_out = machine.describe(options.server_path), {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        start = Start(stack, Path(folder), _models(options))
        for mode in options.modes:
            start.ours(mode, options.server_path.resolve(), is_baseline=False)
            if options.baseline:
                start.ours(mode, options.baseline.resolve(), is_baseline=True)
        if options.quick:
            left_out[REFERENCE] = "--quick"
        else:
            try:
                start.reference(reference.build(options.reference))
            except reference.LeftOut as reason:
                left_out[REFERENCE] = str(reason)
        start.wait_until_ready()
        figures = Figures(
            where,
            _settings(options),
            {each.name: _describe(each, options.modes) for each in start.arrangements},
            [name for name in options.modes if MODES[name].base],
            left_out,
        )
        measurement = visits.Measurement(stack, figures, options.seconds, say)
        names = {"victims": options.victims, "neighbours": options.neighbours}
        visits.run(measurement, start.arrangements, names, options.rounds)
    figures.settings["minutes"] = round((time.monotonic() - began_s) / 60, 1)
    return figures


def _models(options: argparse.Namespace) -> dict[str, Path]:
    """The base path of each model that is served."""
    served = {VICTIMS[name].model.name: VICTIMS[name].model.export for name in options.victims}
    for name in options.neighbours:
        served.update(NEIGHBOURS[name].models)
    folder = exports.ensure(list(served.values()))
    return {name: folder / export for name, export in served.items()}


def _settings(options: argparse.Namespace) -> dict[str, object]:
    baseline = machine.commit(options.baseline) if options.baseline else ""
    return {"rounds": options.rounds, "seconds": options.seconds, "baseline": baseline}


def _describe(each: Arrangement, modes: Sequence[str]) -> dict[str, str]:
    base = MODES[each.mode].base if each.mode and not each.is_baseline else ""
    return {"title": each.title, "base": base if base in modes else ""}


def say(line: str) -> None:
    """Progress; the tables alone go to stdout."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
