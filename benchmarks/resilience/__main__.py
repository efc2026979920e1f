"""Hurts real servers in every way of the table, prints it and writes JSON. The status is 1 if anything was a fault.

    python -m benchmarks.resilience                       in about ten minutes
    python -m benchmarks.resilience --full                1,000,000 mutants, a soak of 30 minutes
    python -m benchmarks.resilience --only soak --only clock

From the repository's root, with Linux; some scenarios say that they need root, faketime or a cgroup, and what they did
without.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from benchmarks.control_plane.server_process import describe_machine
from benchmarks.resilience.lab import FULL, QUICK, Lab
from benchmarks.resilience.results import Result, write_json, write_table

_PACKAGE: Final = "benchmarks.resilience"
SCENARIOS: Final[Mapping[str, tuple[str, str]]] = {
    "kill": ("signals", "kill"),
    "terminate": ("signals", "terminate"),
    "stop": ("signals", "stop_and_go_on"),
    "full-disk": ("disks", "fill"),
    "vanished-models": ("disks", "take_models_away"),
    "read-only-models": ("disks", "make_read_only"),
    "clock": ("clocks", "jump"),
    "files": ("exhaustion", "take_all_files"),
    "memory": ("exhaustion", "take_all_memory"),
    "memory-cgroup": ("exhaustion", "take_all_memory_of_a_cgroup"),
    "names": ("names", "answer_late"),
    "connections": ("connections", "connect_many"),
    "connections-tls": ("connections", "connect_many_over_tls"),
    "mutations": ("mutations", "mutate"),
    "soak": ("soak", "soak"),
}


def main() -> int:
    """Run the scenarios that were asked for, one after another."""
    options = _parse_arguments()
    machine = describe_machine()
    print(machine, flush=True)
    # Models are made in this process, and TensorFlow is talkative.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    results = []
    with tempfile.TemporaryDirectory(prefix="resilience-") as folder:
        lab = Lab(Path(folder), FULL if options.full else QUICK)
        for name in options.only or SCENARIOS:
            print(f"{name} ...", file=sys.stderr, flush=True)
            results.append(_find(name)(lab))
            print(write_table(results[-1:]).splitlines()[-1], flush=True)
    print(f"\n{write_table(results)}")
    if options.json:
        write_json(options.json, machine, results)
    return int(any(result.faults for result in results))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="20,000 mutants, a soak of two minutes (default)")
    parser.add_argument("--full", action="store_true", help="1,000,000 mutants, a soak of 30 minutes")
    parser.add_argument("--only", action="append", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--json", type=Path, default=Path("resilience.json"), help="where to write JSON (%(default)s)")
    return parser.parse_args()


def _find(name: str) -> Callable[[Lab], Result]:
    """The scenario of a name; its module is imported only now, since some need TensorFlow."""
    module, function = SCENARIOS[name]
    scenario: Callable[[Lab], Result] = getattr(import_module(f"{_PACKAGE}.{module}"), function)
    return scenario


if __name__ == "__main__":
    sys.exit(main())
