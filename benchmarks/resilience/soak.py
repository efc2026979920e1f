"""Minutes of all at once: right, malformed and cancelled calls, while versions are swapped and configs reloaded."""

from __future__ import annotations

import itertools
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import grpc

from benchmarks.resilience.callers import MODEL, RIGHT, Callers, describe_losses, echo_request
from benchmarks.resilience.lab import Lab
from benchmarks.resilience.mutant_senders import MEANT, send_garbage
from benchmarks.resilience.mutants import Mutator
from benchmarks.resilience.mutations import has_traceback
from benchmarks.resilience.results import Result
from benchmarks.resilience.servers import Server
from servable_client import wire

_GROWTH: Final = 0.01
_WARM_UP: Final = 0.1
# What a short soak still takes in while it warms up.
_SHORTEST_FOR_GROWTH_S: Final = 100.0
_LOOK_PAUSE_S: Final = 0.5
_PATIENCE_S: Final = 60.0
_PREDICT: Final = "/tensorflow.serving.PredictionService/Predict"
_RELOAD: Final = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
_CHANNEL: Final = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]


def soak(lab: Lab) -> Result:
    """Everything at once for the size's time."""
    base_path = lab.place(1, 2, 3)
    config = lab.new_folder() / "models.config"
    _write(config, _config(base_path))
    flags = f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1"
    flags += "--file_system_poll_wait_seconds=1", "--max_num_load_retries=0"
    with Server(lab.new_folder() / "log", *flags) as server, ExitStack() as stack:
        callers = stack.enter_context(Callers(server, timeout_s=_PATIENCE_S))
        tasks = [
            _Task(2.0, _swap(base_path)),
            _Task(3.0, _reload(server, base_path)),
            _Task(2.5, _rewrite(config, base_path)),
            _Task(0.02, _send_mutants(server)),
            _Task(0.02, _send_cancelled(server)),
            _Task(0.2, lambda: send_garbage(server.rest_port)),
        ]
        for task in tasks:
            stack.enter_context(task)
        sizes_mb = _watch(server, lab.size.soak_s)
        is_running = server.is_running()
    outcomes, beside = callers.outcomes(), sum((task.outcomes for task in tasks), Counter[str]())
    warm_up = int(len(sizes_mb) * _WARM_UP)
    third = (len(sizes_mb) - warm_up) // 3
    first_mb, last_mb = statistics.median(sizes_mb[warm_up : warm_up + third]), statistics.median(sizes_mb[-third:])
    faults = [f"{count} {outcome}" for outcome, count in outcomes.items() if outcome != RIGHT]
    faults += [f"{count} {outcome}" for outcome, count in beside.items() if outcome.startswith("fault")]
    faults += ["the process ended"] * (not is_running) + ["a traceback in the log"] * has_traceback(server.text())
    if lab.size.soak_s >= _SHORTEST_FOR_GROWTH_S and last_mb > first_mb * (1 + _GROWTH):
        faults.append(f"memory grew from {first_mb:.1f} to {last_mb:.1f} MB")
    figures = {
        "checked answers": outcomes.total(),
        "longest gap, s": callers.longest_gap_s(),
        "RSS in the first and last third, MB": f"{first_mb:.1f}, {last_mb:.1f}",
        **{outcome: count for outcome, count in beside.most_common() if not outcome.startswith("fault")},
    }
    scenario = f"soak of {lab.size.soak_s / 60:.3g} min with swaps, reloads, malformed and cancelled calls"
    return Result(scenario, describe_losses(outcomes), None, faults, figures)


class _Task:
    """A thread that does something again and again, and counts what came of it."""

    def __init__(self, pause_s: float, do: Callable[[], str]) -> None:
        self.outcomes: Counter[str] = Counter()
        self._pause_s, self._do, self._ended = pause_s, do, threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> _Task:  # noqa: PYI034  (Self is of Python 3.11)
        self._thread.start()
        return self

    def __exit__(self, *_about: object) -> None:
        self._ended.set()
        self._thread.join(2 * _PATIENCE_S)

    def _go_on(self) -> None:
        while not self._ended.wait(self._pause_s):
            self.outcomes[self._do()] += 1


def _swap(base_path: Path) -> Callable[[], str]:
    """Versions 3 and 2 go and come back by turns, so that 3, 2, 1, 2, 3 is the latest."""
    aside = base_path.parent / "aside"
    aside.mkdir()
    turns = itertools.cycle([("3", aside), ("2", aside), ("2", base_path), ("3", base_path)])

    def swap() -> str:
        name, where = next(turns)
        os.rename((base_path if where == aside else aside) / name, where / name)
        return "swaps"

    return swap


def _reload(server: Server, base_path: Path) -> Callable[[], str]:
    """A second name for the model comes and goes."""
    channel = grpc.insecure_channel(server.address, options=_CHANNEL)
    call, turns = channel.unary_unary(_RELOAD), itertools.cycle([("other",), ()])

    def reload() -> str:
        request = wire.ReloadConfigRequest()
        for name in (MODEL, *next(turns)):
            request.config.model_config_list.config.add(
                name=name, base_path=str(base_path), model_platform="tensorflow"
            )
        code = _code_of(lambda: call(request.SerializeToString(), timeout=_PATIENCE_S))
        # The config file may take the name away before it is there: then it "did not become available".
        return "reloads" if code in {"OK", "UNKNOWN"} else f"fault: reload {code}"

    return reload


def _rewrite(config: Path, base_path: Path) -> Callable[[], str]:
    turns = itertools.cycle([("third",), ()])

    def rewrite() -> str:
        _write(config, _config(base_path, *next(turns)))
        return "config files"

    return rewrite


def _send_mutants(server: Server) -> Callable[[], str]:
    channel = grpc.insecure_channel(server.address, options=_CHANNEL)
    call, mutator = channel.unary_unary(_PREDICT), Mutator(4)
    seeds = [echo_request(number) for number in (1, 1 << 40)]

    def send() -> str:
        code = _code_of(lambda: call(mutator.message(seeds), timeout=_PATIENCE_S))
        return "malformed calls" if code in {*MEANT, "INTERNAL"} else f"fault: malformed call {code}"

    return send


def _send_cancelled(server: Server) -> Callable[[], str]:
    channel = grpc.insecure_channel(server.address, options=_CHANNEL)
    call, waits = channel.unary_unary(_PREDICT), itertools.cycle((0.0, 0.0005, 0.002))

    def send() -> str:
        begun = call.future(echo_request(7), timeout=_PATIENCE_S)
        time.sleep(next(waits))
        begun.cancel()
        code = _code_of(begun.result)
        return "cancelled calls" if code in {"OK", "CANCELLED"} else f"fault: cancelled call {code}"

    return send


def _watch(server: Server, seconds: float) -> Sequence[float]:
    ends_s, sizes_mb = time.monotonic() + seconds, []
    while time.monotonic() < ends_s and server.is_running():
        sizes_mb.append(server.resident_mb())
        time.sleep(_LOOK_PAUSE_S)
    return sizes_mb


def _code_of(call: Callable[[], Any]) -> str:
    try:
        call()
    except grpc.FutureCancelledError:
        return "CANCELLED"
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def _config(base_path: Path, *more: str) -> str:
    configs = (
        f'config {{ name: "{name}" base_path: "{base_path}" model_platform: "tensorflow" }}' for name in (MODEL, *more)
    )
    return f"model_config_list {{ {' '.join(configs)} }}"


def _write(config: Path, text: str) -> None:
    """Whole at once: it is polled."""
    unfinished = config.with_suffix(".unfinished")
    unfinished.write_text(text)
    unfinished.rename(config)
