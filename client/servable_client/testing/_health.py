"""grpc.health.v1 of a fake server. Its two messages have one field each, so they are read and written by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from servable_client import _wire_format
from servable_client.errors import NotFound
from servable_client.replies import Health

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
# How long a Watch stream waits before it looks whether its call is over.
_LOOK_S = 0.2


def read_service(request: bytes) -> str:
    """The service name of a HealthCheckRequest.

    Raises:
        Malformed: if the bytes are no message.
    """
    found = ""
    for each in _wire_format.fields(request, 0, len(request)):
        if each.number == 1 and each.wire_type == _wire_format.LENGTH_DELIMITED:
            found = request[each.value : each.end].decode(errors="replace")
    return found


def _reply(status: Health) -> bytes:
    return b"\x08" + _wire_format.varint(status)


class HealthBoard:
    """The health of each name: as the test set it, else as its lookup says. Thread-safe."""

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        """Serve the names that a lookup knows."""
        self._is_known = is_known
        self._set: dict[str, Health] = {}
        self._changed = threading.Condition()

    def set(self, name: str, status: Health) -> None:
        """Tell this from now on, to watchers too."""
        with self._changed:
            self._set[name] = status
            self._changed.notify_all()

    def check(self, name: str) -> bytes:
        """The reply of Check.

        Raises:
            NotFound: if nobody knows the name.
        """
        status = self._find(name)
        if status is Health.SERVICE_UNKNOWN:
            raise NotFound("unknown service")
        return _reply(status)

    def watch(self, name: str, is_active: Callable[[], bool]) -> Iterator[bytes]:
        """The replies of Watch: the status now, and each change, as long as the call is active."""
        told: Health | None = None
        while is_active():
            with self._changed:
                status = self._find(name)
                if status is told:
                    self._changed.wait(_LOOK_S)
                    continue
            told = status
            yield _reply(status)

    def _find(self, name: str) -> Health:
        known = Health.SERVING if self._is_known(name) else Health.SERVICE_UNKNOWN
        return self._set.get(name, known)
