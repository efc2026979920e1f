"""JSON as it was read: what each kind of value is in Python, and how errors name the kinds.

null, true and false are None, True and False; a number is an int if it was written as one, else a float (`to_number`
has the original's view of those that do not fit 64 bits); a string is a str, or bytes if it is no UTF-8; an array is a
list; an object is a `JsonObject`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias, Union

LEAST_INT64, MOST_INT64 = -(2**63), 2**63 - 1
MOST_UINT64 = 2**64 - 1


class JsonObject:
    """The members of an object in the order in which they were sent; a name may stand there twice."""

    __slots__ = ("members",)

    def __init__(self, members: list[tuple[Text, Value]]) -> None:
        self.members = members

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[tuple[Text, Value]]:
        return iter(self.members)

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.members)

    def get(self, name: str) -> Value:
        """The value of the first member of a name, as RapidJSON finds it; None if there is no such member."""
        return next((value for key, value in self.members if key == name), None)


Text: TypeAlias = str | bytes
Value: TypeAlias = Union[bool, int, float, str, bytes, "list[Value]", "JsonObject", None]


def kind_of(value: Value) -> str:
    """The name of a value's kind, as the original's errors spell it."""
    if value is None or isinstance(value, bool):
        return {None: "Null", False: "False", True: "True"}[value]
    if isinstance(value, (int, float)):
        return "Number"
    if isinstance(value, (str, bytes)):
        return "String"
    return "Array" if isinstance(value, list) else "Object"


def to_number(value: float) -> float:
    """A number as RapidJSON has it: an integer that does not fit 64 bits is a double."""
    return value if not isinstance(value, int) or LEAST_INT64 <= value <= MOST_UINT64 else float(value)


def to_bytes(text: Text) -> bytes:
    """The bytes of a string. A lone low surrogate, which RapidJSON lets pass, has three, as in C++."""
    return text if isinstance(text, bytes) else text.encode(errors="surrogatepass")


def to_message(text: Text) -> str:
    """A string for the message of an error: bytes that are no UTF-8 stay what they are (see errors.ServingError)."""
    return to_bytes(text).decode(errors="surrogateescape")


def to_name(text: Text) -> str:
    """A name of an input or feature, which the original cuts at a NUL."""
    return to_message(text).partition("\0")[0]
