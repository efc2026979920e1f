"""A bounded cache of what expires. It is keyed by digests, so that it holds no secret."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class ExpiringCache(Generic[KeyT, ValueT]):
    """The values that were used last, each until its time. Thread-safe."""

    def __init__(self, most_values: int) -> None:
        """Hold nothing yet.

        Args:
            most_values: When it holds more, the one that was not used for the longest time goes.
        """
        self._most_values = most_values
        self._lock = threading.Lock()
        self._values: OrderedDict[KeyT, tuple[ValueT, float]] = OrderedDict()

    def get(self, key: KeyT, now_s: float) -> ValueT | None:
        """The value of a key, if it is known and has not expired."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            if found[1] <= now_s:
                del self._values[key]
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: KeyT, value: ValueT, expires_s: float) -> None:
        """Remember a value until a time of the clock that `get` is given."""
        with self._lock:
            self._values[key] = (value, expires_s)
            self._values.move_to_end(key)
            if len(self._values) > self._most_values:
                self._values.popitem(last=False)

    def __len__(self) -> int:
        return len(self._values)
