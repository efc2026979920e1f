"""The value of --grpc_channel_arguments. Knows no argument by name: gRPC does."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from servable.errors import InvalidArgument

ChannelArgument: TypeAlias = tuple[str, int | str]

_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


def parse(text: str) -> list[ChannelArgument]:
    """Read `key=value` elements separated by commas (TensorFlow Serving: parseGrpcChannelArgs in server.cc).

    A value that is an int32 becomes an int. As in the original, what follows a second `=` is dropped.

    Raises:
        InvalidArgument: If an element has no `=`; the original reads beyond its own memory then.
    """
    return [_element(element) for element in text.split(",")] if text else []


def _element(element: str) -> ChannelArgument:
    key, *values = element.split("=")
    if not values:
        raise InvalidArgument(
            f"grpc_channel_arguments: '{element}' has no '='. "
            "Expected key=value elements separated by commas, such as grpc.max_connection_age_ms=2000."
        )
    return key, _value(values[0])


def _value(text: str) -> int | str:
    # An int32 has at most ten digits; int() refuses thousands of them.
    if _INTEGER.fullmatch(text) and len(text.strip().lstrip("+-0")) <= 10 and -(2**31) <= int(text) < 2**31:
        return int(text)
    return text
