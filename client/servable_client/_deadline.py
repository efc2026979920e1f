"""When a flow must be done."""

from __future__ import annotations

import math
import time

from servable_client.errors import InputError


class Deadline:
    """A point in time, counted from now."""

    def __init__(self, timeout_s: float) -> None:
        if not isinstance(timeout_s, (int, float)) or math.isnan(timeout_s):
            raise InputError(f"timeout_s: expected seconds (math.inf for no deadline), got {timeout_s!r}")
        self._at_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """The seconds that are left; none or fewer when it is over, infinite if there is no deadline."""
        return self._at_s - time.monotonic()

    def timeout_s(self, at_most_s: float | None = None) -> float | None:
        """The seconds that a call may take, as gRPC takes them: None without a deadline."""
        left_s = self.left_s() if at_most_s is None else min(self.left_s(), at_most_s)
        return None if math.isinf(left_s) else left_s
