"""The comparison with one model: its servers are all up, rounds visit them in turn, replies are held side by side."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import closed_loop
import fixed_rate
import grpc
from closed_loop import Call, Visit
from messages import Arrays, find_difference, read_reply
from models import FIXED_RATE, Model
from process import ServerProcess
from results import Cell, CellInProgress
from servers import Kind

_TIMEOUT_S = 120.0
_FIRST_VISIT_S = 0.3


@dataclass
class Contestant:
    """A server that serves the model, and what it first answered to each variant of the request."""

    server: ServerProcess
    call: Call
    replies: Sequence[Arrays]


class Comparison:
    """One model on all servers.

    Attributes:
        cells: The figures, when `run` has ended.
        peak_mb: The most resident memory of each server.
        faults: What went wrong, with model, server and load.
    """

    def __init__(self, model: Model, kinds: Sequence[Kind], base_path: Path, say: Callable[[str], None]) -> None:
        self._model, self._base_path, self._say = model, base_path, say
        self._kinds = [kind for kind in kinds if kind.serves(model)]
        self._requests = model.make_requests()
        self.cells: list[Cell] = []
        self.peak_mb: dict[str, float] = {}
        self.faults: list[str] = []

    def run(self, loads: Sequence[str], rounds: int, seconds: float) -> None:
        """Start, check, load in turn, check again, stop."""
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            body = Path(folder, "request")
            body.write_bytes(closed_loop.frame(self._requests[0]))
            contestants = self._start(stack, body)
            cells = {
                (each.server.name, load): CellInProgress(self._model.name, each.server.name, load)
                for load in loads
                for each in contestants
            }
            for each in contestants:
                # What goes wrong here goes wrong again when it counts.
                with contextlib.suppress(RuntimeError):
                    closed_loop.visit(each.server, each.call, self._model.busiest_common_load, _FIRST_VISIT_S)
            for number in range(rounds):
                for load in loads:
                    # Each round starts with another server, so that none always follows the same one.
                    shift = number % max(len(contestants), 1)
                    for each in [*contestants[shift:], *contestants[:shift]]:
                        cells[each.server.name, load].add(self._visit(each, load, seconds * self._model.stretch))
            self.cells = [cell.finish() for cell in cells.values()]
            for each in contestants:
                self._check_again(each)

    def _start(self, stack: ExitStack, body: Path) -> list[Contestant]:
        servers = []
        for kind in self._kinds:
            server = ServerProcess(kind.name, functools.partial(self._command, kind), body.parent)
            stack.callback(server.stop)
            servers.append(server)
        contestants = []
        for server in servers:
            try:
                server.wait_until_ready()
                replies = self._ask(server)
            except (RuntimeError, grpc.RpcError) as error:
                self._fault(server.name, "at the start", fixed_rate.describe_error(error))
                continue
            call = Call(self._model.method, body, len(replies[0]), self._model.run_s)
            contestants.append(Contestant(server, call, self._read(replies)))
        for each in contestants:
            self._compare_replies(each, contestants[0].replies, contestants[0].server.name)
        return contestants

    def _command(self, kind: Kind, port: int) -> Sequence[str]:
        return kind.command(self._model, self._base_path, port)

    def _ask(self, server: ServerProcess) -> list[bytes]:
        with fixed_rate.open_channel(server.address) as channel:
            ask = channel.unary_unary(self._model.method)
            return [ask(request, timeout=_TIMEOUT_S) for request in self._requests]

    def _read(self, replies: Sequence[bytes]) -> list[Arrays]:
        return [read_reply(self._model.method, reply) for reply in replies]

    def _check_again(self, each: Contestant) -> None:
        try:
            replies = self._read(self._ask(each.server))
        except grpc.RpcError as error:
            self._fault(each.server.name, "after the load", fixed_rate.describe_error(error))
            return
        self._compare_replies(Contestant(each.server, each.call, replies), each.replies, "itself before the load")
        self.peak_mb[each.server.name] = round(each.server.peak_mb(), 1)

    def _compare_replies(self, each: Contestant, expected: Sequence[Arrays], whose: str) -> None:
        differences = map(find_difference, each.replies, expected)
        for difference in filter(None, differences):
            self._fault(each.server.name, f"reply beside {whose}", difference)

    def _visit(self, each: Contestant, load: str, seconds: float) -> Visit:
        try:
            if load == FIXED_RATE:
                seen = self._visit_at_fixed_rate(each, seconds)
            else:
                seen = closed_loop.visit(each.server, each.call, load, seconds)
        except (RuntimeError, grpc.RpcError) as error:
            seen = Visit(fault=fixed_rate.describe_error(error))
        if seen.fault:
            self._fault(each.server.name, load, seen.fault)
        figures = f"{seen.requests_s:9.1f}/s {seen.cpu_us:9.1f} us"
        self._say(f"{self._model.name:14} {load:5} {each.server.name:24} {figures}")
        return seen

    def _visit_at_fixed_rate(self, each: Contestant, seconds: float) -> Visit:
        model = self._model
        with fixed_rate.open_channel(each.server.address) as channel:
            # Not part of the figures: the connection.
            channel.unary_unary(model.method)(self._requests[0], timeout=_TIMEOUT_S)
            stream = fixed_rate.Stream(channel, model.method, self._requests, model.rate, each.call.reply_bytes)
            return fixed_rate.visit(each.server, stream, seconds)

    def _fault(self, server: str, when: str, what: str) -> None:
        self.faults.append(f"{self._model.name}, {server}, {when}: {what}")
        self._say(f"FAILURE: {self.faults[-1]}")
