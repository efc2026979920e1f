"""Whether the console is served, and whom it answers. Pure.

A site that somebody visits can let its own name point to a loopback address, and its scripts would then read what is
served there (DNS rebinding). The name stands in the header Host, so on a loopback address only `localhost` and IP
addresses are answered: neither can be such a name.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_HOST: Final = re.compile(r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<plain>[^:\[\]]*))(?::[0-9]*)?")
_SAME_SITE: Final = frozenset({b"same-origin", b"none"})


def is_served(choice: str, bind_address: str) -> bool:
    """Whether the REST port has a console.

    Args:
        choice: The value of --console: `auto`, `true` or `false`.
        bind_address: Where the server listens.
    """
    return is_loopback(bind_address) if choice == "auto" else choice == "true"


def is_loopback(bind_address: str) -> bool:
    """Whether only this machine reaches an address."""
    address = bind_address.removeprefix("[").removesuffix("]")
    parsed = _parse(address)
    return address == "localhost" if parsed is None else parsed.is_loopback


def is_host_answered(host: bytes | None, bind_address: str) -> bool:
    """Whether a request with this header Host may see the console. No browser leaves the header out."""
    if host is None or not is_loopback(bind_address):
        return True
    match = _HOST.fullmatch(host.decode("latin-1"))
    if match is None:
        return False
    if match["bracketed"] is not None:
        return _parse(match["bracketed"]) is not None
    name = match["plain"].lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or _parse(name) is not None


def is_of_another_site(fetch_site: bytes | None) -> bool:
    """Whether a browser says, in Sec-Fetch-Site, that a page of another site asks."""
    return fetch_site is not None and fetch_site not in _SAME_SITE


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None
