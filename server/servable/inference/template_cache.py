"""The request template cache: what was worked out for one Predict request is used for the next one like it.

The requests of a client mostly differ in the values of their tensors only. So a request that was answered leaves a
template: the bytes around the values, where the values lie, and what to run. A request that fits a template needs no
parsing: the bytes around its values are compared, and its arrays are views of its own bytes. Its reply is made from the
reply template of an earlier one, if the outputs have the same shapes. What a run needs besides its arrays is worked out
once for all requests of a template, in their common `requests.Target`.

Predict keeps a cache for each `Routes`, weakly: the cache holds handles, and goes when any version or label changes.

Callers choose what is stored, so everything has a limit: the number of lengths, the templates of a length, the bytes of
a template, the shapes of its replies, and the work that is spent on requests for which no template is stored.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from weakref import ref

import numpy as np

from servable import wire
from servable.codec import decoding, encoding
from servable.codec.message_patterns import MessagePattern, ValueSpan, find_value_spans
from servable.requests import Array, Fetched, Target
from servable.servables import Handle
from servable.signatures import Signature

_MOST_LENGTHS: Final = 1024
_MOST_TEMPLATES_OF_LENGTH: Final = 8
_MOST_TEMPLATE_BYTES: Final = 4096
# Once a length had as many misses as it may have templates, a template is looked for at every 64th miss only.
_MISSES_BETWEEN_ATTEMPTS: Final = 64
# Requests of one template get few shapes of replies as a rule; a model may choose the shapes by values, though.
_MOST_REPLY_SHAPES: Final = 64
_INPUTS_FIELD: Final = wire.PredictRequest.DESCRIPTOR.fields_by_name["inputs"].number
_OUTPUTS_FIELD: Final = wire.PredictResponse.DESCRIPTOR.fields_by_name["outputs"].number
# The span of an output without values.
_NO_SPAN: Final = ValueSpan(0, 0, 0)
_NOTHING: Final = np.empty(0)


class TemplateCache:
    """The templates of requests under one `Routes`; it holds handles. Safe to share between threads."""

    def __init__(self) -> None:
        self._by_length: dict[int, _TemplatesOfLength] = {}
        self._lock = threading.Lock()

    def find(self, request: bytes) -> tuple[ParsedRequest, Sequence[Array]] | None:
        """What a request asks for and its arrays, if it fits a template."""
        length = self._by_length.get(len(request))
        if length is None:
            return None
        for template in length.templates:
            pattern, inputs, views, constants = template.layout
            if pattern.fits(request):
                template.was_used = length.was_used = True
                arrays = [_NOTHING] * inputs
                for position, shape, dtype, offset in views:
                    arrays[position] = np.ndarray(shape, dtype, request, offset)
                for position, array in constants:
                    # A copy: TensorFlow may feed an array without copying it, and some ops write into their inputs.
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
            arrays: An array for each of these. No run has had them yet: some ops write into their inputs.
        """
        if not any(map(decoding.may_be_raw_copy, sent.values())) or not self._may_attempt(len(request)):
            return None
        layout = _find_layout(request, sent, aliases, arrays)
        return None if layout is None else CacheCandidate(ref(self), layout)

    def _may_attempt(self, size: int) -> bool:
        """Count a miss; whether a template is to be looked for, which takes longer than to parse the request."""
        with self._lock:
            length = self._by_length.get(size)
            if length is None:
                if len(self._by_length) >= _MOST_LENGTHS:
                    self._drop_a_length()
                length = self._by_length[size] = _TemplatesOfLength()
            length.misses += 1
            return length.misses <= _MOST_TEMPLATES_OF_LENGTH or not length.misses % _MISSES_BETWEEN_ATTEMPTS

    def _drop_a_length(self) -> None:
        """Second-chance eviction: the oldest length goes, but one that was used gets one more round."""
        for size, length in list(self._by_length.items()):
            del self._by_length[size]
            if not length.was_used:
                return
            length.was_used = False
            self._by_length[size] = length
        del self._by_length[next(iter(self._by_length))]

    def add(self, layout: _Layout, parsed: ParsedRequest) -> None:
        """Store what requests of a layout ask for."""
        with self._lock:
            length = self._by_length.get(layout.pattern.size)
            if length is not None:
                parsed.replies = ReplyTemplates(parsed.aliases)
                length.add(_Template(layout, parsed))


class CacheCandidate(NamedTuple):
    """What is to be stored of a request once it is answered, if the cache is still there.

    Attributes:
        cache: Held weakly: a request may take long, and the cache holds the handles of all models.
        layout: Of the request.
    """

    cache: ref[TemplateCache]
    layout: _Layout

    def store(self, parsed: ParsedRequest) -> None:
        """Store what the request asks for; it has been answered."""
        cache = self.cache()
        if cache is not None:
            cache.add(self.layout, parsed)


@dataclass(slots=True, eq=False)
class ParsedRequest:
    """What a request asks for, but for the values.

    Attributes:
        handle: The version that answers.
        signature: What it is asked for.
        target: What is run.
        aliases: The outputs that are wanted, in the order in which they are fetched.
        size_bytes: See requests.Request.
        replies: The reply templates of requests like this one; None as long as no template of the request is stored.
    """

    handle: Handle
    signature: Signature
    target: Target
    aliases: Sequence[str]
    size_bytes: int
    replies: ReplyTemplates | None = None


