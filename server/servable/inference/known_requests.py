"""Predict requests like earlier ones: what was worked out for the first is used for the next.

The requests of a client mostly differ in nothing but the values of their tensors. So one that was answered leaves
its pattern: the bytes around the values, where these lie, and what to run. A request that fits needs no parsing, and
its arrays are views of its own bytes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from weakref import ref

import numpy as np

from servable import wire
from servable.codec import decoding, value_spans
from servable.codec.pattern import Pattern
from servable.codec.value_spans import Span
from servable.inference.known_replies import KnownReplies
from servable.requests import Target
from servable.routing import Handle
from servable.signatures import Signature

Array = np.ndarray[Any, Any]

# Callers choose what is learnt, so there is an end to it: lengths, forms of one length, bytes of a form.
_MOST_LENGTHS: Final = 1024
_MOST_OF_A_LENGTH: Final = 8
_MOST_KEPT_BYTES: Final = 4096
_INPUTS_FIELD: Final = wire.PredictRequest.DESCRIPTOR.fields_by_name["inputs"].number


@dataclass(slots=True, eq=False)
class Reading:
    """What a request asks for, but for the values.

    Attributes:
        handle: The version that answers.
        signature: What it is asked for.
        target: What is run.
        aliases: The outputs that are wanted, in the order in which they are fetched.
        replies: To requests like this one; None if it is not known whether there are any.
    """

    handle: Handle
    signature: Signature
    target: Target
    aliases: Sequence[str]
    replies: KnownReplies | None = None


class _View(NamedTuple):
    """Which array is a view of the request, and how."""

    position: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int


class _Form(NamedTuple):
    """How requests look that differ in their values only.

    Attributes:
        pattern: Their bytes.
        inputs: How many arrays each has.
        views: Those that are views of the request.
        constants: The others, by position: all requests have the same.
    """

    pattern: Pattern
    inputs: int
    views: Sequence[_View]
    constants: Sequence[tuple[int, Array]]


class KnownRequests:
    """What was learnt as long as the routes stay as they are: it holds handles. Safe to share between threads."""

    def __init__(self) -> None:
        self._by_length: dict[int, list[tuple[_Form, Reading]]] = {}
        self._tries: Counter[int] = Counter()
        self._lock = threading.Lock()

    def find(self, request: bytes) -> tuple[Reading, Sequence[Array]] | None:
        """What a request asks for and its arrays, if it is like one that was learnt."""
        for (pattern, inputs, views, constants), reading in self._by_length.get(len(request), ()):
            if pattern.fits(request):
                arrays = [_NOTHING] * inputs
                for position, shape, dtype, offset in views:
                    arrays[position] = np.ndarray(shape, dtype, request, offset)
                for position, array in constants:
                    # TensorFlow takes it as it is, and some ops write into what they are given.
                    arrays[position] = array.copy()
                return reading, arrays
        return None

    def expect(
        self, request: bytes, sent: Mapping[str, wire.TensorProto], aliases: Iterable[str], arrays: Sequence[Array]
    ) -> Lesson | None:
        """What is to be learnt from a request once it is answered; None if that is nothing.

        Args:
            request: A PredictRequest that is not known.
            sent: Its inputs.
            aliases: The inputs of its signature.
            arrays: An array for each of these; no run has seen them yet, since some ops write into what they are given.
        """
        if not any(map(decoding.may_be_as_is, sent.values())) or not self._may_try(len(request)):
            return None
        form = _find_form(request, sent, aliases, arrays)
        return None if form is None else Lesson(ref(self), form)

    def _may_try(self, length: int) -> bool:
        with self._lock:
            if length not in self._tries and len(self._tries) >= _MOST_LENGTHS:
                oldest = next(iter(self._tries))
                del self._tries[oldest]
                self._by_length.pop(oldest, None)
            self._tries[length] += 1
            return self._tries[length] <= _MOST_OF_A_LENGTH

    def add(self, form: _Form, reading: Reading) -> None:
        """Remember what requests of a form ask for."""
        with self._lock:
            if form.pattern.size in self._tries:
                reading.replies = KnownReplies(reading.aliases)
                self._by_length.setdefault(form.pattern.size, []).append((form, reading))


class Lesson(NamedTuple):
    """What is to be learnt from a request, as long as the routes it was asked under are there.

    Attributes:
        known: Where. Not held: a request may take long, and what is known holds the handles of all models.
        form: Of the request.
    """

    known: ref[KnownRequests]
    form: _Form

    def learn(self, reading: Reading) -> None:
        """Remember what the request asks for; it has been answered."""
        known = self.known()
        if known is not None:
            known.add(self.form, reading)


_NOTHING: Final = np.empty(0)


def _find_form(
    request: bytes, sent: Mapping[str, wire.TensorProto], aliases: Iterable[str], arrays: Sequence[Array]
) -> _Form | None:
    spans, views = value_spans.find(request, _INPUTS_FIELD), []
    constants: list[tuple[int, Array]] = []
    for position, (alias, array) in enumerate(zip(aliases, arrays, strict=True)):
        span = spans.get(alias)
        if span is not None and _is_view(request, span, sent[alias].dtype, array):
            views.append(_View(position, array.shape, array.dtype, span.start))
        else:
            constants.append((position, array))
    views.sort(key=lambda view: view.offset)
    pattern = Pattern(request, [(view.offset, view.offset + arrays[view.position].nbytes) for view in views])
    # A few bytes may have been sent for a large constant.
    kept_bytes = pattern.fixed + sum(array.nbytes for _, array in constants)
    if not views or kept_bytes > _MOST_KEPT_BYTES:
        return None
    # A constant that is a view of the request would keep all of it.
    return _Form(pattern, len(arrays), views, [(position, array.copy()) for position, array in constants])


def _is_view(request: bytes, span: Span, dtype: int, array: Array) -> bool:
    return decoding.is_as_is(span.field, dtype) and array.tobytes() == request[span.start : span.stop]
