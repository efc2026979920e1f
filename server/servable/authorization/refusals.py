"""Why a caller is not let in, as errors, and how HTTP says so. Nothing of a credential gets into a text."""

from __future__ import annotations

from servable.errors import Unauthenticated


class MissingCredentials(Unauthenticated):
    """The caller shows nothing, and nobody may do this without."""


class InvalidCredentials(Unauthenticated):
    """What the caller shows is wrong, or holds no more."""

    challenge = f'{Unauthenticated.challenge}, error="invalid_token"'

    def __init__(self, reason: str) -> None:
        super().__init__(f"Credentials refused: {reason}")
