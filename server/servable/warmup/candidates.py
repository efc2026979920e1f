"""Candidates for a warm-up file: from a version's signatures, and from what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from servable import wire
from servable.errors import NotFound, ServingError
from servable.routing import suggest
from servable.saved_model import INIT_OP_SIGNATURE
from servable.signatures import Signature
from servable.warmup import example_specs, generation, recorded
from servable.warmup.making import Candidate
from servable.warmup.recorded import RequestKind
from servable.warmup.records import ReadRecords

_DAMAGED = "a file with one request is given by what it holds, as with --predict"


def choose(signatures: Mapping[str, Signature], keys: Sequence[str]) -> list[Signature]:
    """The signatures of these keys, or without any key all that take requests, sorted.

    Raises:
        NotFound: if there is no such signature.
    """
    for key in keys:
        if key not in signatures:
            raise NotFound(f'There is no signature "{key}".', suggest(key, signatures, "known_signatures"))
    return [signatures[key] for key in keys or sorted(signatures.keys() - {INIT_OP_SIGNATURE})]


def of_signatures(
    signatures: Iterable[Signature], batch_sizes: Sequence[int], graph_def: wire.GraphDef
) -> Iterator[Candidate]:
    """A candidate for each signature and batch size."""
    examples = [example_specs.make_example(spec) for spec in example_specs.find(graph_def)]
    for signature in signatures:
        is_batched = generation.is_batched(signature)
        for size in batch_sizes if is_batched else batch_sizes[:1]:
            origin = f'signature "{signature.key}"' + (f", batch size {size}" if is_batched else "")
            make = partial(generation.generate, signature, size, examples)
            yield Candidate(origin, make, _advise(signature, examples))


def of_logs(path: Path, read: ReadRecords) -> Iterator[Candidate]:
    """A candidate for each record of a TFRecord file; one more, which fails, if the file is damaged behind them."""
    number = 0
    try:
        for record in read(path):
            number += 1
            yield Candidate(f"{path}, record {number}", partial(_read_log, record, path))
    except ServingError as error:
        yield Candidate(f"{path}, after record {number}", partial(_fail, error), _DAMAGED)


def of_request(path: Path, kind: RequestKind) -> Candidate:
    """The candidate of a file with one request."""
    return Candidate(str(path), lambda: [recorded.read_request(path, kind)])


def _advise(signature: Signature, examples: Sequence[wire.Example]) -> str:
    if generation.takes_examples(signature) and not examples:
        return "no op of the graph says which features it parses out of tf.Examples: record a request instead"
    return "if it needs more than zeros and empty strings, record a request instead"


def _read_log(record: bytes, path: Path) -> Sequence[wire.PredictionLog]:
    return [recorded.read_log(record, path)]


def _fail(error: ServingError) -> NoReturn:
    raise error
