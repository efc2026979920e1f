"""Minutes at full load on a real server: no wrong reply, no error, no growth. The status is 1 if there is any.

    python benchmarks/soak.py                                      ten minutes, with --enable_batching
    python benchmarks/soak.py --batching off --minutes 1
    python benchmarks/soak.py --batching limits -- --grpc_lanes=2   with a parameters file; more flags after --

Client processes keep a number of calls in flight each, of four models (one of them slow) and many numbers of rows. One
call in 40 is cancelled, and one in 40 has a deadline that may pass. Every reply is compared with what NumPy says;
payloads differ, so that a reply that went to another caller is seen.

What growth is: from the end of the warm-up (a fifth of the time) to the end, each taken as the median of a tenth of the
time, resident memory may grow by 5 %, and threads and open files by 4 each, which is how much gRPC's own pools vary.
Once the clients have left, their connections must be closed: 4 open files more than before they came, at most.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from control_plane.server_process import ServerProcess, describe_machine
from soaking.growth import Sample, find_growth, watch
from soaking.models import make_models, write_config
from soaking.traffic import send

LIMITS = (
    "max_batch_size { value: 64 } batch_timeout_micros { value: 500 } max_enqueued_batches { value: 1000 } "
    "allowed_batch_sizes: [8, 32, 64] max_execution_batch_size { value: 32 } "
    "enable_large_batch_splitting { value: true }"
)


def main() -> int:
    """Prints the table; the status is 1 if anything failed or grew."""
    options = _parse_arguments()
    print(
        f"{describe_machine()}\nbatching {options.batching}, {options.clients} clients, {options.minutes:g} min",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(options.clients, get_context("spawn")) as pool:
        folder = Path(name)
        pool.submit(make_models, folder).result()
        flags = [
            f"--model_config_file={write_config(folder)}",
            *_batching_flags(options.batching, folder),
            *options.flags,
        ]
        with ServerProcess(folder / "log", *flags) as server:
            before = Sample.take(server)
            seconds = 60 * options.minutes
            sent = [
                pool.submit(send, server.address, number, options.in_flight, seconds)
                for number in range(options.clients)
            ]
            samples = watch(server, sent, seconds)
            outcomes = sum((each.result() for each in sent), Counter[str]())
            # A connection is closed when its end has been heard of.
            time.sleep(2)
            return _judge(outcomes, before, samples, Sample.take(server), seconds)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long (%(default)s)")
    parser.add_argument("--batching", choices=("off", "on", "limits"), default="on", help="(%(default)s)")
    parser.add_argument("--clients", type=int, default=2, help="client processes (%(default)s)")
    parser.add_argument("--in-flight", type=int, default=32, help="calls in flight of each (%(default)s)")
    parser.add_argument("flags", nargs="*", help="more flags of the server")
    return parser.parse_args()


def _batching_flags(batching: str, folder: Path) -> list[str]:
    (folder / "batching.txt").write_text(LIMITS)
    flags = ["--enable_batching", f"--batching_parameters_file={folder / 'batching.txt'}"]
    return {"off": [], "on": flags[:1], "limits": flags}[batching]


def _judge(outcomes: Counter[str], before: Sample, samples: Sequence[Sample], after: Sample, seconds: float) -> int:
    tenth = max(len(samples) // 10, 1)
    warm, end = Sample.median(samples[2 * tenth : 3 * tenth]), Sample.median(samples[-tenth:])
    print(f"{'':<14}{'memory':>10}{'threads':>9}{'files':>7}")
    for phase, sample in {"before": before, "warm": warm, "at the end": end, "clients left": after}.items():
        print(f"{phase:<14}{sample.memory_mb:>7.0f} MB{sample.threads:>9.0f}{sample.files:>7.0f}")
    calls, faults = outcomes.total(), outcomes.total() - sum(outcomes[fine] for fine in ("right", "cancelled", "late"))
    grown = find_growth(before, warm, end, after)
    print(
        f"{calls} calls, {calls / seconds:.0f}/s; memory {end.memory_mb - warm.memory_mb:+.1f} MB from warm to the end"
    )
    for outcome, count in outcomes.most_common(20):
        print(f"  {count:>9}  {outcome}")
    print(f"{faults} faults; growth: {', '.join(grown) or 'none'}")
    return int(bool(faults or grown or not outcomes["right"]))


if __name__ == "__main__":
    sys.exit(main())
