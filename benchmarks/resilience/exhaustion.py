"""File descriptors and memory that run out."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grpc

from benchmarks.control_plane.tiny_models import make_outer_product
from benchmarks.resilience.callers import (
    MODEL,
    RIGHT,
    Callers,
    GrpcConnection,
    RestConnection,
    describe_losses,
    wrong,
)
from benchmarks.resilience.lab import Lab
from benchmarks.resilience.results import Figure, Result
from benchmarks.resilience.servers import LONGEST_START_S, Server
from servable_client import wire

_FILES: Final = 256
_LONGEST_S: Final = 60.0
_OUTER: Final = "outer"
_PREDICT: Final = "/tensorflow.serving.PredictionService/Predict"
_MB: Final = 1 << 20
# What the server may take beyond what it has, and what the request would take.
_SPARE_BYTES: Final = 1024 * _MB
_LENGTH: Final = 40_000
# gRPC's core ends the process when it cannot have the memory for a message, so messages must be bounded below that.
_MOST_MESSAGE_BYTES: Final = 64 * _MB
_BOUND: Final = f"--grpc_channel_arguments=grpc.max_receive_message_length={_MOST_MESSAGE_BYTES}"
_CGROUP: Final = Path("/sys/fs/cgroup/memory")
_CGROUP_SPARE_BYTES: Final = 256 * _MB


def take_all_files(lab: Lab) -> Result:
    """More connections than the server may open files; then they close."""
    # The shell's builtin limits this server alone.
    under = ("sh", "-c", f'ulimit -n {_FILES}; exec "$@"', "sh")
    with lab.server(lab.place(1), under=under) as server, Callers(server) as callers:
        callers.wait_until_right(time.monotonic(), _LONGEST_S)
        flood = [connection for port in (server.port, server.rest_port) for connection in _flood(port)]
        time.sleep(1 + lab.size.settle_s)
        most_files = len(os.listdir(f"/proc/{server.pid}/fd"))
        closed_s = time.monotonic()
        for connection in flood:
            connection.close()
        healed_s = _wait_for_new_connections(server, closed_s)
        time.sleep(lab.size.settle_s)
    outcomes = callers.outcomes()
    faults = [f"{count} {outcome}" for outcome, count in outcomes.items() if outcome != RIGHT]
    faults += ["no new connection was served again"] * (healed_s == float("inf"))
    faults += ["files were not exhausted"] * (most_files < _FILES - 1)
    figures: dict[str, Figure] = {
        "calls over connections that stood": outcomes.total(),
        "connections": len(flood),
        "longest gap, s": callers.longest_gap_s(),
    }
    scenario = f"{_FILES} files, {len(flood)} connections, which close"
    return Result(scenario, describe_losses(outcomes), healed_s, faults, figures)


def take_all_memory(lab: Lab) -> Result:
    """One request whose result needs more address space than RLIMIT_AS leaves."""
    with _serving_outer_product(lab) as server, Callers(server) as callers:
        callers.wait_until_right(time.monotonic(), _LONGEST_S)
        pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[0])
        limit_bytes = pages * resource.getpagesize() + _SPARE_BYTES
        resource.prlimit(server.pid, resource.RLIMIT_AS, (limit_bytes, limit_bytes))
        asked_s = time.monotonic()
        code, answered_s = _ask_for_too_much(server)
        large_code, _ = _ask(server, bytes(2 * _MOST_MESSAGE_BYTES))
        served_s = callers.wait_until_right(time.monotonic(), _LONGEST_S)
        time.sleep(lab.size.settle_s)
        is_running, resident_mb = server.is_running(), server.resident_mb()
    outcomes = callers.outcomes()
    faults = wrong(outcomes) + [f"{count} {outcome}" for outcome, count in outcomes.items() if outcome != RIGHT]
    faults += [f"a message of 128 MiB: {large_code}"] * (large_code != "RESOURCE_EXHAUSTED")
    faults += [f"the request: {code}"] * (code != "RESOURCE_EXHAUSTED") + ["the process ended"] * (not is_running)
    faults += ["nobody was served"] * (served_s == float("inf"))
    figures: dict[str, Figure] = {
        "calls beside it": outcomes.total(),
        f"the request: {code} after, s": answered_s - asked_s,
        "a message of 128 MiB where 64 are allowed:": large_code,
        "longest gap, s": callers.longest_gap_s(),
        "RSS after it, MB": resident_mb,
    }
    return Result("RLIMIT_AS hit by one request of 6.4 GB", describe_losses(outcomes), None, faults, figures)


def take_all_memory_of_a_cgroup(lab: Lab) -> Result:
    """The same in a cgroup, where the kernel kills; what starts servers starts it again."""
    scenario = "memory of a cgroup hit by one request of 6.4 GB; started again"
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(_cgroup())
        if group is None:
            return Result(scenario, "not measured: no memory cgroup of version 1 can be made here")
        server = stack.enter_context(_serving_outer_product(lab))
        callers = stack.enter_context(Callers(server))
        callers.wait_until_right(time.monotonic(), _LONGEST_S)
        limit_bytes = int(server.resident_mb() * 1e6) + _CGROUP_SPARE_BYTES
        (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
        (group / "cgroup.procs").write_text(str(server.pid))
        code, _ = _ask_for_too_much(server)
        status = server.wait() if code == "UNAVAILABLE" else 0
        ended_s = time.monotonic()
        if status:
            server.start()
            server.wait_until_open()
        served_again_s = callers.wait_until_right(ended_s, LONGEST_START_S)
        time.sleep(lab.size.settle_s)
    outcomes = callers.outcomes()
    faults = wrong(outcomes) + ["nobody was served again"] * (served_again_s == float("inf"))
    figures: dict[str, Figure] = {"calls": outcomes.total(), "the request": code, "exit status": status}
    return Result(scenario, describe_losses(outcomes), served_again_s, faults, figures)


@contextlib.contextmanager
def _serving_outer_product(lab: Lab) -> Iterator[Server]:
    """A server of `echo` and of a model that gives a matrix for a vector."""
    outer = lab.folder / "made" / _OUTER
    if not outer.exists():
        make_outer_product(outer)
    folder = lab.new_folder()
    config = folder / "models.config"
    paths = {MODEL: lab.place(1), _OUTER: outer}
    configs = "".join(
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}' for name, path in paths.items()
    )
    config.write_text(f"model_config_list {{ {configs} }}")
    with Server(folder / "log", f"--model_config_file={config}", _BOUND) as server:
        yield server


def _ask_for_too_much(server: Server) -> tuple[str, float]:
    """The code of a Predict with an output of 6.4 GB, and when it was over (time.monotonic)."""
    request = wire.PredictRequest()
    request.model_spec.name = _OUTER
    tensor = request.inputs["x"]
    tensor.dtype = wire.DT_FLOAT
    tensor.tensor_shape.dim.add(size=_LENGTH)
    tensor.float_val.append(1)
    return _ask(server, request.SerializeToString())


def _ask(server: Server, message: bytes) -> tuple[str, float]:
    """The code of a Predict, and when it was over (time.monotonic)."""
    options = [("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.address, options=options) as channel:
        try:
            channel.unary_unary(_PREDICT)(message, timeout=_LONGEST_S)
        except grpc.RpcError as error:
            return error.code().name, time.monotonic()
    return "OK", time.monotonic()


def _flood(port: int) -> list[socket.socket]:
    """More connections than files; the kernel accepts those that the server cannot."""
    connections = []
    for _ in range(_FILES + 64):
        connection = socket.socket()
        connection.settimeout(1)
        connections.append(connection)
        with contextlib.suppress(OSError):
            connection.connect(("127.0.0.1", port))
    return connections


def _wait_for_new_connections(server: Server, since_s: float) -> float:
    """Seconds until new connections over both protocols are served; infinity if they are not."""
    for connect, where in ((GrpcConnection, server.address), (RestConnection, server.rest_port)):
        outcome = ""
        while outcome != RIGHT:
            if time.monotonic() > since_s + _LONGEST_S:
                return float("inf")
            with contextlib.closing(connect(where, 1.0)) as connection:  # type: ignore[arg-type]
                outcome, _ = connection.call(1)
    return time.monotonic() - since_s


@contextlib.contextmanager
def _cgroup() -> Iterator[Path | None]:
    """A memory cgroup of version 1 of the scenario's own; None where this process may not make one."""
    group = _CGROUP / f"servable-resilience-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        yield group
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()
