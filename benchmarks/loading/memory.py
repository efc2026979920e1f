"""Resident memory of a server over 200 swaps of a 50 MB model, by turns with none at all.

python benchmarks/loading/memory.py [--swaps 200]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import models
from serving import Calls, ServerProcess, describe_machine, flags

_FIRST = 10
_UNLOAD_S = 2.0
_TARGET = 1.2


def measure(root: Path, swaps: int) -> bool:
    """Print the table; whether the target is met."""
    with ServerProcess(root / "server.log", *flags(root)) as server:
        calls = Calls(server.address, root)
        rows, loaded_mb, start_mb = [], 0.0, server.resident_mb()
        for swap in range(1, swaps + 1):
            calls.serve("small", "large")
            calls.predict(calls.request("large"))
            loaded_mb = server.resident_mb()
            calls.serve("small")
            if swap in (1, _FIRST, swaps // 2, swaps):
                # The reload does not wait for the unload.
                time.sleep(_UNLOAD_S)
                rows.append((swap, loaded_mb, server.resident_mb()))
    print(f"{describe_machine()}\n")
    print("| swaps | MB with the model | MB when it has left |\n| ---: | ---: | ---: |")
    print(f"| 0 | | {start_mb:.0f} |")
    for swap, loaded, left in rows:
        print(f"| {swap} | {loaded:.0f} | {left:.0f} |")
    after_first = next(loaded for swap, loaded, _ in rows if swap == _FIRST)
    ratio = loaded_mb / after_first
    print(f"\nAt the end {ratio:.2f} times of what it was after the tenth (target: {_TARGET:g})")
    return ratio <= _TARGET


def main() -> int:
    """Measure on fresh models; 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=200)
    swaps = parser.parse_args().swaps
    with tempfile.TemporaryDirectory() as folder:
        models.export(Path(folder))
        return 0 if measure(Path(folder), max(swaps, _FIRST)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
