"""The request template cache: what was worked out for one Predict request is used for the next one like it.

The requests of a client mostly differ in nothing but the values of their tensors. So one that was answered leaves
its pattern: the bytes around the values, where these lie, and what to run. A request that fits needs no parsing, and
its arrays are views of its own bytes.

Callers choose what is stored, so there is an end to it: in lengths, in templates of a length, in bytes of a template,
and in the work that requests pay for which no template is stored.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from weakref import ref

import numpy as np

from servable import wire
from servable.codec import decoding, value_spans
from servable.codec.pattern import Pattern
from servable.codec.value_spans import Span
from servable.inference.reply_templates import ReplyTemplates
from servable.requests import Array, Target
from servable.routing import Handle
from servable.signatures import Signature

_MOST_LENGTHS: Final = 1024
_MOST_OF_A_LENGTH: Final = 8
_MOST_KEPT_BYTES: Final = 4096
# After as many requests of a length as it may have templates, only every so many of them that fit none is looked at.
_MISSES_BETWEEN_TRIES: Final = 64
_INPUTS_FIELD: Final = wire.PredictRequest.DESCRIPTOR.fields_by_name["inputs"].number


@dataclass(slots=True, eq=False)
class ParsedRequest:
    """What a request asks for, but for the values.

    Attributes:
        handle: The version that answers.
        signature: What it is asked for.
        target: What is run.
        aliases: The outputs that are wanted, in the order in which they are fetched.
        size_bytes: See requests.Request.
        replies: Templates of the replies to requests like this one; None if it is not known whether there are any.
    """

    handle: Handle
    signature: Signature
    target: Target
    aliases: Sequence[str]
    size_bytes: int
    replies: ReplyTemplates | None = None


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

    def is_like(self, other: _Form) -> bool:
        """Whether the same requests fit both. Constants are read from the bytes that the patterns compare."""
        return self.views == other.views and self.pattern == other.pattern


@dataclass(slots=True, eq=False)
class _Template:
    """A form, and what requests of it ask for.

    Attributes:
        was_used: Whether a request fitted since a form last found no place, as all were used.
    """

    form: _Form
    parsed: ParsedRequest
    was_used: bool = False


class _Length:
    """The templates for requests of one length.

    Attributes:
        templates: Changed under the cache's lock only, by a new tuple: threads that look for a template have none.
        misses: How many requests fitted none.
        was_used: Whether a request fitted since the length was last saved from being dropped.
    """

    __slots__ = ("misses", "templates", "was_used")

    def __init__(self) -> None:
        self.templates: tuple[_Template, ...] = ()
        self.misses = 0
        self.was_used = False

    def add(self, new: _Template) -> None:
        """Take a template, unless there is one for the same requests, or all are in use."""
        if any(template.form.is_like(new.form) for template in self.templates):
            return
        if len(self.templates) < _MOST_OF_A_LENGTH:
            self.templates = (*self.templates, new)
            return
        unused = next((template for template in self.templates if not template.was_used), None)
        if unused is not None:
            self.templates = (*(template for template in self.templates if template is not unused), new)
            return
        for template in self.templates:
            template.was_used = False


class TemplateCache:
    """The templates of requests as long as the routes stay as they are: it holds handles. Safe to share by threads."""

    def __init__(self) -> None:
        self._by_length: dict[int, _Length] = {}
        self._lock = threading.Lock()

    def find(self, request: bytes) -> tuple[ParsedRequest, Sequence[Array]] | None:
        """What a request asks for and its arrays, if it fits a template."""
        length = self._by_length.get(len(request))
        if length is None:
            return None
        for template in length.templates:
            pattern, inputs, views, constants = template.form
            if pattern.fits(request):
                template.was_used = length.was_used = True
                arrays = [_NOTHING] * inputs
                for position, shape, dtype, offset in views:
                    arrays[position] = np.ndarray(shape, dtype, request, offset)
                for position, array in constants:
                    # TensorFlow takes it as it is, and some ops write into what they are given.
                    arrays[position] = array.copy()
                return template.parsed, arrays
        return None

    def make_candidate(
        self, request: bytes, sent: Mapping[str, wire.TensorProto], aliases: Iterable[str], arrays: Sequence[Array]
    ) -> CacheCandidate | None:
        """What is to be stored of a request once it is answered; None if that is nothing.

        Args:
            request: A PredictRequest that fits no template.
            sent: Its inputs.
            aliases: The inputs of its signature.
            arrays: An array for each of these; no run has seen them yet, since some ops write into what they are given.
        """
        if not any(map(decoding.may_be_as_is, sent.values())) or not self._may_try(len(request)):
            return None
        form = _find_form(request, sent, aliases, arrays)
        return None if form is None else CacheCandidate(ref(self), form)

    def _may_try(self, size: int) -> bool:
        with self._lock:
            length = self._by_length.get(size)
            if length is None:
                if len(self._by_length) >= _MOST_LENGTHS:
                    self._drop_a_length()
                length = self._by_length[size] = _Length()
            length.misses += 1
            return length.misses <= _MOST_OF_A_LENGTH or not length.misses % _MISSES_BETWEEN_TRIES

    def _drop_a_length(self) -> None:
        """Drop the oldest that was not used; those that were get one more round."""
        for size, length in list(self._by_length.items()):
            del self._by_length[size]
            if not length.was_used:
                return
            length.was_used = False
            self._by_length[size] = length
        del self._by_length[next(iter(self._by_length))]

    def add(self, form: _Form, parsed: ParsedRequest) -> None:
        """Store what requests of a form ask for."""
        with self._lock:
            length = self._by_length.get(form.pattern.size)
            if length is not None:
                parsed.replies = ReplyTemplates(parsed.aliases)
                length.add(_Template(form, parsed))


class CacheCandidate(NamedTuple):
    """What is to be stored of a request, as long as the routes it was asked under are there.

    Attributes:
        cache: Where. Not held: a request may take long, and the cache holds the handles of all models.
        form: Of the request.
    """

    cache: ref[TemplateCache]
    form: _Form

    def store(self, parsed: ParsedRequest) -> None:
        """Store what the request asks for; it has been answered."""
        cache = self.cache()
        if cache is not None:
            cache.add(self.form, parsed)


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
