"""A light model beside a heavy one at full load: one server of ours with both, and a reference process for each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import closed_loop
import fixed_rate
import grpc
from closed_loop import Call
from messages import PREDICT
from models import MODELS, Model
from process import ServerProcess, start_all
from results import median, percentiles_ms
from servers import REFERENCE, Kind, serve_command
from setting import Setting

_LIGHT, _HEAVY, _LOAD = MODELS["half_plus_two"], MODELS["mobilenet_v2"], "8x8"
_RATE, _HEALTH_RATE = 200.0, 20.0
_HEALTH = "/grpc.health.v1.Health/Check"
_TIMEOUT_S = 60.0
_SHARE = 3.0
_TARGET = 3.0


@dataclass
class Arrangement:
    """The servers of both models, and the figures.

    Attributes:
        health: Whether there are health checks to call.
        quiet_ms: Latencies of the light model alone.
        busy_ms: The same beside the heavy one.
        health_ms: Latencies of health checks beside the heavy model.
        heavy_s: Calls a second to the heavy model.
    """

    name: str
    light: ServerProcess
    heavy: ServerProcess
    health: bool
    quiet_ms: list[float] = field(default_factory=list)
    busy_ms: list[float] = field(default_factory=list)
    health_ms: list[float] = field(default_factory=list)
    heavy_s: list[float] = field(default_factory=list)


def measure(setting: Setting) -> dict[str, Any]:
    """p50 and p99 of the light model quiet and busy, by arrangement, visited in turn."""
    body = setting.folder / "request"
    body.write_bytes(closed_loop.frame(_HEAVY.request))
    with ExitStack() as stack:
        arrangements = _arrange(stack, setting)
        for _ in range(setting.rounds):
            for each in arrangements:
                _visit(each, body, _SHARE * setting.seconds, setting.faults)
    return {each.name: _summarize(each) for each in arrangements}


def describe(figures: dict[str, Any]) -> list[str]:
    """A table, and the verdict where the reference is there."""
    lines = [
        f"**Fairness.** half_plus_two at {_RATE:g} calls/s, counted from when they were due, alone and while "
        f"MobileNetV2 runs at {_LOAD}: both in one server of ours; beside it a reference process for each. "
        "p50 / p99 in ms.",
        "",
        "| | alone | beside MobileNetV2 | health check meanwhile | MobileNetV2 |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, each in figures.items():
        health = _pair(each["health_ms"]) if each["health_ms"] else ""
        lines.append(
            f"| {name} | {_pair(each['quiet_ms'])} | {_pair(each['busy_ms'])} | {health} | {each['heavy_s']:.1f}/s |"
        )
    if REFERENCE in figures:
        times = figures["servable"]["busy_ms"][1] / figures[REFERENCE]["busy_ms"][1]
        lines += ["", f"The busy p99 is {times:.2f} times the reference's (target: {_TARGET:g})."]
    return lines


def _arrange(stack: ExitStack, setting: Setting) -> list[Arrangement]:
    both = [_serve_both(setting, "servable"), _serve_both(setting, "batching", "--enable_batching")]
    arrangements = [Arrangement(server.name, server, server, health=True) for server in both]
    reference = next((kind for kind in setting.kinds if kind.name == REFERENCE), None)
    apart = [_serve_one(setting, reference, model) for model in (_LIGHT, _HEAVY)] if reference else []
    if apart:
        arrangements.append(Arrangement(REFERENCE, light=apart[0], heavy=apart[1], health=False))
    start_all(stack, [*both, *apart])
    return arrangements


def _serve_both(setting: Setting, name: str, *flags: str) -> ServerProcess:
    config = setting.folder / "models.config"
    served = "".join(
        f'config {{ name: "{model.name}" base_path: "{setting.base_path(model)}" model_platform: "tensorflow" }} '
        for model in (_LIGHT, _HEAVY)
    )
    config.write_text(f"model_config_list {{ {served}}}")
    return ServerProcess(
        name, lambda port: serve_command(port, f"--model_config_file={config}", *flags), setting.folder
    )


def _serve_one(setting: Setting, kind: Kind, model: Model) -> ServerProcess:
    return ServerProcess(
        f"{kind.name}-{model.name}", lambda port: kind.command(model, setting.base_path(model), port), setting.folder
    )


def _visit(each: Arrangement, body: Path, seconds: float, faults: list[str]) -> None:
    with fixed_rate.open_channel(each.light.address) as light, fixed_rate.open_channel(each.heavy.address) as heavy:
        requests = _LIGHT.make_requests()
        reply = _ask(light, requests[0])
        call = Call(PREDICT, body, len(_ask(heavy, _HEAVY.request)), _HEAVY.run_s)
        quiet = fixed_rate.Stream(light, PREDICT, requests, _RATE, len(reply))
        fixed_rate.send([quiet], seconds)
        busy = fixed_rate.Stream(light, PREDICT, requests, _RATE, len(reply))
        streams = [busy]
        if each.health:
            # An empty request asks for the whole server; "SERVING" takes two bytes.
            streams.append(fixed_rate.Stream(light, _HEALTH, [b""], _HEALTH_RATE, 2))
        with closed_loop.running(each.heavy, call, _LOAD, seconds) as load:
            begun_s, cpu_s = time.time(), each.heavy.cpu_s()
            fixed_rate.send(streams, seconds)
            seen = load.finish(begun_s, time.time(), each.heavy.cpu_s() - cpu_s)
        each.heavy.wait_until_idle()
    each.quiet_ms += quiet.latencies_ms
    each.busy_ms += busy.latencies_ms
    each.health_ms += [latency for stream in streams[1:] for latency in stream.latencies_ms]
    each.heavy_s.append(0.0 if seen.fault else seen.requests_s)
    found = [seen.fault] if seen.fault else []
    found += [fault for stream in (quiet, *streams) for fault in stream.faults[:1]]
    faults += [f"side figure fairness, {each.name}: {fault}" for fault in found]


def _ask(channel: grpc.Channel, request: bytes) -> bytes:
    reply: bytes = channel.unary_unary(PREDICT)(request, timeout=_TIMEOUT_S, wait_for_ready=True)
    return reply


def _summarize(each: Arrangement) -> dict[str, Any]:
    return {
        "quiet_ms": percentiles_ms(each.quiet_ms),
        "busy_ms": percentiles_ms(each.busy_ms),
        "health_ms": percentiles_ms(each.health_ms) if each.health_ms else None,
        "heavy_s": median(each.heavy_s),
    }


def _pair(values: Sequence[float]) -> str:
    return f"{values[0]:.2f} / {values[1]:.2f}"
