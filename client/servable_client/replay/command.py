"""The command replay: `servable-client replay`, and `servable replay` where the server is installed, too."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servable_client._cli_connection import add_connection, count, make_network, positive
from servable_client._cli_values import as_json
from servable_client.replay import recorded, report, warmup_file
from servable_client.replay.comparison import Tolerance
from servable_client.replay.recorded import Recorded
from servable_client.replay.sending import Plan, Sender

NOTES = """\

LOG is a TFRecord file of PredictionLogs (a request log or a warm-up file), a request log in JSON Lines, or a folder of
such files. TARGET is the server: host:port, or any target of gRPC. Calls are sent at the pace at which they were
recorded, at a multiple of it (--speed), at a --rate, or with --concurrency alone as fast as that many allow. Replies
are compared with those that were recorded: numbers with fractions by the tolerances, everything else exactly. The
status is 0 if all calls ended as recorded.

With --warmup-file the first request of each form is written to a file instead, and there is no TARGET.
"""
_CONCURRENCY = 256
_MOST_DIFFERENCES = 20
_SIGNALLED = 128


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_connection(parser, has_address=False)
    pace = parser.add_argument_group("pace")
    pace.add_argument("-s", "--speed", type=positive, metavar="X", help="times as fast as recorded (1)")
    pace.add_argument("-r", "--rate", type=positive, metavar="R", help="calls to send in a second")
    pace.add_argument(
        "-c", "--concurrency", type=count, metavar="N", help=f"calls under way at once (at most {_CONCURRENCY})"
    )
    comparison = parser.add_argument_group("comparison")
    comparison.add_argument("--rtol", type=_tolerance, default=1e-5, metavar="X", help="relative (%(default)g)")
    comparison.add_argument("--atol", type=_tolerance, default=1e-8, metavar="X", help="absolute (%(default)g)")
    comparison.add_argument(
        "--differences",
        type=count,
        default=_MOST_DIFFERENCES,
        metavar="N",
        help="differences to show (%(default)s)",
    )
    choice = parser.add_argument_group("requests")
    choice.add_argument("-m", "--only-model", metavar="NAME", help="only requests for this model")
    choice.add_argument("--warmup-file", metavar="FILE", help="write a warm-up file, and send nothing")
    choice.add_argument("--most", type=count, metavar="N", help="requests to take (with --warmup-file 1000)")
    parser.add_argument("words", nargs="+", metavar="LOG... TARGET", help="see below")


def replay(options: argparse.Namespace) -> int:
    """Send the requests of logs again; the status is 1 if anything ended otherwise than recorded."""
    if options.warmup_file is not None:
        calls = _choose(recorded.read(recorded.find_files(options.words)), options.only_model, None)
        written = warmup_file.write(Path(options.warmup_file), calls, options.most or 1000)
        _say(f"{options.warmup_file}: {written} requests written")
        return 0
    if len(options.words) < 2:
        options.parser.error("the following arguments are required: LOG... TARGET")
    *logs, options.address = options.words
    sender = Sender(plan := _make_plan(options))
    calls = _choose(recorded.read(recorded.find_files(logs)), options.only_model, options.most)
    with _stopping(sender) as received:
        result = sender.run(calls)
    _say(as_json(report.as_value(result)) if options.json else report.as_text(plan, result))
    return _SIGNALLED + received[0] if received else int(not result.is_good)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command as a verb of another program.

    Args:
        arguments: The words after the verb; by default those of the process.

    Returns:
        The exit status.
    """
    from servable_client import cli

    return cli.main(["replay", *(sys.argv[1:] if arguments is None else arguments)])


def _make_plan(options: argparse.Namespace) -> Plan:
    is_closed_loop = options.concurrency is not None and options.rate is None and options.speed is None
    return Plan(
        network=make_network(options),
        metadata=tuple(options.metadata),
        timeout_s=options.timeout,
        concurrency=options.concurrency or _CONCURRENCY,
        rate=options.rate,
        speed=None if is_closed_loop else options.speed or 1.0,
        tolerance=Tolerance(options.rtol, options.atol),
        most_differences=options.differences,
    )


def _choose(calls: Iterable[Recorded], model: str | None, most: int | None) -> Iterator[Recorded]:
    taken = 0
    for call in calls:
        if model is None or call.model == model:
            if taken == most:
                return
            taken += 1
            yield call


@contextmanager
def _stopping(sender: Sender) -> Iterator[list[int]]:
    """Stop at SIGINT and SIGTERM; the numbers of those that came. A second one ends the process, without a report."""
    received: list[int] = []
    before: dict[int, Any] = {}

    def stop(number: int, _frame: Any) -> None:
        received.append(number)
        if len(received) > 1:
            # Not by an exception: threads that wait for hanging calls would be waited for on its way.
            os._exit(128 + received[0])
        sender.stop()

    for number in map(int, (signal.SIGINT, signal.SIGTERM)):
        before[number] = signal.signal(number, stop)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tolerance(text: str) -> float:
    return 0.0 if float(text) == 0 else positive(text)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    # Flushed inside `main`, which handles the error of a pipe without a reader.
    sys.stdout.flush()
