"""The options that all commands share, words that were meant for them, and the client they make."""

from __future__ import annotations

import argparse
import json
import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from servable_client._network import Network, Tls
from servable_client.client import Client

_ADDRESS = "localhost:8500"
_PORT = 8500
# URLs as people know them from REST, and the targets of gRPC. No JSON and no NAME=VALUE looks like one of these.
_URL = re.compile(r"(https?|grpc)://([^/]+)/?.*", re.IGNORECASE)
_TARGET = re.compile(r"(?:dns|unix|unix-abstract|ipv4|ipv6|vsock|xds):[^=]+")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w-]+(?:\.[\w-]+)*\.?)?:\d{1,5}")
_HOST = re.compile(r"localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]")
_MODEL = re.compile(r"[A-Za-z_][\w.-]*")
_TIMEOUT_S = 30.0


def add_connection(parser: argparse.ArgumentParser, *, has_address: bool = True) -> None:
    """Add the options about the server and the connection to it; its address may be given in another way."""
    group = parser.add_argument_group("server")
    if has_address:
        group.add_argument("-a", "--address", default=_ADDRESS, help="host:port, or any target of gRPC (%(default)s)")
    group.add_argument(
        "--timeout", type=positive, default=_TIMEOUT_S, metavar="S", help="seconds a call may take (%(default)g)"
    )
    group.add_argument("--json", action="store_true", help="print JSON")
    group.add_argument(
        "--metadata", action="append", type=_header, default=[], metavar="KEY=VALUE", help="a header; repeat"
    )
    group.add_argument("--tls", action="store_true", help="use TLS; the options below do too")
    group.add_argument("--ca", metavar="FILE", help="certificates to trust (PEM); by default the public ones")
    group.add_argument("--cert", metavar="FILE", help="this client's certificate (PEM), with --key")
    group.add_argument("--key", metavar="FILE", help="the key of --cert (PEM)")
    group.add_argument("--server-name", metavar="NAME", help="the name in the server's certificate")
    group.add_argument("--token", metavar="TOKEN", help="a bearer token, or @FILE that holds it; needs TLS")


def add_model(parser: argparse.ArgumentParser, *, signature: bool = False) -> None:
    """Add the options about the model."""
    group = parser.add_argument_group("model")
    # Not required of argparse, which would complain before `find_misplaced` can say what a word was meant for.
    group.add_argument("-m", "--model", help="the model's name (required)")
    version = group.add_mutually_exclusive_group()
    version.add_argument("--model-version", type=int, metavar="N", help="the version; by default the latest")
    version.add_argument("--label", help="the version label")
    if signature:
        group.add_argument("--signature", help="the signature; by default serving_default")


def find_misplaced(words: Sequence[str], *, lacks_model: bool) -> list[str]:
    """Hints about words that were meant for an option: an address, or the model's name where none is given.

    Args:
        words: The words of a command that belong to no option.
        lacks_model: Whether the command needs a model and has none, so that a word may be its name.
    """
    hints = []
    for word in words:
        address = _read_address(word)
        if address is not None:
            hints.append(f"{word} looks like an address: pass it as -a {address}")
        elif lacks_model and _MODEL.fullmatch(word) and not _is_json(word):
            hints.append(f"{word} looks like a model's name: pass it as -m {word}")
            lacks_model = False
    return hints


def _read_address(word: str) -> str | None:
    """What to pass with -a for a word; None if the word looks like no address."""
    url = _URL.fullmatch(word)
    target = url[2] if url else word
    if _HOST.fullmatch(target):
        target = f"{target}:{_PORT}"
    elif target.startswith(":") and _HOST_PORT.fullmatch(target):
        target = f"localhost{target}"
    elif not url and not _HOST_PORT.fullmatch(target) and not _TARGET.fullmatch(target):
        return None
    return shlex.quote(target) + (" --tls" if url and url[1].lower() == "https" else "")


def _is_json(word: str) -> bool:
    try:
        json.loads(word)
    except ValueError:
        return False
    return True


def positive(text: str) -> float:
    """A number above zero, as an option has it."""
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def count(text: str) -> int:
    """A whole number from one on, as an option has it."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return value


def _header(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text}")
    return key.lower(), value


def make_client(options: argparse.Namespace, interceptors: Sequence[Any] = ()) -> Client:
    """The client that the options describe.

    Raises:
        InputError: if a setting is wrong or a file of TLS cannot be read.
        OSError: if the file of the token cannot be read.
    """
    return Client(
        options.address,
        model=getattr(options, "model", None),
        version=getattr(options, "model_version", None),
        label=getattr(options, "label", None),
        signature=getattr(options, "signature", None),
        timeout_s=options.timeout,
        infer=not getattr(options, "no_infer", False),
        tls=_read_tls(options),
        token=_read_token(options),
        metadata=options.metadata,
        interceptors=interceptors,
    )


def make_network(options: argparse.Namespace) -> Network:
    """The same server for who sends bytes: nothing is tried again."""
    return Network(options.address, retries=0, tls=_read_tls(options), token=_read_token(options))


def _read_tls(options: argparse.Namespace) -> Tls | None:
    files = (options.ca, options.cert, options.key, options.server_name)
    return Tls(*files) if options.tls or any(files) else None


def _read_token(options: argparse.Namespace) -> str | None:
    token: str | None = options.token
    if token is not None and token.startswith("@"):
        return Path(token[1:]).read_text().strip()
    return token
