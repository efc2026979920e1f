"""Rules: who may do what on which models. Immutable and pure; `rules_file` reads them.

What no rule allows is denied, and no rule denies: so their order does not matter, and one more rule takes nothing away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from servable.authorization.credentials import BearerToken, Caller, Credentials
from servable.authorization.patterns import Names
from servable.calls import Action

SERVER_WIDE: Final = frozenset({Action.PROFILE, Action.METRICS, Action.CONSOLE})
"""What concerns the whole server: each shows or does something of every model, so no model is asked for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Whoever is one of `callers` may do all of `actions` on all of `models`.

    Attributes:
        name: What it is called: `rule 2 "team a"`.
    """

    name: str
    callers: Sequence[Caller]
    actions: frozenset[Action]
    models: Names

    def find_caller(self, credentials: Credentials) -> Caller | None:
        """The first caller of the rule whose credentials these are."""
        return next((caller for caller in self.callers if caller.matches(credentials)), None)

    def covers(self, action: Action, model: str | None) -> bool:
        """Whether the rule is about an action on a model; None: on at least one."""
        return action in self.actions and (model is None or action in SERVER_WIDE or model in self.models)


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Who signs JSON Web Tokens.

    Attributes:
        issuer: The `iss` of its tokens.
        audiences: A token must be for one of these.
        jwks_path: The file of its public keys.
        leeway_s: By how much the clocks may differ.
    """

    issuer: str
    audiences: Sequence[str]
    jwks_path: str
    leeway_s: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The content of one file.

    Attributes:
        rules: There is at least one.
        issuers: Whose tokens the rules know.
    """

    rules: Sequence[Rule]
    issuers: Sequence[TokenIssuer] = ()

    def grants(self, credentials: Credentials) -> Grants:
        """What a caller may do: the sum of all rules that name it."""
        named = [rule for rule in self.rules if rule.find_caller(credentials) is not None]
        by_action: dict[Action, Names] = {}
        for rule in named:
            for action in rule.actions:
                known = by_action.get(action)
                by_action[action] = rule.models if known is None else known | rule.models
        return Grants(MappingProxyType(by_action))

    def find_rule(self, credentials: Credentials, action: Action, model: str | None) -> Rule | None:
        """The first rule that lets a caller do something; None if none does."""
        covering = (rule for rule in self.rules if rule.covers(action, model))
        return next((rule for rule in covering if rule.find_caller(credentials) is not None), None)

    @property
    def bearer_tokens(self) -> Mapping[str, BearerToken]:
        """The bearer tokens that rules name, by their digests."""
        callers = (caller for rule in self.rules for caller in rule.callers)
        return {caller.sha256: caller for caller in callers if isinstance(caller, BearerToken)}


@dataclass(frozen=True, slots=True)
class Grants:
    """What one caller may do.

    Attributes:
        by_action: The models on which it may do something; nothing else may be done at all.
    """

    by_action: Mapping[Action, Names]

    def allow(self, action: Action, model: str | None = None) -> bool:
        """Whether the caller may do something on a model; None: on at least one."""
        names = self.by_action.get(action)
        return names is not None and (model is None or action in SERVER_WIDE or model in names)
