"""Mutated requests over every method and both protocols: no crash, no hang, no growth."""

from __future__ import annotations

import itertools
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from benchmarks.resilience.lab import Lab
from benchmarks.resilience.mutant_senders import send_grpc, send_http, send_reloads
from benchmarks.resilience.results import Result
from benchmarks.resilience.seeds import make_models, make_reload, make_seeds, write_config
from benchmarks.resilience.servers import Server

_LOOK_PAUSE_S: Final = 0.25
_GRPC_SHARE: Final = 0.6
# A mutant of a reload may take models away, so these have a server of their own. What they begin takes time.
_RELOAD_SHARE: Final = 1 / 500
_FEWEST_RELOADS: Final = 30
_GROWTH: Final = 0.01
# Below so many mutants the server is still warming up: each form of a request takes a template at first.
_FEWEST_FOR_GROWTH: Final = 15_000


def mutate(lab: Lab) -> Result:
    """Mutants over gRPC and HTTP at the same time, then mutants of reloads."""
    base_paths, seeds, count = make_models(lab.folder / "mutated"), make_seeds(), lab.size.mutants
    folder, begun_s = lab.new_folder(), time.monotonic()
    config = folder / "models.config"
    config.write_text(write_config(base_paths))
    flags = f"--model_config_file={config}", "--max_num_load_retries=0"
    grpc_count = int(count * _GRPC_SHARE)
    faults: list[str] = []
    with ProcessPoolExecutor(2, get_context("spawn")) as pool, Server(folder / "log", *flags) as server:
        sent = [
            pool.submit(send_grpc, server.address, seeds, grpc_count, 1),
            pool.submit(send_http, server.rest_port, seeds, count - grpc_count, 2),
        ]
        sizes_mb, outcomes = _watch(server, sent)
        faults += _find_faults(server, outcomes)
        seconds = time.monotonic() - begun_s
    with ProcessPoolExecutor(1, get_context("spawn")) as pool, Server(folder / "reload.log", *flags) as server:
        reloads = max(int(count * _RELOAD_SHARE), _FEWEST_RELOADS)
        found = pool.submit(send_reloads, server.address, *make_reload(base_paths), reloads, seeds.right).result()
        faults += _find_faults(server, found)
        outcomes += found
    third = max(len(sizes_mb) // 3, 1)
    first_mb, last_mb = (statistics.median(part) for part in (sizes_mb[third : 2 * third + 1], sizes_mb[-third:]))
    if count >= _FEWEST_FOR_GROWTH and last_mb > first_mb * (1 + _GROWTH):
        faults.append(f"memory grew from {first_mb:.0f} to {last_mb:.0f} MB")
    figures = {
        "mutants": count,
        "a second": count / seconds,
        "RSS in the second and last third, MB": f"{first_mb:.1f}, {last_mb:.1f}",
        **{outcome: number for outcome, number in outcomes.most_common() if not outcome.startswith("fault")},
    }
    return Result(
        "mutated requests, every method, gRPC and HTTP",
        "nothing: valid requests beside them were right",
        None,
        faults,
        figures,
    )


def _watch(server: Server, sent: Sequence[Future[Counter[str]]]) -> tuple[list[float], Counter[str]]:
    sizes_mb = [server.resident_mb()]
    while not all(each.done() for each in sent) and server.is_running():
        time.sleep(_LOOK_PAUSE_S)
        sizes_mb.append(server.resident_mb())
    return sizes_mb, sum((each.result() for each in sent), Counter[str]())


def _find_faults(server: Server, outcomes: Counter[str]) -> list[str]:
    faults = [f"{count} {outcome}" for outcome, count in outcomes.items() if outcome.startswith("fault")]
    if not server.is_running():
        faults.append("the process ended")
    # What nobody foresaw is logged with a traceback.
    return faults + ["a traceback in the log"] * has_traceback(server.text())


def has_traceback(log: str) -> bool:
    """Whether a log has a traceback, beside those that grpcio itself writes of messages that it cannot parse."""
    lines = log.splitlines()
    return any(
        line.startswith("Traceback") and "grpc._common: Exception deserializing" not in before
        for before, line in itertools.pairwise(["", *lines])
    )
