"""An echo over grpcio's server or over lanes, for compare.py.

    echo_server.py WAY [threads]      WAY: public, inline, kept (answered when the lane is idle), aio

Prints its port, then answers each line on stdin with its CPU seconds and its memory in KiB.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

from servable.methods import Reply, inline
from servable.transport.arrivals import Arrivals
from servable.transport.core import Core
from servable.transport.handlers import MethodHandlers
from servable.transport.lanes import CHANNEL_ARGUMENTS, Lanes

PATH = "/echo.Echo/Echo"


def echo(request: bytes, _time_left_s: float | None, _context: object) -> bytes:
    """The method."""
    return request


class Gatherer:
    """What a batcher does at the least."""

    def __init__(self) -> None:
        self._gathered: list[tuple[bytes, Reply]] = []

    def __call__(self, request: bytes, _time_left_s: float | None, reply: Reply) -> None:
        """Keep a call for later."""
        self._gathered.append((request, reply))

    def run(self) -> None:
        """Answer all that are kept."""
        work, self._gathered = self._gathered, []
        for request, reply in work:
            reply.send(request)


def serve(way: str, threads: int) -> int:
    """Serve in a way that has threads, and give the port."""
    pool = ThreadPoolExecutor(max(threads, 1))
    handlers = [] if way != "public" else [MethodHandlers({PATH: echo}, {}, pool)]
    server = grpc.server(pool, handlers=handlers, options=CHANNEL_ARGUMENTS)
    lanes = None
    if way == "inline":
        lanes = Lanes(Core(server), {PATH: inline(echo)}, threads, Arrivals())
    elif way == "kept":
        gatherer = Gatherer()
        lanes = Lanes(Core(server), {PATH: gatherer}, threads, Arrivals(), gatherer.run)
    port: int = server.add_insecure_port("127.0.0.1:0")
    server.start()
    if lanes is not None:
        lanes.start()
    _KEPT.append(server)
    return port


# A server stops when its last reference is dropped.
_KEPT: list[grpc.Server] = []


async def serve_aio() -> None:
    """Serve on grpc.aio."""

    async def answer(request: bytes, _context: object) -> bytes:
        return request

    handler = grpc.method_handlers_generic_handler("echo.Echo", {"Echo": grpc.unary_unary_rpc_method_handler(answer)})
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([handler])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    threading.Thread(target=report_usage, args=(port,), daemon=True).start()
    await server.wait_for_termination()


def report_usage(port: int) -> None:
    """Print the port, then CPU seconds and memory for each line of stdin."""
    print(port, flush=True)
    for _ in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        with open("/proc/self/statm") as statm:
            kib = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
        print(used.ru_utime + used.ru_stime, kib, flush=True)
    os._exit(0)


if __name__ == "__main__":
    chosen, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    if chosen == "aio":
        asyncio.run(serve_aio())
    else:
        report_usage(serve(chosen, count))
