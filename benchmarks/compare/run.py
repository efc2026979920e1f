"""This server in each of its modes beside the others, in one run, visited in turn; with figures, tables and plots.

    python benchmarks/compare/run.py                                     everything, some 20 minutes
    python benchmarks/compare/run.py --models half_plus_two --rounds 1 --side none       half a minute
    python benchmarks/compare/run.py --json results.json --write         also into README.md and benchmarks/
    python benchmarks/compare/run.py --from results.json --write         the same of an earlier run

Needs h2load, and for the C++ reference its build tools; on Debian:
apt-get install nghttp2-client g++ libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc pkg-config.
Needs of pip: this checkout, tensorflow-serving-api for the naive server, and matplotlib for the plots. Linux only.
The reference is looked for in ../shared/reference, tensorflow_model_server on the PATH; a server that cannot run
here is left out, and the tables say why. What is made (models, reference) is kept in ~/.cache/servable-benchmarks.
The status is 1 if any call failed or two servers answered differently.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import exports
import machine
import report
import servers
import side_figures
from command_line import add_names
from models import MODELS
from results import Results, titles
from rounds import Comparison
from setting import Setting

_README_TABLES = (("README.md", report.small), ("benchmarks/README.md", report.whole))


def main() -> int:
    """Measure, or read figures, then print them."""
    options = parse(sys.argv[1:])
    results = Results.read(options.earlier) if options.earlier else measure(options)
    if options.json:
        results.write(options.json)
    print(report.whole(results, plots="benchmarks/"))
    if options.plots or options.write:
        draw(results, options.plots or machine.ROOT / "benchmarks")
    if options.write:
        for name, table in _README_TABLES:
            folder = "" if "/" in name else "benchmarks/"
            report.insert(machine.ROOT / name, table(results, plots=folder))
    for fault in results.faults:
        print(f"FAILURE: {fault}", file=sys.stderr)
    return 1 if results.faults else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The flags; lists are checked against what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_names(parser, "models", tuple(MODELS))
    add_names(parser, "servers", servers.NAMES, servers.DEFAULT_NAMES)
    add_names(parser, "loads", tuple(dict.fromkeys(load for model in MODELS.values() for load in model.loads)))
    add_names(parser, "side", side_figures.NAMES)
    parser.add_argument("--rounds", type=int, default=3, help="how often each server is visited (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=0.7, help="length of a visit; heavy models take longer (%(default)s)"
    )
    parser.add_argument(
        "--reference", type=Path, default=machine.ROOT.parent / "shared" / "reference", help="its sources"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures")
    parser.add_argument(
        "--from", type=Path, metavar="FILE", dest="earlier", help="measure nothing, print these figures"
    )
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw into this folder")
    parser.add_argument(
        "--write", action="store_true", help="draw, and put the tables between the marks in the READMEs"
    )
    options = parser.parse_args(arguments)
    if not options.earlier and shutil.which("h2load") is None:
        parser.error("h2load is not on the PATH; Debian has it in nghttp2-client")
    return options


def measure(options: argparse.Namespace) -> Results:
    """Every model in turn, then the side figures."""
    began_s = time.monotonic()
    where = machine.describe()
    kinds, left_out = servers.find(options.servers, options.reference)
    for name, reason in left_out.items():
        say(f"left out: {name}: {reason}")
    chosen = {name: MODELS[name] for name in MODELS if name in options.models}
    settings = {"rounds": options.rounds, "seconds": options.seconds}
    kind_titles = {kind.name: kind.title for kind in kinds}
    results = Results(where, settings, titles(chosen), kind_titles, left_out)
    folder = exports.ensure([*(model.export for model in chosen.values()), *side_figures.exports_of(options.side)])
    for model in chosen.values():
        comparison = Comparison(model, kinds, folder / model.export, say)
        loads = [load for load in model.loads if load in options.loads]
        comparison.run(loads, options.rounds, options.seconds)
        results.cells += comparison.cells
        results.peak_mb[model.name] = comparison.peak_mb
        results.faults += comparison.faults
        if options.json:
            # So that a run which is cut short leaves what it has.
            results.write(options.json)
    for name in options.side:
        say(f"side figure: {name}")
        with tempfile.TemporaryDirectory() as scratch:
            setting = Setting(folder, Path(scratch), kinds, options.rounds, options.seconds, results.faults)
            results.side[name] = side_figures.measure(name, setting)
    results.settings["minutes"] = round((time.monotonic() - began_s) / 60, 1)
    return results


def draw(results: Results, folder: Path) -> None:
    """Make the plots, where matplotlib is."""
    try:
        import plots
    except ImportError as error:
        say(f"no plots: {error}")
        return
    plots.draw(results, folder)


def say(line: str) -> None:
    """Progress; the tables alone go to stdout."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