class ReplyTemplates:
    """Makes replies from the pattern of an earlier one: the same tensors in the same shapes, with other values.

    Safe to share between threads.
    """

    __slots__ = ("_aliases", "_attempts_left", "_by_shapes", "_most")

    def __init__(self, aliases: Sequence[str]) -> None:
        """Hold none.

        Args:
            aliases: The outputs, in the order in which they are fetched.
        """
        self._aliases = aliases
        self._by_shapes: dict[Any, tuple[MessagePattern, Sequence[int]]] = {}
        self._most = self._attempts_left = _MOST_REPLY_SHAPES

    def fill(self, arrays: Sequence[Array]) -> bytes | None:
        """The reply with these arrays, if there is a template for their shapes."""
        template = self._by_shapes.get(_shapes(arrays))
        if template is None:
            return None
        pattern, order = template
        try:
            return pattern.fill(arrays if len(arrays) == 1 else [arrays[index] for index in order])
        except TypeError:  # An array that is not in C order.
            return None

    def store(self, reply: bytes, fetched: Fetched, *, as_content: bool) -> None:
        """Keep the pattern of a reply, if others can be made from it.

        Args:
            reply: A PredictResponse.
            fetched: What it was made of.
            as_content: Whether its values are in `tensor_content`.
        """
        # An attempt takes longer than to encode a reply, and some replies never make a template.
        if len(self._by_shapes) >= self._most or not self._attempts_left:
            return
        self._attempts_left -= 1
        if not all(encoding.is_raw_copy(dtype, as_content=as_content) for dtype in fetched.dtypes):
            self._most = 0
            return
        found = find_value_spans(reply, _OUTPUTS_FIELD)
        spans = {alias: found.get(alias, _NO_SPAN) for alias in self._aliases}
        order = sorted(range(len(self._aliases)), key=lambda index: spans[self._aliases[index]].start)
        holes = [spans[self._aliases[index]][1:] for index in order]
        arrays = [np.ascontiguousarray(fetched.arrays[index]) for index in order]
        pattern = MessagePattern(reply, holes)
        are_as_long = [stop - start for start, stop in holes] == [array.nbytes for array in arrays]
        if are_as_long and pattern.fill(arrays) == reply:
            self._by_shapes[_shapes(fetched.arrays)] = pattern, order


def _shapes(arrays: Sequence[Array]) -> object:
    # Nearly all models have one output, and this runs in each call.
    return arrays[0].shape if len(arrays) == 1 else tuple([array.shape for array in arrays])


class _TemplatesOfLength:
    """The templates of requests of one length.

    Attributes:
        templates: A tuple that `add` replaces, under the cache's lock; `TemplateCache.find` reads it without a lock.
        misses: How many requests fitted none.
        was_used: Whether a request fitted since the length was last spared by `_drop_a_length`.
    """

    __slots__ = ("misses", "templates", "was_used")

    def __init__(self) -> None:
        self.templates: tuple[_Template, ...] = ()
        self.misses = 0
        self.was_used = False

    def add(self, new: _Template) -> None:
        """Take a template, unless there is one for the same requests, or all are in use."""
        if any(template.layout.is_like(new.layout) for template in self.templates):
            return
        if len(self.templates) < _MOST_TEMPLATES_OF_LENGTH:
            self.templates = (*self.templates, new)
            return
        unused = next((template for template in self.templates if not template.was_used), None)
        if unused is not None:
            self.templates = (*(template for template in self.templates if template is not unused), new)
            return
        for template in self.templates:
            template.was_used = False


@dataclass(slots=True, eq=False)
class _Template:
    """The layout of requests, and what they ask for.

    Attributes:
        was_used: Whether a request fitted since `_TemplatesOfLength.add` last found all templates in use.
    """

    layout: _Layout
    parsed: ParsedRequest
    was_used: bool = False


class _Layout(NamedTuple):
    """How requests look that differ in their values only.

    Attributes:
        pattern: Their bytes.
        inputs: How many arrays each has.
        views: Those that are views of the request.
        constants: The others, by position: all requests have the same.
    """

    pattern: MessagePattern
    inputs: int
    views: Sequence[_View]
    constants: Sequence[tuple[int, Array]]

    def is_like(self, other: _Layout) -> bool:
        """Whether the same requests fit both. Constants are read from the bytes that the patterns compare."""
        return self.views == other.views and self.pattern == other.pattern


class _View(NamedTuple):
    """Which array is a view of the request, and how."""

    position: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int


def _find_layout(
    request: bytes, sent: Mapping[str, wire.TensorProto], aliases: Iterable[str], arrays: Sequence[Array]
) -> _Layout | None:
    spans, views = find_value_spans(request, _INPUTS_FIELD), []
    constants: list[tuple[int, Array]] = []
    for position, (alias, array) in enumerate(zip(aliases, arrays, strict=True)):
        span = spans.get(alias)
        if span is not None and _is_view(request, span, sent[alias].dtype, array):
            views.append(_View(position, array.shape, array.dtype, span.start))
        else:
            constants.append((position, array))
    views.sort(key=lambda view: view.offset)
    pattern = MessagePattern(request, [(view.offset, view.offset + arrays[view.position].nbytes) for view in views])
    # A few bytes may have been sent for a large constant.
    kept_bytes = pattern.fixed + sum(array.nbytes for _, array in constants)
    if not views or kept_bytes > _MOST_TEMPLATE_BYTES:
        return None
    # A constant that is a view of the request would keep all of it.
    return _Layout(pattern, len(arrays), views, [(position, array.copy()) for position, array in constants])


def _is_view(request: bytes, span: ValueSpan, dtype: int, array: Array) -> bool:
    return decoding.is_raw_copy(span.field, dtype) and array.tobytes() == request[span.start : span.stop]
