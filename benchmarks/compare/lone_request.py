"""What --enable_batching costs a request that comes alone: two servers, one stream, many short visits by turns."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from typing import Any

import closed_loop
import fixed_rate
import numpy as np
from closed_loop import Call
from messages import PREDICT
from models import MODELS
from process import ServerProcess, start_all
from servers import serve_command
from setting import Setting

_TIMEOUT_S = 60.0
_TARGET = 1.05
_TURNS_A_ROUND = 6
_SHARE = 0.5


def measure(setting: Setting) -> dict[str, Any]:
    """The median of paired ratios of the p50, and of the CPU."""
    model = MODELS["half_plus_two"]
    flags = setting.flags(model)
    body = setting.folder / "request"
    body.write_bytes(closed_loop.frame(model.request))
    with ExitStack() as stack:
        plain = ServerProcess("servable", lambda port: serve_command(port, *flags), setting.folder)
        batching = ServerProcess(
            "batching", lambda port: serve_command(port, *flags, "--enable_batching"), setting.folder
        )
        start_all(stack, [plain, batching])
        call = Call(PREDICT, body, max(_reply_bytes(server, model.request) for server in (plain, batching)))
        times, cpus, p50s_ms = [], [], []
        for turn in range(_TURNS_A_ROUND * setting.rounds):
            order = (plain, batching) if turn % 2 else (batching, plain)
            seen = {server.name: closed_loop.visit(server, call, "1x1", _SHARE * setting.seconds) for server in order}
            failed = [f"side figure lone, {name}: {visit.fault}" for name, visit in seen.items() if visit.fault]
            if failed:
                setting.faults.extend(failed)
                continue
            without, beside = (float(np.median(seen[name].latencies_ms)) for name in ("servable", "batching"))
            times.append(beside / without)
            cpus.append(seen["batching"].cpu_us / seen["servable"].cpu_us)
            p50s_ms.append(without)
    if not times:
        raise RuntimeError("no turn went well")
    quartiles = [float(value) for value in np.percentile(times, (25, 75))]
    return {
        "turns": len(times),
        "p50_ms": statistics.median(p50s_ms),
        "ratio": statistics.median(times),
        "quartiles": quartiles,
        "cpu_ratio": statistics.median(cpus),
    }


def describe(figures: dict[str, Any]) -> list[str]:
    """One line."""
    low, high = figures["quartiles"]
    return [
        f"**A lone request** (half_plus_two, 1x1, p50 {figures['p50_ms']:.3f} ms) takes {figures['ratio']:.2f} times "
        f"as long under `--enable_batching` (target: {_TARGET:g}; {figures['turns']} pairs by turns, "
        f"quartiles {low:.2f} and {high:.2f}), and {figures['cpu_ratio']:.2f} times the CPU."
    ]


def _reply_bytes(server: ServerProcess, request: bytes) -> int:
    with fixed_rate.open_channel(server.address) as channel:
        return len(channel.unary_unary(PREDICT)(request, timeout=_TIMEOUT_S))
