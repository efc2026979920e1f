"""The names in a peer's certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def grpc_identities(auth_context: Mapping[str, Sequence[bytes]]) -> Sequence[str]:
    """The names of a gRPC peer; see calls.CallContext."""
    del auth_context
    return ()


def http_identities(ssl_object: Any) -> Sequence[str]:
    """The names of an HTTPS peer; see calls.CallContext."""
    del ssl_object
    return ()
