"""Messages that differ in nothing but some bytes: what they have in common, to know and to make one by. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

Buffer: TypeAlias = Any
"""Contiguous bytes of any kind: bytes, or an ndarray in C order."""


class Pattern:
    """The fixed bytes of a message around its holes. Safe to share between threads.

    Attributes:
        size: The bytes of a message.
        fixed: How many of these are the same in each.
    """

    __slots__ = ("_head", "_rest", "fixed", "size")

    def __init__(self, message: bytes, holes: Iterable[tuple[int, int]]) -> None:
        """The pattern of messages like this one.

        Args:
            message: One of them.
            holes: The start and stop of each part in which they differ, in order.
        """
        edges = [0, *(edge for hole in holes for edge in hole), len(message)]
        pieces = [(start, message[start:stop]) for start, stop in list(pairwise(edges))[::2]]
        self.size = len(message)
        self.fixed = sum(len(piece) for _, piece in pieces)
        self._head = pieces[0][1]
        self._rest = tuple(pieces[1:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return self.size, self._head, self._rest

    def fits(self, message: bytes) -> bool:
        """Whether a message is like the pattern's."""
        if len(message) != self.size or not message.startswith(self._head):
            return False
        # A loop, since a generator takes longer than the comparison.
        for start, piece in self._rest:  # noqa: SIM110
            if not message.startswith(piece, start):
                return False
        return True

    def fill(self, contents: Sequence[Buffer]) -> bytes:
        """The message with these contents of its holes, each as long as the hole.

        Raises:
            TypeError: if one is not contiguous.
        """
        parts = [self._head]
        for content, (_, piece) in zip(contents, self._rest, strict=True):
            parts += (content, piece)
        return b"".join(parts)
