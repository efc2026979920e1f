"""Whether the console is served, and which requests it answers.

A page of an attacker, open in the browser of somebody who may reach this server, can resolve a name of the attacker's
to this server's address, and then read what the server answers ("DNS rebinding"). The request names that host. So a
console on a loopback address answers only to hosts that cannot be anybody's: addresses, and `localhost`.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from servable.options import CONSOLE_CHOICES

_AUTO, _ON, _ = CONSOLE_CHOICES
_LOCAL_NAME: Final = "localhost"


def is_served(choice: str, bind_address: str) -> bool:
    """Whether there is a console, by `--console`; by default where only this machine reaches it."""
    return choice == _ON or (choice == _AUTO and is_loopback(bind_address))


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address to listen on."""
    host = address.removeprefix("[").removesuffix("]")
    if host == _LOCAL_NAME:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_ask(host: bytes | None, bind_address: str) -> bool:
    """Whether a request is answered, by its Host header."""
    if not is_loopback(bind_address):
        return True
    name = _name_of((host or b"").decode("latin-1").lower())
    if name == _LOCAL_NAME or name.endswith("." + _LOCAL_NAME):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name_of(host: str) -> str:
    """The host without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
