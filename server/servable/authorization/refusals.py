"""Why a caller is not let in, as errors, and how HTTP says so. Nothing of a credential gets into a text."""

from __future__ import annotations

from typing import Final

from servable.errors import ServingError, Unauthenticated

REALM: Final = "servable"


class MissingCredentials(Unauthenticated):
    """The caller shows nothing, and nobody may do this without."""


class InvalidCredentials(Unauthenticated):
    """What the caller shows is wrong, or holds no more."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Credentials refused: {reason}")


def find_challenge(error: ServingError) -> str | None:
    """The value of the header `WWW-Authenticate` for an error, which each reply of 401 needs; None for other errors.

    Source of the form: RFC 6750, 3.
    """
    if not isinstance(error, Unauthenticated):
        return None
    detail = ', error="invalid_token"' if isinstance(error, InvalidCredentials) else ""
    return f'Bearer realm="{REALM}"{detail}'
