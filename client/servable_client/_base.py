"""What the sync and the asyncio client share: settings, checked once, the deadline of a call, and the core."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from servable_client import _core
from servable_client._core import Choice, Core
from servable_client._decompression import TooLargeError, decompress
from servable_client._network import Metadata, Network, Tls, merge_metadata
from servable_client.errors import ClientClosed, DeadlineExceeded, InputError, ResourceExhausted

TIMEOUT_S = 30.0
"""The default deadline of a call, which is also what TensorFlow Serving gives its REST calls."""

RELOAD_TIMEOUT_S = 600.0
"""The default deadline of `reload_config`: a server answers it when the new models are loaded."""


MAX_DECOMPRESSED_MB = 1024.0
"""The default bound on what a compressed reply becomes, in MiB."""


class ClientBase:
    """Settings and the core; a subclass brings the I/O, and events that its flows can wait for."""

    _event_type: ClassVar[type[Any]]

    def __init__(
        self,
        target: str | Sequence[str],
        *,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout_s: float = TIMEOUT_S,
        infer: bool = True,
        retries: int = 3,
        compression: str | None = None,
        max_decompressed_mb: float = MAX_DECOMPRESSED_MB,
        tls: Tls | bool | None = None,
        token: str | Callable[[], str] | None = None,
        call_credentials: Any = None,
        metadata: Metadata | None = None,
        interceptors: Sequence[Any] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a client; nothing is connected yet.

        Args:
            target: Where the server is: `"host:port"`, `"unix:/path"`, `"dns:///host:port"` (all addresses of the
                name in turn) or any other target that gRPC knows. A list of `"host:port"` is called in turn (round
                robin); its names are resolved here and once, so that with names that change `dns:///` is right.
            model: The model that calls ask for unless they name another. So with the next three.
            version: A version; by default the newest.
            label: A version by its label, in place of `version`.
            signature: A signature; by default `serving_default`.
            timeout_s: Seconds that a call may take in all, retries included; `math.inf` for no deadline.
            infer: Whether `predict` asks for the model's signature, once for each model, version and label and once
                more for each other version that answers. It makes unnamed inputs, conversions and checks of names
                possible.
            retries: How often a call is tried again when the server is UNAVAILABLE (0 to 4, with growing, jittered
                pauses, all before the deadline). Nothing else is retried.
            compression: `"gzip"` or `"deflate"` for requests; replies are as the server sends them.
            max_decompressed_mb: MiB that a reply may have that the server has compressed, or the call is
                ResourceExhausted; `math.inf` for no bound.
            tls: True for TLS with public certificates, or a `Tls` that says which.
            token: A bearer token, or a function that is called for it at each call. Needs tls.
            call_credentials: Any `grpc.CallCredentials`. Need tls.
            metadata: Headers of all calls; a call's own come after them.
            interceptors: gRPC client interceptors, of grpc.aio for the AsyncClient. They see messages as bytes.
            options: More gRPC channel options by name, which win over the client's own.

        Raises:
            InputError: if a setting is wrong, a file of tls cannot be read or a name of a list not be resolved.
        """
        network = Network(target, retries, compression, tls, token, call_credentials, options)
        self._name = network.name
        self._connection = network.connection()
        self._interceptors = tuple(interceptors)
        self._core = Core(
            Choice(model, version, label, signature), infer=infer, name=self._name, make_event=self._event_type
        )
        self._timeout_s, self._most_bytes = timeout_s, max_decompressed_mb * (1 << 20)
        self._metadata = merge_metadata(metadata)
        self._closed = False
        Deadline(timeout_s)  # raises if it is no number
        self._open()

    def _open(self) -> None:
        """Make the channel, if it is made at once."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    def _deadline(self, timeout_s: float | None) -> Deadline:
        return Deadline(self._timeout_s if timeout_s is None else timeout_s)

    def _headers(self, metadata: Metadata | None) -> tuple[tuple[str, str | bytes], ...]:
        return merge_metadata(self._metadata, metadata) if metadata else self._metadata

    def _traced(
        self, call: _core.Call, headers: tuple[tuple[str, str | bytes], ...]
    ) -> AbstractContextManager[tuple[tuple[str, str | bytes], ...]]:
        """The headers that a call is made with, in the trace of the program if that has one."""
        # Without this module a program can neither have a current span nor say where spans go.
        if "opentelemetry.trace" not in sys.modules:
            return nullcontext(headers)
        from servable_client import _tracing

        return _tracing.traced(call, headers, self._name)

    def _time_for(self, call: _core.Call, deadline: Deadline) -> float | None:
        """The seconds that gRPC may take for a call that may be made now."""
        if self._closed:
            raise self._closed_error()
        left_s = deadline.timeout_s(call.at_most_s)
        if left_s is not None and left_s <= 0:
            raise DeadlineExceeded("the time was over before the call was sent", target=self._name, model=call.model)
        return left_s

    def _decompress(self, reply: bytes, call: _core.Call) -> bytes:
        try:
            return decompress(reply, self._most_bytes)
        except TooLargeError:
            raise ResourceExhausted(
                f"CLIENT: Received message larger than max (over {self._most_bytes:.0f}) after decompression; "
                "max_decompressed_mb sets the limit",
                target=self._name,
                model=call.model,
            ) from None

    def _closed_error(self) -> ClientClosed:
        return ClientClosed(f"{self!r} is closed")


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
