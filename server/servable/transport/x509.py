r"""What is needed of an X.509 certificate: how long it is valid, and its names. Pure.

TLS libraries have a reader, but what they hand on is not fit to decide by: gRPC's cuts a name at a NUL, so that a
certificate for `admin.example\0.evil.example` reads as `admin.example` (measured with grpcio 1.85), and Python's gives
no dates for the server's own certificate. This one reads DER (RFC 5280), and only of certificates that a TLS library
has read before. Nothing here says whether a certificate is to be trusted.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

_COMMON_NAME: Final = bytes.fromhex("550403")
_SUBJECT_ALTERNATIVE_NAME: Final = bytes.fromhex("551d11")

_OCTETS, _OBJECT_ID, _SEQUENCE, _SET = 0x04, 0x06, 0x30, 0x31
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_UTF8, _PRINTABLE, _IA5 = 0x0C, 0x13, 0x16
# Tags of the context: the fields of a certificate, then the forms of a GeneralName.
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _URI = 0x82, 0x86
_LONGEST_LENGTH: Final = 4


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate. Names are as they stand in it, one character a byte but for common names: not checked at all.

    Attributes:
        valid_from_s: Seconds since 1970.
        valid_until_s: The same.
        common_names: Those of the subject.
        uris: The URIs among the subject's alternative names.
        dns_names: The DNS names among them.
    """

    valid_from_s: float
    valid_until_s: float
    common_names: tuple[str, ...]
    uris: tuple[str, ...]
    dns_names: tuple[str, ...]


def read(der: bytes) -> Certificate:
    """Read a certificate.

    Raises:
        ValueError: if it is not one, or is of a form that no CA makes.
    """
    (certificate,) = _parts(der)
    body, _algorithm, _signature = _parts(certificate.within(_SEQUENCE))
    fields = [field for field in _parts(body.within(_SEQUENCE)) if field.tag != _VERSION]
    _serial, _kind, _issuer, validity, subject, *others = fields
    valid_from, valid_until = _parts(validity.within(_SEQUENCE))
    extensions = [extension for field in others if field.tag == _EXTENSIONS for extension in _parts(field.content)]
    names = [name for extension in extensions for name in _alternative_names(extension)]
    return Certificate(
        valid_from_s=_seconds(valid_from),
        valid_until_s=_seconds(valid_until),
        common_names=tuple(_common_names(subject)),
        uris=tuple(name.content.decode("latin-1") for name in names if name.tag == _URI),
        dns_names=tuple(name.content.decode("latin-1") for name in names if name.tag == _DNS_NAME),
    )


class _Part(NamedTuple):
    """A value in DER."""

    tag: int
    content: bytes

    def within(self, tag: int) -> bytes:
        """The content, if the tag is the right one."""
        if self.tag != tag:
            raise ValueError(f"tag {self.tag:#x} in place of {tag:#x}")
        return self.content


def _parts(der: bytes) -> Iterator[_Part]:
    """The values that stand one after the other."""
    at = 0
    while at < len(der):
        start, length = _length(der, at + 1)
        if start + length > len(der):
            raise ValueError("cut off")
        yield _Part(der[at], der[start : start + length])
        at = start + length


def _length(der: bytes, at: int) -> tuple[int, int]:
    """Where the content begins, and its length."""
    first = der[at] if at < len(der) else 0x80
    if first < 0x80:
        return at + 1, first
    count = first & 0x7F
    if not 1 <= count <= _LONGEST_LENGTH:
        raise ValueError("no length")
    return at + 1 + count, int.from_bytes(der[at + 1 : at + 1 + count], "big")


def _seconds(time: _Part) -> float:
    if time.tag not in {_UTC_TIME, _GENERALIZED_TIME}:
        raise ValueError("no time")
    text = time.content.decode("ascii")
    if time.tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    moment = datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ")
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()


def _common_names(subject: _Part) -> Iterator[str]:
    for group in _parts(subject.within(_SEQUENCE)):
        for attribute in _parts(group.within(_SET)):
            kind, value = _parts(attribute.within(_SEQUENCE))
            if kind.within(_OBJECT_ID) == _COMMON_NAME and value.tag in {_UTF8, _PRINTABLE, _IA5}:
                yield value.content.decode("utf-8")


def _alternative_names(extensions: _Part) -> Iterator[_Part]:
    for extension in _parts(extensions.within(_SEQUENCE)):
        kind, *_critical, value = _parts(extension.within(_SEQUENCE))
        if kind.within(_OBJECT_ID) == _SUBJECT_ALTERNATIVE_NAME:
            (names,) = _parts(value.within(_OCTETS))
            yield from _parts(names.within(_SEQUENCE))
