"""The orders to misbehave that are still to be carried out."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from servable_client.errors import ServingError
from servable_client.testing._faults import Fault
from servable_client.testing._methods import METHODS
from servable_client.testing._requests import Request

HEALTH = {"Check", "Watch"}
_METHODS = {method.name for method in METHODS.values()} | HEALTH


@dataclass(slots=True)
class _Order:
    fault: Fault | ServingError
    times: int | None
    method: str | None
    model: str | None

    def fits(self, request: Request) -> bool:
        method_fits = request.method == self.method or (self.method is None and request.method not in HEALTH)
        return method_fits and self.model in {None, request.model}


class Orders:
    """Orders in the order they were given. Thread-safe."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault | ServingError, times: int | None, method: str | None, model: str | None) -> None:
        """Take an order.

        Raises:
            ValueError: if there is no such method, or times is less than 1.
        """
        if method is not None and method not in _METHODS:
            raise ValueError(f"no method {method!r}; there are: {', '.join(sorted(_METHODS))}")
        if times is not None and times < 1:
            raise ValueError(f"times is {times}; it must be at least 1, or None for all calls")
        with self._lock:
            self._orders.append(_Order(fault, times, method, model))

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._orders.clear()

    def take(self, request: Request) -> Fault | ServingError | None:
        """What to do to a request; None for nothing."""
        with self._lock:
            order = next((each for each in self._orders if each.fits(request)), None)
            if order is None:
                return None
            if order.times is not None:
                order.times -= 1
                if order.times == 0:
                    self._orders.remove(order)
            return order.fault
