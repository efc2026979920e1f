"""The audit log: one line of JSON for each management call, and for what the server itself does.

It goes to the logger `servable.audit`, at whatever level the log is: collectors pick it out by that name. A line says
who did what when, from where, to which models, and how it ended; never what a call held, nor the text of its error.
"""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Sequence
from typing import Any, Final

from servable.authorization.credentials import make_printable
from servable.calls import Action, CallRecord
from servable.errors import Code

_log = logging.getLogger("servable.audit")

AUDITED: Final = frozenset({Action.RELOAD, Action.PROFILE})
# A line of the log is cut when it is longer than these names can make it.
_MOST_MODELS: Final = 50
_NS_PER_S: Final = 1_000_000_000


class AuditLog:
    """Writes the audit log. Thread-safe."""

    def __init__(self) -> None:
        """Let its lines through, whatever the level of the other log is."""
        _log.setLevel(logging.INFO)

    def take(self, record: CallRecord, models: Sequence[str] = ()) -> None:
        """Write down a management call that has been answered, or refused; other calls are left out.

        Args:
            record: The call.
            models: The models that it concerns, for a reload: those that it names, and those that were served.
        """
        action = record.method.action
        if action not in AUDITED or action is None:
            return
        identities = record.context.identities()
        named = list(models) or ([record.model] if record.model else [])
        _write(
            record.began_ns,
            action=action.value,
            api=record.method.api,
            entrypoint=record.method.entrypoint,
            principal=record.principal or "anonymous",
            certificate=make_printable(identities[0]) if identities else "",
            peer=record.context.peer(),
            models=[make_printable(name) for name in named[:_MOST_MODELS]],
            more_models=max(len(named) - _MOST_MODELS, 0),
            code=Code(record.code).name,
        )

    def note_start(self, time_ns: int, version: str) -> None:
        """Write down that the server has started.

        Args:
            time_ns: When (time.time_ns).
            version: Ours.
        """
        _write(time_ns, action="start", version=version)

    def note_stop(self, time_ns: int, reason: str) -> None:
        """Write down that the server stops.

        Args:
            time_ns: When (time.time_ns).
            reason: Such as the name of a signal.
        """
        _write(time_ns, action="stop", reason=reason)


def _write(time_ns: int, **fields: Any) -> None:
    time = datetime.datetime.fromtimestamp(time_ns / _NS_PER_S, datetime.timezone.utc)
    _log.info("%s", json.dumps({"time": time.isoformat(timespec="milliseconds"), **fields}))
