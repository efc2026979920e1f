"""The files of the page, read once, and the headers with which a browser trusts them and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from servable.http_exchange import HttpReply, HttpRequest

START: Final = "index.html"
_TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Trusted Types make a browser refuse each assignment that would parse text as HTML: names of models are never markup.
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
SECURITY: Final[Sequence[tuple[bytes, bytes]]] = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""The headers of every reply of the console."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    content_type: str
    etag: bytes


class Pages:
    """The files. Each is asked for again at each visit, and sent again only if another version of the server has it."""

    def __init__(self) -> None:
        """Read them from the package."""
        self._files = {
            entry.name: _make_file(entry.name, entry.read_bytes())
            for entry in resources.files("servable.console").joinpath("static").iterdir()
            if entry.name.rpartition(".")[2] in _TYPES
        }

    def answer(self, name: str, request: HttpRequest) -> HttpReply | None:
        """The reply with a file; None if there is no such file."""
        file = self._files.get(name)
        if file is None:
            return None
        headers = (*SECURITY, (b"cache-control", b"no-cache"), (b"etag", file.etag))
        if file.etag in _split(request.header(b"if-none-match")):
            return HttpReply(304, b"", None, headers)
        return HttpReply(200, file.content, file.content_type, headers)


def _make_file(name: str, content: bytes) -> _File:
    digest = hashlib.sha256(content).hexdigest()[:20]
    return _File(content, _TYPES[name.rpartition(".")[2]], f'"{digest}"'.encode())


def _split(etags: bytes | None) -> Sequence[bytes]:
    # A proxy that compresses makes a tag a weak one.
    return [etag.strip().removeprefix(b"W/") for etag in (etags or b"").split(b",")]
