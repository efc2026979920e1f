"""Makes a warm-up file: candidates are tried on the loaded version, and those that it takes are written.

So a file that was made here cannot break the load of the version that it was made for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from servable import wire
from servable.errors import AlreadyExists, FailedPrecondition, ServingError
from servable.warmup.records import MAX_RECORDS, Execute

Write = Callable[[bytes], None]
OpenRecords = Callable[[Path], AbstractContextManager[Write]]
"""Opens a new TFRecord file to append records to; raises a ServingError where that fails."""

Tell = Callable[[str], None]
"""Tells people one line."""

# A file of something else may have millions of records.
_MOST_TOLD = 50


@dataclass(frozen=True, slots=True)
class Candidate:
    """One request to be.

    Attributes:
        origin: Where it comes from, for people.
        logs: Gives the ways to write it, the likeliest first; both may raise a ServingError.
        advice: What to do if the version takes none.
    """

    origin: str
    logs: Callable[[], Iterable[wire.PredictionLog]]
    advice: str = ""


@dataclass(slots=True)
class Outcome:
    """How many requests are in the file, and how many candidates the version did not take."""

    kept: int = 0
    skipped: int = 0


def make(candidates: Iterable[Candidate], execute: Execute, write: Write, tell: Tell) -> Outcome:
    """Write what the version takes, up to the number of records that a server accepts."""
    outcome = Outcome()
    for candidate in candidates:
        if outcome.kept == MAX_RECORDS:
            tell(f"{candidate.origin}: left out, and all that follows: a warm-up file holds {MAX_RECORDS} requests")
            break
        try:
            write(_find_accepted(candidate.logs(), execute))
        except ServingError as error:
            outcome.skipped += 1
            if outcome.skipped <= _MOST_TOLD:
                tell(_describe(candidate, error))
        else:
            outcome.kept += 1
    if outcome.skipped > _MOST_TOLD:
        tell(f"{outcome.skipped - _MOST_TOLD} more are skipped, and not told of one by one")
    return outcome


def _describe(candidate: Candidate, error: ServingError) -> str:
    advice = f" ({candidate.advice})" if candidate.advice else ""
    # What TensorFlow says goes over several lines.
    return f"{candidate.origin}: skipped: {' '.join(str(error).split())}{advice}"


def _find_accepted(logs: Iterable[wire.PredictionLog], execute: Execute) -> bytes:
    """The first log that the version takes, serialized.

    Raises:
        ServingError: as the first attempt fails, if all fail: it is the likeliest to be what was meant.
    """
    first_failure: ServingError | None = None
    for log in logs:
        # Before it is executed: that puts another model's name in.
        record = log.SerializeToString(deterministic=True)
        try:
            _require_request(log)
            execute(log)
        except ServingError as error:
            first_failure = first_failure or error
        else:
            return record
    raise first_failure or FailedPrecondition("there is nothing to try")


def _require_request(log: wire.PredictionLog) -> None:
    """A server passes over a log without a request; in a file it would only look like a warm-up."""
    if log.WhichOneof("log_type") is None:
        raise FailedPrecondition("the log holds no request")


def check_output(path: Path, *, force: bool) -> None:
    """Refuse to overwrite.

    Raises:
        AlreadyExists: if there is a file and nobody forces.
    """
    if path.exists() and not force:
        raise AlreadyExists(f"{path} exists. --force overwrites it.")


@contextmanager
def replacing(path: Path, open_records: OpenRecords) -> Iterator[Write]:
    """A function that appends a record to a file, which takes its place whole or, after an exception, not at all.

    Raises:
        FailedPrecondition: if the place cannot be written.
        ServingError: as the records cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    with _explaining():
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open_records(unfinished) as write:
            yield write
        with _explaining():
            os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _explaining() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FailedPrecondition(f"{error.filename}: {error.strerror}") from error
