"""What may be in flight."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """Limits of one server; 0 is no limit.

    Attributes:
        calls: Calls that have arrived and are not answered.
        calls_per_model: Of these, requests for one model.
        calls_per_caller: Of these, calls of one caller.
        caller_key: The metadata, or header, in lower case, that says who calls; empty if none does.
        request_bytes: The bytes of all large messages of calls in flight.
        is_adaptive: Whether each model's calls are also limited by what it was found to manage.
    """

    calls: int = 0
    calls_per_model: int = 0
    calls_per_caller: int = 0
    caller_key: str = ""
    request_bytes: int = 0
    is_adaptive: bool = False
