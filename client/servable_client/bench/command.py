"""The command bench: the request is made and tried once, then sent by processes that do nothing else."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import grpc

from servable_client._cli_connection import count, make_client, make_network, positive
from servable_client._cli_values import as_json, fill_with_zeros, read_inputs
from servable_client._core import DEFAULT_SIGNATURE
from servable_client.bench import coordinator, report
from servable_client.bench.worker import Plan

NOTES = """\

Without inputs, zeros (or empty strings) in the shapes of the signature are sent, with --batch for open sizes.
By default --concurrency calls are under way all the time, and the next is sent when one has ended. With --rate calls
are sent on time whatever the server does, and latency is counted from the time at which each should have been sent.
The reply of each call is received and not decoded. Nothing is tried again: failures are counted by their code.
"""
_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_CONCURRENCY, _RATE_CONCURRENCY = 8, 256
_CLEAR = "\r\x1b[K"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    group = parser.add_argument_group("load")
    group.add_argument(
        "-c",
        "--concurrency",
        type=count,
        metavar="N",
        help=f"calls under way at once ({_CONCURRENCY}; with --rate at most, {_RATE_CONCURRENCY})",
    )
    group.add_argument("-r", "--rate", type=positive, metavar="R", help="calls to send in a second")
    group.add_argument(
        "-d", "--duration", type=positive, default=10.0, metavar="S", help="seconds to measure (%(default)g)"
    )
    group.add_argument(
        "--warmup", type=_not_negative, default=1.0, metavar="S", help="seconds before that (%(default)g)"
    )
    group.add_argument("--processes", type=count, metavar="N", help="processes that send (half the cores, 4 at most)")
    group.add_argument(
        "--batch", type=count, default=1, metavar="N", help="for open sizes without inputs (%(default)s)"
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="see below")


def _not_negative(text: str) -> float:
    return 0.0 if float(text) == 0 else positive(text)


def bench(options: argparse.Namespace) -> int:
    """Measure a signature; the status is 1 if no call succeeded."""
    plan = _make_plan(options)
    shows = sys.stderr.isatty()
    result = coordinator.run(plan, _show if shows else _ignore)
    if shows:
        sys.stderr.write(_CLEAR)
    found = as_json(report.as_value(plan, result)) if options.json else report.as_text(plan, result)
    sys.stdout.write(found + "\n")
    sys.stdout.flush()
    return 0 if result.latencies.total else 1


def _show(progress: coordinator.Progress) -> None:
    sys.stderr.write(_CLEAR + report.progress_line(progress))
    sys.stderr.flush()


def _ignore(_progress: coordinator.Progress) -> None:
    pass


def _make_plan(options: argparse.Namespace) -> Plan:
    capture = _RequestCapture()
    with make_client(options, [capture]) as client:
        inputs = read_inputs(options.inputs)
        if not options.inputs:
            inputs = fill_with_zeros({}, client.metadata(), options.signature or DEFAULT_SIGNATURE, options.batch)
        # One call as a user makes it, so that a mistake is reported in one line before anything is measured.
        client.predict(inputs)
        headers = tuple(options.metadata)
    concurrency = options.concurrency or (_RATE_CONCURRENCY if options.rate else _CONCURRENCY)
    return Plan(
        network=make_network(options),
        path=_PREDICT,
        request=capture.request,
        metadata=headers,
        timeout_s=options.timeout,
        concurrency=concurrency,
        rate=options.rate,
        duration_s=options.duration,
        warmup_s=options.warmup,
        processes=min(options.processes or _default_processes(), concurrency),
    )


def _default_processes() -> int:
    # The server may be on this machine too, and needs the other half.
    return max(1, min(4, (os.cpu_count() or 1) // 2))


class _RequestCapture(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc,unused-ignore]
    """Keeps the bytes of the last Predict."""

    request = b""

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: bytes) -> Any:
        """Let a call pass, and look at it."""
        if client_call_details.method in {_PREDICT, _PREDICT.encode()}:
            self.request = request
        return continuation(client_call_details, request)
