"""A thousand tiny models in one config against one alone: start, memory, first requests, reload, idle CPU.

    python benchmarks/control_plane/many_models.py                    about three minutes
    python benchmarks/control_plane/many_models.py --models 200       fewer

Each model is a folder of its own with one version, a copy of the same. The server polls each base path every second,
as it does by default. Linux only.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from server_process import ServerProcess, describe_machine
from tiny_models import make_versions

from servable_client import Client, ModelConfig, State
from servable_client.models import make_config

_CALLS = 2000
_INPUT = {"x": np.array([1, 2, 3])}
Figures = dict[str, float]


def main() -> int:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--models", type=int, default=1000, help="how many models (%(default)s)")
    parser.add_argument("--idle-s", type=float, default=15, help="seconds without calls (%(default)s)")
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        # One more than is configured at first, for the reload that adds it.
        paths = list(_copy_models(Path(folder), options.models + 1))
        one, many = (_measure(Path(folder), paths, count, options.idle_s) for count in (1, options.models))
    _print_table(one, many, options.models)
    return 0


def _copy_models(folder: Path, count: int) -> Iterator[Path]:
    make_versions(folder / "made", "tiny", 1)
    for number in range(count):
        path = folder / f"tiny-{number:04}"
        shutil.copytree(folder / "made", path)
        yield path


def _measure(folder: Path, paths: Sequence[Path], count: int, idle_s: float) -> Figures:
    """Serve the first `count` models, then one more."""
    config = folder / "models.config"
    models = [ModelConfig(path.name, str(path)) for path in paths]
    config.write_text(_as_text(models[:count]))
    with (
        ServerProcess(folder / f"log-{count}", f"--model_config_file={config}") as server,
        Client(server.address, infer=False, retries=0) as client,
    ):
        client.wait_until_ready(timeout_s=60)
        figures = {"start to ready, s": server.start_s, "CPU from start to ready, s": server.cpu_s()}
        # The process that just started still settles.
        time.sleep(2)
        figures |= {"resident memory, MB": server.resident_mb()}
        figures |= _measure_idle(server, idle_s)
        figures |= _measure_calls(client, [model.name for model in models[:count]])
        figures |= _measure_reloads(client, models[:count], models[-1])
        figures["resident memory after that, MB"] = server.resident_mb()
    return figures


def _as_text(models: Sequence[ModelConfig]) -> str:
    configs = (f'config {{ name: "{m.name}" base_path: "{m.base_path}" model_platform: "tensorflow" }}' for m in models)
    return "model_config_list {\n" + "\n".join(configs) + "\n}\n"


def _measure_idle(server: ServerProcess, idle_s: float) -> Figures:
    cpu_s = server.cpu_s()
    time.sleep(idle_s)
    return {"CPU while idle, % of one": 100 * (server.cpu_s() - cpu_s) / idle_s}


def _measure_calls(client: Client, names: Sequence[str]) -> Figures:
    """Each model's first Predict, then many of models at random."""
    chance = random.Random(1)
    ask = partial(client.predict, _INPUT)
    # The first call of all also pays for what the process does once.
    cold_ms = [_time_ms(partial(ask, model=name)) for name in chance.sample(names, len(names))]
    warm_ms = [_time_ms(partial(ask, model=name)) for name in chance.choices(names, k=_CALLS)]
    status_ms = [_time_ms(partial(client.status, model=names[-1])) for _ in range(200)]
    return {
        "first call of a server, ms": cold_ms[0],
        "first Predict of a model, p50, ms": statistics.median(cold_ms),
        "Predict, p50, ms": statistics.median(warm_ms),
        "Predict, p99, ms": sorted(warm_ms)[int(_CALLS * 0.99)],
        "GetModelStatus, p50, ms": statistics.median(status_ms),
    }


def _measure_reloads(client: Client, models: Sequence[ModelConfig], another: ModelConfig) -> Figures:
    """A reload that adds a model and answers when that serves, one that changes nothing, and one that removes it."""
    added_ms, same_ms = [], []
    # Made here, so that what a client does for a thousand models is not timed.
    before, after = make_config(models), make_config([*models, another])
    reload_ = partial(client.reload_config, after)
    for _ in range(5):
        added_ms.append(_time_ms(reload_))
        same_ms.append(_time_ms(reload_))
        client.reload_config(before)
        while client.status(model=another.name)[0].state is not State.END:
            time.sleep(0.01)
    return {
        "reload that adds one model, ms": statistics.median(added_ms),
        "reload that changes nothing, ms": statistics.median(same_ms),
    }


def _time_ms(run: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - begun_s)


def _print_table(one: Figures, many: Figures, count: int) -> None:
    print(f"{'':<40}{'1 model':>12}{f'{count} models':>14}{'each more':>14}")
    for what, alone in one.items():
        each = (many[what] - alone) / (count - 1)
        per_model = f"{1e3 * each:>10.2f} e-3" if what.startswith(("start", "resident", "CPU", "reload")) else ""
        print(f"{what:<40}{alone:>12.2f}{many[what]:>14.2f}{per_model:>14}")


if __name__ == "__main__":
    sys.exit(main())
