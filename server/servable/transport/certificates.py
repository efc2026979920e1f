"""The certificates that listeners use for new connections, and how new ones are taken up while the server runs.

Files are looked at every few seconds, whole: a cluster replaces them by moving a link, and other tools by writing one
after the other, so neither times of files nor notices of the system say when a set is complete. A set is taken only if
it can be used. Connections that stand keep what they began with.

Each listener gets a context of its own for each set, never a changed one: OpenSSL can add a CA to a context but not
take one away, and a client could resume a session that an old CA had vouched for, which a new context does not know.
"""

from __future__ import annotations

import datetime
import logging
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from servable.config.tls import TlsConfig, TlsSource, find_certificates
from servable.errors import ServingError
from servable.observability.families import Family, Kind
from servable.transport import x509

_log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 2.0
_TAKEN, _REFUSED = "taken", "refused"


class Certificates:
    """What listeners use for new connections. Any thread may read it.

    Attributes:
        current: The set; replaced whole.
    """

    def __init__(self, current: TlsConfig) -> None:
        """Begin with a set."""
        self.current = current


class CertificateReload:
    """Takes up new sets. One thread calls `turn`; any may call `families`."""

    def __init__(
        self,
        source: TlsSource,
        certificates: Certificates,
        checks: Sequence[Callable[[TlsConfig], object]] = (),
        clock: Callable[[], float] = time.time,
        interval_s: float = _LOOK_EVERY_S,
    ) -> None:
        """Follow a source.

        Args:
            source: Where sets come from.
            certificates: Gets them.
            checks: Called with a set before it is taken; each raises a ServingError or an ssl.SSLError to refuse it.
            clock: Seconds since 1970.
            interval_s: Seconds between two looks.
        """
        self._source, self._certificates, self._checks = source, certificates, checks
        self._clock, self._interval_s = clock, interval_s
        self._due_s: float | None = None
        # What was read last, and what it means or what is wrong with it.
        self._contents: tuple[bytes, ...] | None = None
        self._candidate: TlsConfig | None = None
        self._fault = ""
        # What was found at the last look, and whether that has been said.
        self._found: tuple[object, str] = ((), "")
        self._is_said = True
        self._outcomes: Counter[str] = Counter()
        self._expiry_s = _expiry_s(certificates.current)

    def turn(self, now_s: float) -> float:
        """Look at the files, if that is due.

        Returns:
            When the next look is due (time.monotonic).
        """
        if self._due_s is None or now_s >= self._due_s:
            self._look()
            self._due_s = now_s + self._interval_s
        return self._due_s

    def warn(self) -> None:
        """Log that the set which the server begins with is not valid now, if so; it is used all the same."""
        fault = _find_fault_of_time(self._certificates.current, self._clock())
        if fault:
            _log.warning("%s: %s", self._source.name, fault)

    def families(self) -> list[Family]:
        """The metrics of reloads, as they are now."""
        outcomes: dict[tuple[str, ...], float] = {(name,): self._outcomes[name] for name in (_TAKEN, _REFUSED)}
        return [
            Family(
                "servable_tls_reloads",
                Kind.COUNTER,
                ("outcome",),
                outcomes,
                "Changes of key, certificate or CA on disk: taken up, or refused, so that the old ones serve on.",
            ),
            Family(
                "servable_tls_certificate_expiry_timestamp_seconds",
                Kind.GAUGE,
                (),
                {} if self._expiry_s is None else {(): self._expiry_s},
                "When the server's certificate in use ceases to be valid, in seconds since 1970.",
            ),
        ]

    def _look(self) -> None:
        found = self._read()
        if found != self._found:
            self._found, self._is_said = found, not found[1]
        elif not self._is_said:
            # At the second look only: files may be written one after the other, and this is then no fault.
            self._is_said = True
            self._outcomes[_REFUSED] += 1
            _log.error("new certificates are refused, and the old ones serve on: %s", found[1])

    def _read(self) -> tuple[object, str]:
        """Take what the files hold if it is new and can be used; return what they hold, and what is wrong with it."""
        try:
            contents = self._source.read()
        except ServingError as error:
            return error.message, error.message
        if contents != self._contents:
            # Once for each change: the parser of ssl_config_file writes what it finds to stderr.
            self._contents, self._candidate, self._fault = contents, *self._parse(contents)
        fault = self._fault if self._candidate is None else self._try(self._candidate)
        return contents, fault

    def _parse(self, contents: tuple[bytes, ...]) -> tuple[TlsConfig | None, str]:
        try:
            return self._source.parse(contents), ""
        except ServingError as error:
            return None, error.message

    def _try(self, candidate: TlsConfig) -> str:
        if candidate == self._certificates.current:
            return ""
        # Tried again at each look: a certificate may become valid.
        fault = self._find_fault(candidate)
        if fault:
            return f"{self._source.name}: {fault}"
        self._certificates.current, self._expiry_s = candidate, _expiry_s(candidate)
        self._outcomes[_TAKEN] += 1
        _log.info("new certificates from %s%s", self._source.name, _until(self._expiry_s))
        return ""

    def _find_fault(self, candidate: TlsConfig) -> str:
        if candidate.client_verify != self._certificates.current.client_verify:
            return "whether clients are verified cannot change while the server runs. Restart it."
        fault = _find_fault_of_time(candidate, self._clock())
        if fault:
            return fault
        try:
            for check in self._checks:
                check(candidate)
        except ServingError as error:
            return error.message
        except ssl.SSLError as error:
            return f"OpenSSL does not take it: {error.reason}"
        return ""


def _find_fault_of_time(tls: TlsConfig, now_s: float) -> str:
    certificate = _first(tls)
    if certificate is None or certificate.valid_from_s <= now_s <= certificate.valid_until_s:
        return ""
    if now_s < certificate.valid_from_s:
        return f"the server's certificate is not valid before {_moment(certificate.valid_from_s)}"
    return f"the server's certificate has expired at {_moment(certificate.valid_until_s)}"


def _first(tls: TlsConfig) -> x509.Certificate | None:
    """The server's own certificate; None if it is of a form that only the TLS library understands."""
    try:
        return x509.read(ssl.PEM_cert_to_DER_cert(find_certificates(tls.server_cert)[0]))
    except (ValueError, IndexError):
        return None


def _expiry_s(tls: TlsConfig) -> float | None:
    certificate = _first(tls)
    return None if certificate is None else certificate.valid_until_s


def _until(expiry_s: float | None) -> str:
    return "" if expiry_s is None else f", valid until {_moment(expiry_s)}"


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
