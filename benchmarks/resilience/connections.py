"""Thousands of connections that want nothing, and what the calls of others take beside them."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.resilience.lab import Lab
from benchmarks.resilience.latencies import measure
from benchmarks.resilience.results import Figure, Result
from benchmarks.resilience.servers import Server

_MOST: Final = 1.5
# Below that a p99 is the machine's: a few calls that waited for a CPU.
_LEAST_P99_MS: Final = 3.0

Crowds = Sequence[tuple[str, int, int]]


def connect_many(lab: Lab) -> Result:
    """Half of the connections over gRPC, half over REST."""
    count = lab.size.connections
    with lab.server(lab.place(1)) as server:
        # What a server answers over HTTP is bounded (--rest_api_max_connections), and that is left as it is.
        crowds = [("grpc", server.port, count - count // 2), ("rest", server.rest_port, count // 2)]
        return _compare(lab, server, crowds, "over gRPC and REST")


def connect_many_over_tls(lab: Lab) -> Result:
    """All over TLS, of which no handshake is ever finished."""
    folder = lab.new_folder()
    ca_file, flags = _make_certificates(folder)
    with lab.server(lab.place(1), *flags) as server:
        crowds = [("tls", server.port, lab.size.connections)]
        return _compare(lab, server, crowds, "over TLS, handshakes never finished", ca_file)


def _compare(lab: Lab, server: Server, crowds: Crowds, what: str, ca_file: Path | None = None) -> Result:
    alone, beside, reopened = [], [], 0
    measure(server, 0.5, ca_file)
    for _ in range(lab.size.rounds):
        alone.append(measure(server, lab.size.probe_s, ca_file))
        with contextlib.ExitStack() as stack:
            closers = [stack.enter_context(_crowd(*crowd)) for crowd in crowds]
            beside.append(measure(server, lab.size.probe_s, ca_file))
            reopened += sum(closer() for closer in closers)
    figures: dict[str, Figure] = {}
    faults = []
    for protocol in alone[0]:
        usual, crowded = (statistics.median(each[protocol][1] for each in rounds) for rounds in (alone, beside))
        figures[f"{protocol} p99 alone, ms"] = usual
        figures[f"{protocol} p99 beside, ms"] = crowded
        figures[f"{protocol} ratio"] = crowded / usual
        if crowded > _MOST * usual and crowded > _LEAST_P99_MS:
            faults.append(f"p99 over {protocol} is {crowded / usual:.2f} times the usual")
    faults += ["the process ended"] * (not server.is_running())
    figures["closed by the server and opened again"] = reopened
    count = sum(number for _, _, number in crowds)
    scenario = f"{count:,} connections {what}, four of five idle, others send a byte a second"
    return Result(scenario, "nothing: every call was answered rightly", None, faults, figures)


@contextlib.contextmanager
def _crowd(kind: str, port: int, count: int) -> Iterator:  # type: ignore[type-arg]
    """A crowd that is there; yields what ends it and tells how often one of it had to connect again."""
    command = [sys.executable, "-m", "benchmarks.resilience.crowd", kind, str(port), str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if process.stdout is None or process.stdout.readline() != "open\n":
        process.kill()
        raise RuntimeError(f"no crowd of {count} connections could be opened")

    def close() -> int:
        told, _ = process.communicate("\n")
        return int(told)

    try:
        yield close
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _make_certificates(folder: Path) -> tuple[Path, Sequence[str]]:
    from tests.process.certificates import Authority

    authority = Authority("resilience")
    identity = authority.vouch_for("server")
    for name, pem in (("ca", authority.certificate), ("key", identity.key), ("certificate", identity.certificate)):
        (folder / name).write_bytes(pem)
    flags = f"--tls_certificate_file={folder / 'certificate'}", f"--tls_key_file={folder / 'key'}"
    return folder / "ca", flags
