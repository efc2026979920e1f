"""Replies that are made by the pattern of an earlier one: the same tensors in the same shapes, with other values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from servable import wire
from servable.codec import encoding, value_spans
from servable.codec.pattern import Pattern
from servable.codec.value_spans import Span
from servable.requests import Fetched

# Requests of one kind get few shapes of replies as a rule; a model may choose them by values, though.
_MOST_SHAPES = 64
# Of an output without values.
_NOWHERE = Span(0, 0, 0)
_OUTPUTS_FIELD = wire.PredictResponse.DESCRIPTOR.fields_by_name["outputs"].number


class ReplyTemplates:
    """The replies to requests that differ in their values only. Safe to share between threads."""

    __slots__ = ("_aliases", "_by_shapes", "_most", "_tries")

    def __init__(self, aliases: Sequence[str]) -> None:
        """Hold none.

        Args:
            aliases: The outputs, in the order in which they are fetched.
        """
        self._aliases = aliases
        self._by_shapes: dict[Any, tuple[Pattern, Sequence[int]]] = {}
        self._most = self._tries = _MOST_SHAPES

    def fill(self, arrays: Sequence[np.ndarray[Any, Any]]) -> bytes | None:
        """The reply with these arrays, if there is a template for their shapes."""
        known = self._by_shapes.get(_shapes(arrays))
        if known is None:
            return None
        pattern, order = known
        try:
            return pattern.fill(arrays if len(arrays) == 1 else [arrays[index] for index in order])
        except TypeError:  # An array that is not in C order.
            return None

    def store(self, reply: bytes, fetched: Fetched, *, as_content: bool) -> None:
        """Keep the pattern of a reply, if others can be made by it.

        Args:
            reply: A PredictResponse.
            fetched: What it was made of.
            as_content: Whether its values are in `tensor_content`.
        """
        # To try takes longer than to encode a reply, and some replies never make a template.
        if len(self._by_shapes) >= self._most or not self._tries:
            return
        self._tries -= 1
        if not all(encoding.is_as_is(dtype, as_content=as_content) for dtype in fetched.dtypes):
            self._most = 0
            return
        found = value_spans.find(reply, _OUTPUTS_FIELD)
        spans = {alias: found.get(alias, _NOWHERE) for alias in self._aliases}
        order = sorted(range(len(self._aliases)), key=lambda index: spans[self._aliases[index]].start)
        holes = [spans[self._aliases[index]][1:] for index in order]
        arrays = [np.ascontiguousarray(fetched.arrays[index]) for index in order]
        pattern = Pattern(reply, holes)
        are_as_long = [stop - start for start, stop in holes] == [array.nbytes for array in arrays]
        if are_as_long and pattern.fill(arrays) == reply:
            self._by_shapes[_shapes(fetched.arrays)] = pattern, order


def _shapes(arrays: Sequence[np.ndarray[Any, Any]]) -> object:
    # Nearly all have one, and each call counts.
    return arrays[0].shape if len(arrays) == 1 else tuple([array.shape for array in arrays])
