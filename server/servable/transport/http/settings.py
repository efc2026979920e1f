"""How an HTTP listener listens, and what it bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from servable.transport.certificates import Certificates

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a caller may send and how long it may take. The original bounds only what gzip expands to.

    Attributes:
        head_bytes: Of a request line and its headers.
        headers: Their number.
        body_bytes: Of one body, as sent.
        unzipped_bytes: Of one body that was sent with gzip; a larger one counts as empty, as in the original.
        pending_bytes: Of all requests that have not been answered, and of large replies that have not been read.
        connections: Open at the same time; at most half as many as the process may open files.
        head_s: For a head, from the first byte on or, on a new connection, from its beginning; for a TLS handshake too.
        grace_s: For a body and for a reply, before their rate counts.
        bytes_per_s: What a client must send of a body, and read of a reply, on average after that time.
        idle_s: Between a reply and the next request.
        age_s: After so long, and up to a tenth more, a reply says that its connection will be closed; 0: never.
        linger_s: How long a body that was refused is read on, so that its client gets to read why.
        look_s: Between two looks at the times of all connections, which are right to that.
        drain_idle_s: How long idle connections stay open in a drain, for a request that may be on its way.
    """

    head_bytes: int = 256 * 1024
    headers: int = 8192
    body_bytes: int = 256 * MIB
    unzipped_bytes: int = 100 * MIB
    pending_bytes: int = 1024 * MIB
    connections: int = 4096
    head_s: float = 10.0
    grace_s: float = 10.0
    bytes_per_s: int = 1024
    idle_s: float = 75.0
    age_s: float = 0.0
    linger_s: float = 2.0
    look_s: float = 1.0
    drain_idle_s: float = 1.0


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How a server listens.

    Attributes:
        port: 0 means any free one.
        host: An address or a name; empty for all addresses, of IPv6 and IPv4 or, where there is no IPv6, of that.
        certificates: TLS by these; None for clear text.
        limits: What is bounded.
        name: The name of the server's thread.
    """

    port: int
    host: str = ""
    certificates: Certificates | None = None
    limits: HttpLimits = field(default_factory=HttpLimits)
    name: str = "http"
