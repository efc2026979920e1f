"""Makes a warm-up file: candidates are tried on the loaded version, and those that it takes are written.

Candidates come from a version's signatures, from recorded logs, and from files with one request. As each is tried
first, a file that was made here cannot break the load of the version that it was made for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from servable import wire
from servable.errors import AlreadyExists, FailedPrecondition, NotFound, ServingError
from servable.routing import suggest
from servable.saved_model import INIT_OP_SIGNATURE
from servable.signatures import Signature
from servable.warmup import generation
from servable.warmup.records import MAX_RECORDS, ReadRecords, RequestKind, read_log, read_request
from servable.warmup.replay import Execute

Write = Callable[[bytes], None]
OpenRecords = Callable[[Path], AbstractContextManager[Write]]
"""Opens a new TFRecord file to append records to; raises a ServingError where that fails."""

Report = Callable[[str], None]
"""Prints one line for the user."""

_DAMAGED = "a file with one request is given by what it holds, as with --predict"
# A file of something else may have millions of records.
_MOST_REPORTED = 50


@dataclass(frozen=True, slots=True)
class Candidate:
    """A request that is written if the version takes it.

    Attributes:
        origin: Where it comes from, for the user.
        logs: Gives the forms of the request to try, the likeliest first. The call and the iteration may raise a
            ServingError.
        advice: What the user can do if the version takes none.
    """

    origin: str
    logs: Callable[[], Iterable[wire.PredictionLog]]
    advice: str = ""


def choose_signatures(signatures: Mapping[str, Signature], keys: Sequence[str]) -> list[Signature]:
    """The signatures of these keys; without keys all that take requests, sorted.

    Raises:
        NotFound: if there is no such signature.
    """
    for key in keys:
        if key not in signatures:
            raise NotFound(f'There is no signature "{key}".', suggest(key, signatures, "known_signatures"))
    return [signatures[key] for key in keys or sorted(signatures.keys() - {INIT_OP_SIGNATURE})]


def signature_candidates(
    signatures: Iterable[Signature], batch_sizes: Sequence[int], graph_def: wire.GraphDef
) -> Iterator[Candidate]:
    """A candidate for each signature and batch size."""
    examples = [generation.make_example(spec) for spec in generation.find_example_specs(graph_def)]
    for signature in signatures:
        is_batched = generation.is_batched(signature)
        for size in batch_sizes if is_batched else batch_sizes[:1]:
            origin = f'signature "{signature.key}"' + (f", batch size {size}" if is_batched else "")
            make = partial(generation.generate, signature, size, examples)
            yield Candidate(origin, make, _advise(signature, examples))


def log_candidates(path: Path, read: ReadRecords) -> Iterator[Candidate]:
    """A candidate for each record of a TFRecord file, and one that fails where the file is damaged."""
    number = 0
    try:
        for record in read(path):
            number += 1
            yield Candidate(f"{path}, record {number}", partial(_read_log, record, path))
    except ServingError as error:
        yield Candidate(f"{path}, after record {number}", partial(_fail, error), _DAMAGED)


def request_candidate(path: Path, kind: RequestKind) -> Candidate:
    """The candidate of a file with one request."""
    return Candidate(str(path), lambda: [read_request(path, kind)])


@dataclass(slots=True)
class Outcome:
    """How many requests were written, and how many candidates the version did not take."""

    kept: int = 0
    skipped: int = 0


def write_accepted(candidates: Iterable[Candidate], execute: Execute, write: Write, report: Report) -> Outcome:
    """Write the candidates that the version takes, up to the number of records that a server accepts."""
    outcome = Outcome()
    for candidate in candidates:
        if outcome.kept == MAX_RECORDS:
            report(f"{candidate.origin}: left out, and all that follows: a warm-up file holds {MAX_RECORDS} requests")
            break
        try:
            write(_find_accepted(candidate.logs(), execute))
        except ServingError as error:
            outcome.skipped += 1
            if outcome.skipped <= _MOST_REPORTED:
                report(_describe(candidate, error))
        else:
            outcome.kept += 1
    if outcome.skipped > _MOST_REPORTED:
        report(f"{outcome.skipped - _MOST_REPORTED} more are skipped, and not listed one by one")
    return outcome


def check_output(path: Path, *, force: bool) -> None:
    """Refuse to overwrite.

    Raises:
        AlreadyExists: if there is a file and `force` is not set.
    """
    if path.exists() and not force:
        raise AlreadyExists(f"{path} exists. --force overwrites it.")


@contextmanager
def replace_file(path: Path, open_records: OpenRecords) -> Iterator[Write]:
    """A function that appends records to a new file, which replaces that at `path`, unless an exception is raised.

    Raises:
        FailedPrecondition: if the file or its folder cannot be written.
        ServingError: as the records cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    with _os_errors_explained():
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open_records(unfinished) as write:
            yield write
        with _os_errors_explained():
            os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _os_errors_explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FailedPrecondition(f"{error.filename}: {error.strerror}") from error


def _advise(signature: Signature, examples: Sequence[wire.Example]) -> str:
    if generation.takes_examples(signature) and not examples:
        return "no op of the graph says which features it parses out of tf.Examples: record a request instead"
    return "if it needs more than zeros and empty strings, record a request instead"


def _read_log(record: bytes, path: Path) -> Sequence[wire.PredictionLog]:
    return [read_log(record, path)]


def _fail(error: ServingError) -> NoReturn:
    raise error


def _describe(candidate: Candidate, error: ServingError) -> str:
    advice = f" ({candidate.advice})" if candidate.advice else ""
    # TensorFlow's messages have several lines.
    return f"{candidate.origin}: skipped: {' '.join(str(error).split())}{advice}"


def _find_accepted(logs: Iterable[wire.PredictionLog], execute: Execute) -> bytes:
    """The first log that the version takes, serialized.

    Raises:
        ServingError: as the first attempt fails, if all fail: it is the likeliest to be what was meant.
    """
    first_failure: ServingError | None = None
    for log in logs:
        # Before it is executed, since LogExecutor replaces the name of the model.
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
    """Refuse a log without a request: a server skips it, so in a file it would warm up nothing."""
    if log.WhichOneof("log_type") is None:
        raise FailedPrecondition("the log holds no request")
