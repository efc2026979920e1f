"""Who calls, and what they may do. Immutable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from servable.authorization.credentials import Credentials, make_printable
from servable.authorization.refusals import MissingCredentials
from servable.authorization.rules import SERVER_WIDE, Grants
from servable.calls import Action
from servable.errors import PermissionDenied, ServingError

ANONYMOUS: Final = "anonymous"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls.

    Attributes:
        name: For logs, printable and of bounded length; never a secret.
        grants: What the caller may do.
        needed: Which credentials would do, in words, for a caller that has shown none; empty for one that has.
    """

    name: str
    grants: Grants
    needed: str = ""

    def may(self, action: Action, model: str | None = None) -> bool:
        """Whether the caller may do something on a model; None: on at least one."""
        return self.grants.allow(action, model)

    def check(self, action: Action, model: str | None = None) -> None:
        """As `may`, with the error to answer.

        The rules alone decide, before the model is looked up: so the answer is the same whether there is one or not.

        Raises:
            MissingCredentials: If the caller has shown none.
            PermissionDenied: If it may not.
        """
        if not self.grants.allow(action, model):
            raise self._refusal(action, model)

    @property
    def sees_all_models(self) -> bool:
        """Whether the caller may be told which models there are, for hints of errors that list them."""
        return any(models.is_all for action, models in self.grants.by_action.items() if action not in SERVER_WIDE)

    def _refusal(self, action: Action, model: str | None) -> ServingError:
        if self.needed:
            return MissingCredentials(f"No credentials: {action.value} is not for everyone here; show {self.needed}")
        return PermissionDenied(f"{self.name} may not {_PHRASES[action]}{self._describe_model(action, model)}")

    def _describe_model(self, action: Action, model: str | None) -> str:
        """The model by its name only for who may do something else on it, and so may know that it exists."""
        if action in SERVER_WIDE:
            return ""
        if model is None:
            return " any model"
        is_known = any(model in names for names in self.grants.by_action.values())
        return f' the model "{make_printable(model)}"' if is_known else " this model, or there is none of this name"


_PHRASES: Final = {
    Action.PREDICT: "run",
    Action.METADATA: "read the metadata of",
    Action.STATUS: "read the status of",
    Action.RELOAD: "configure",
    Action.PROFILE: "profile the server",
    Action.METRICS: "read the metrics",
    Action.CONSOLE: "use the console",
}


def name_credentials(credentials: Credentials, bearer_name: str | None) -> str:
    """What logs call a caller: by its token if it has one, otherwise by its certificate."""
    if credentials.token is not None:
        return make_printable(credentials.token.name)
    if bearer_name is not None:
        return make_printable(bearer_name)
    return make_printable(credentials.identities[0]) if credentials.identities else ANONYMOUS
