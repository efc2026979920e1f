"""HandleReloadConfigRequest: refused until the control plane can change models while they serve."""

from __future__ import annotations

from servable import requests, wire
from servable.errors import Unimplemented


def handle_reload_config_request(request: bytes, time_left_s: float | None, /) -> bytes:
    """Refuse a ReloadConfigRequest; see requests.Method.

    Raises:
        Unimplemented: always.
    """
    del time_left_s
    requests.parse(wire.ReloadConfigRequest, request)
    raise Unimplemented("This server cannot change its models while it runs. Restart it with the new config.")
