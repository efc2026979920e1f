"""How gRPC's core waits for its sockets; to be said before grpc is imported.

By default the core's event engine reads a server's sockets on threads of its own, which then wake whoever polls: four
switches of threads for each small request. Without its listener, whoever polls waits for the sockets too: a lone
request takes half the CPU, and one under load a fifth less (docs/performance.md).

Source: gRPC, doc/environment_variables.md. A core that no longer has this choice says so in one line of its log.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Final

_VARIABLE: Final = "GRPC_EXPERIMENTS"
_EXPERIMENT: Final = "event_engine_listener"


def poll_directly(environment: MutableMapping[str, str] = os.environ) -> None:
    """Leave out the event engine's listener, unless the operator has said what to do with it."""
    said = environment.get(_VARIABLE, "")
    if _EXPERIMENT not in said:
        environment[_VARIABLE] = ",".join(filter(None, (said, f"-{_EXPERIMENT}")))
