"""Authorization of a server: the rules in force, and the thread that reads their files again and again.

A new content is taken up as a whole or not at all: one that is wrong leaves the rules as they were, is logged and
counted. What the old rules had found out about callers goes with them, so a key that was taken out of a key set holds
no longer than until the next reading.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from servable.authorization import rules_file
from servable.authorization.principal import Principal
from servable.authorization.refusals import MissingCredentials
from servable.authorization.ruling import Ruling, find_header
from servable.calls import CallContext
from servable.errors import InvalidArgument, ServingError, Unauthenticated
from servable.loops import Loop
from servable.observability.families import Family, Kind
from servable.options import ServerOptions

if TYPE_CHECKING:
    from servable.authorization.tokens import TokenVerifier

_log = logging.getLogger(__name__)

_OUTCOMES: Final = ("changed", "failed")
_REASONS: Final = ("missing", "invalid", "flood")


class Authorizer:
    """Finds out who calls. Thread-safe, but for `turn`."""

    def __init__(self, path: str, poll_s: float = 0.0, clock: Callable[[], float] = time.time) -> None:
        """Read the rules.

        Args:
            path: The file of rules.
            poll_s: Seconds between two readings of the files; 0 or less: once, now.
            clock: Seconds since 1970.

        Raises:
            ServingError: If a file cannot be read or is wrong, or if rules name tokens without the extra for them.
        """
        self._path, self._poll_s, self._clock = path, poll_s, clock
        self._loop = Loop("authorization", self.turn)
        self._lock = threading.Lock()
        self._refusals: Counter[str] = Counter()
        self._reloads: Counter[str] = Counter()
        self._due_s: float | None = None
        self._last_fault = ""
        self._content = rules_file.read(path)
        self._ruling = make_ruling(path, self._content, clock)

    def identify(self, context: CallContext) -> Principal:
        """Find out who calls. It takes 2 us for who is known already.

        Raises:
            Unauthenticated: If what the caller shows is missing, wrong, or holds no more.
            ResourceExhausted: If the peer has sent too many tokens with wrong signatures.
        """
        try:
            return self._ruling.identify(find_header(context), context.identities(), context.peer)
        except ServingError as error:
            self._count_refusal(error)
            raise

    def start(self) -> None:
        """Start to follow the files, if that is wanted."""
        if self._poll_s > 0:
            self._loop.start()

    def stop(self) -> None:
        """End the thread."""
        self._loop.stop()

    def turn(self, now_s: float) -> float:
        """Read the files and take them up, if that is due. What is wrong is logged once, and changes nothing.

        Returns:
            When the next reading is due.
        """
        if self._due_s is None:
            self._due_s = now_s + self._poll_s
        elif now_s >= self._due_s:
            self._note(self._reload())
            self._due_s = now_s + self._poll_s
        return self._due_s

    def families(self) -> list[Family]:
        """What has been counted; see docs/authorization.md."""
        reloads: dict[tuple[str, ...], float] = {(outcome,): self._reloads[outcome] for outcome in _OUTCOMES}
        refusals: dict[tuple[str, ...], float] = {(reason,): self._refusals[reason] for reason in _REASONS}
        return [
            Family(
                "servable_authorization_reloads_total",
                Kind.COUNTER,
                ("outcome",),
                reloads,
                "Changes of the rules and key sets that were taken up, or were wrong and left aside.",
            ),
            Family(
                "servable_authorization_refusals_total",
                Kind.COUNTER,
                ("reason",),
                refusals,
                "Calls without credentials, with wrong ones, or from a peer that sent too many wrong ones.",
            ),
        ]

    def _reload(self) -> str:
        """Take up the files if they have changed; return what is wrong, or an empty text."""
        try:
            content = rules_file.read(self._path, self._content)
            if content.texts == self._content.texts:
                return ""
            ruling = make_ruling(self._path, content, self._clock)
        except ServingError as error:
            return error.message
        self._content, self._ruling = content, ruling
        self._reloads["changed"] += 1
        _log.info("authorization: %d rules of %s hold from now on", len(ruling.rules.rules), self._path)
        return ""

    def _note(self, fault: str) -> None:
        if fault and fault != self._last_fault:
            self._reloads["failed"] += 1
            _log.error("authorization: the rules stay as they were: %s", fault)
        self._last_fault = fault

    def _count_refusal(self, error: ServingError) -> None:
        reason = "missing" if isinstance(error, MissingCredentials) else "invalid"
        with self._lock:
            self._refusals[reason if isinstance(error, Unauthenticated) else "flood"] += 1


def make_authorizer(options: ServerOptions) -> Authorizer | None:
    """The authorization that the flags ask for; None without a file of rules.

    Raises:
        ServingError: As Authorizer does.
    """
    if not options.authorization_file:
        return None
    return Authorizer(options.authorization_file, options.authorization_poll_s)


def make_ruling(path: str, content: rules_file.Content, clock: Callable[[], float] = time.time) -> Ruling:
    """Put rules in force.

    Args:
        path: Their file, for errors.
        content: What it and the files that it names hold.
        clock: Seconds since 1970.

    Raises:
        InvalidArgument: If a key set is wrong, or the extra for tokens is missing.
    """
    return Ruling(content.rules, _make_verifier(path, content, clock), clock)


def _make_verifier(path: str, content: rules_file.Content, clock: Callable[[], float]) -> TokenVerifier | None:
    issuers = content.rules.issuers
    if not issuers:
        return None
    try:
        from servable.authorization import jwks, tokens
    except ImportError:
        raise InvalidArgument(
            f"authorization_file '{path}': issuer: JSON Web Tokens need PyJWT with cryptography; "
            "pip install 'servable[jwt]', or leave issuer and jwt away."
        ) from None
    keys = [(issuer, jwks.parse(issuer.jwks_path, content.texts[issuer.jwks_path])) for issuer in issuers]
    return tokens.TokenVerifier(keys, clock=clock)
