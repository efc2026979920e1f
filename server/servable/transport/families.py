"""The metrics that each transport has, by the way in: `GRPC` or `REST`."""

from __future__ import annotations

from servable.observability.families import Family, Kind


def requests_in_flight(entrypoint: str, count: int) -> Family:
    """How many requests have come and are not answered."""
    name = "servable_requests_in_flight"
    return Family(name, Kind.GAUGE, ("entrypoint",), {(entrypoint,): count}, "Requests under way.")


def client_aborts(entrypoint: str, count: int) -> Family:
    """How many requests ended before they were answered."""
    return Family(
        "servable_client_aborts",
        Kind.COUNTER,
        ("entrypoint",),
        {(entrypoint,): count},
        "Requests that ended before they were answered: cancelled, disconnected or too late.",
    )


def refused_messages(count: int) -> Family:
    """How many messages over gRPC were not decompressed."""
    name, meaning = "servable_refused_compressed_messages", "Compressed messages that were too large, or too many."
    return Family(name, Kind.COUNTER, (), {(): count}, meaning)
