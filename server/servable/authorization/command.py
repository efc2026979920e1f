"""`servable authorize FILE`: checks a file of rules, and says what they would decide, and by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from servable.authorization import rules_file
from servable.authorization.authorizer import make_ruling
from servable.calls import Action


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the rules.

    Attributes:
        action: What would be done; None asks only whether the file is right.
        model: On which model; None: on any.
        identities: The names in the caller's certificate.
        token: The caller's bearer token; None without.
    """

    action: Action | None = None
    model: str | None = None
    identities: Sequence[str] = ()
    token: str | None = None


def answer(path: str, question: Question) -> tuple[bool, str]:
    """Whether the rules allow it (or are right, if nothing else is asked), and why, in one line.

    Raises:
        ServingError: If a file or the token is wrong.
    """
    ruling = make_ruling(path, rules_file.read(path))
    if question.action is None:
        return True, f"{path} is right: {len(ruling.rules.rules)} rules, {len(ruling.rules.issuers)} issuers"
    credentials = ruling.read_credentials(question.token, question.identities, lambda: "")
    rule = ruling.rules.find_rule(credentials, question.action, question.model)
    if rule is None:
        return False, "deny: no rule allows it"
    caller = rule.find_caller(credentials)
    return True, f"allow: {rule.name}, {'' if caller is None else caller.describe()}"
