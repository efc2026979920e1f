"""Request logs as they lie in files: TFRecords of PredictionLog (a warm-up file is one), or JSON Lines of servable."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from servable_client import wire
from servable_client.errors import ClientError, Code
from servable_client.replay import json_lines
from servable_client.tfrecord import read_records

METHODS: dict[str, str] = {
    "predict_log": "Predict",
    "classify_log": "Classify",
    "regress_log": "Regress",
    "multi_inference_log": "MultiInference",
}
"""The method for each field of a PredictionLog that is replayed."""

_SUFFIXES = (".tfrecord", ".jsonl")
_HEAD_BYTES = 12
# As many requests of one second are held at once, to spread them over it.
_MOST_IN_A_SECOND = 10_000


class BrokenLog(ClientError):
    """A log that cannot be read on. The text says where."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded call.

    Attributes:
        number: Its place in all logs, from 0.
        time_s: When it began, in seconds since 1970; None if the log does not say.
        kind: A key of METHODS.
        request: The message that was sent.
        reply: The message that came back; None if the log has none.
        code: How the call ended.
    """

    number: int
    time_s: float | None
    kind: str
    request: Any
    reply: Any
    code: Code = Code.OK

    @property
    def model(self) -> str:
        """The model that was asked."""
        if self.kind == "multi_inference_log":
            return self.request.tasks[0].model_spec.name if self.request.tasks else ""
        return str(self.request.model_spec.name)


def find_files(names: Sequence[str]) -> list[Path]:
    """The files of logs, in the order of their names; of a folder all that servable may have written.

    Raises:
        OSError: if there is no such file or folder.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found += sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES)
        else:
            found.append(path)
    return found


def read(paths: Iterable[Path]) -> Iterator[Recorded]:
    """The calls of logs, one by one, in the order in which they were written (in which they ended).

    Times that are whole seconds are spread evenly over their second.

    Raises:
        BrokenLog: after the last call that could be read.
        tfrecord.CorruptRecord: likewise.
        OSError: if a file cannot be read.
    """
    number = 0
    for path in paths:
        for call in _spread(_read_file(path, number)):
            number = call.number + 1
            yield call


def _read_file(path: Path, number: int) -> Iterator[Recorded]:
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    # The upper half of a length is zeros.
    is_json = head.startswith(b"{") and b"\0" not in head
    calls = _read_json_lines(path) if is_json else _read_prediction_logs(path)
    for call in calls:
        if call is not None:
            yield Recorded(number, *call)
            number += 1


_Call = tuple[Any, ...]


def _read_prediction_logs(path: Path) -> Iterator[_Call | None]:
    for index, record in enumerate(read_records(path)):
        try:
            log = wire.PredictionLog.FromString(record)
        except DecodeError:
            raise BrokenLog(f"{os.fspath(path)}, record {index}: it is no PredictionLog") from None
        kind = log.WhichOneof("log_type")
        # What is not replayed (streams and session runs) is left out.
        if kind in METHODS:
            stored: Any = getattr(log, kind)
            reply = stored.response if stored.HasField("response") else None
            yield float(log.log_metadata.timestamp_secs) or None, kind, stored.request, reply


def _read_json_lines(path: Path) -> Iterator[_Call | None]:
    start = 0
    with open(path, "rb") as file:
        for line in file:
            try:
                yield _read_line(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                why = "the file ends inside a line" if not line.endswith(b"\n") else f"it cannot be read: {error}"
                raise BrokenLog(f"{os.fspath(path)}, line at byte {start}: {why}") from None
            start += len(line)


def _read_line(line: dict[str, Any]) -> _Call | None:
    """None for a call that was refused before its request was understood."""
    if "request" not in line:
        return None
    kind = json_lines.kind_of(line["api"])
    time_s = datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()
    request = json_lines.read_request(kind, line["request"])
    reply = json_lines.read_reply(kind, line["reply"]) if "reply" in line else None
    return time_s, kind, request, reply, Code[line["code"]]


def _spread(calls: Iterator[Recorded]) -> Iterator[Recorded]:
    for time_s, group in groupby(calls, key=lambda call: call.time_s):
        if time_s is None or time_s != int(time_s):
            yield from group
        else:
            yield from _spread_second(group)


def _spread_second(calls: Iterable[Recorded]) -> Iterator[Recorded]:
    of_one_second: list[Recorded] = []
    failure: Exception | None = None
    iterator = iter(calls)
    try:
        for call in islice(iterator, _MOST_IN_A_SECOND):
            of_one_second.append(call)  # noqa: PERF402  (what came before a failure stays)
    except (ClientError, OSError) as error:
        # What was read before is sent before.
        failure = error
    for index, call in enumerate(of_one_second):
        yield replace(call, time_s=(call.time_s or 0.0) + index / len(of_one_second))
    if failure is not None:
        raise failure
    yield from iterator
