"""The file of --authorization_file: a text proto AuthorizationConfig, checked as a whole before any of it holds."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from servable import wire
from servable.authorization import credentials, patterns
from servable.authorization.credentials import Anyone, BearerToken, Caller, CertificateName, TokenClaims
from servable.authorization.rules import SERVER_WIDE, Rule, Rules, TokenIssuer
from servable.calls import Action
from servable.config import text_proto
from servable.errors import InvalidArgument

_SHA256: Final = re.compile("[0-9a-fA-F]{64}")
_DEFAULT_LEEWAY_S: Final = 30
_LONGEST_LEEWAY_S: Final = 300
_ACTION_NAMES: Final = {number: name for name, number in wire.AuthorizationRule.Action.items()}


@dataclass(frozen=True, slots=True)
class Content:
    """What a file of rules and the files that it names hold at one moment.

    Attributes:
        rules: The rules.
        texts: The bytes of the files by their paths.
    """

    rules: Rules
    texts: Mapping[str, bytes]


def read(path: str, before: Content | None = None) -> Content:
    """Read a file of rules, and the key sets that it names, which are not checked here.

    Args:
        path: The file.
        before: What it held before: rules whose text is the same are not parsed again.

    Raises:
        ServingError: If a file cannot be read, or the rules are wrong; see `parse`.
    """
    text = text_proto.content(path)
    rules = before.rules if before is not None and before.texts[path] == text else parse(path, text)
    key_sets = {issuer.jwks_path: text_proto.content(issuer.jwks_path) for issuer in rules.issuers}
    return Content(rules, {**key_sets, path: text})


def parse(path: str, text: bytes) -> Rules:
    """The rules in the text of a file.

    Args:
        path: The file, for errors, and for the paths that are relative to its folder.
        text: Its content.

    Raises:
        InvalidArgument: With the file, the line or the field, what is wrong and what would be right.
    """
    message = text_proto.parse_ours(path, text, wire.AuthorizationConfig)
    return _Reader(path, message).read()


class _Reader:
    """Reads one message. `where` is the place of a field, as errors name it."""

    def __init__(self, path: str, message: wire.AuthorizationConfig) -> None:
        self._path, self._message = path, message
        self._issuers = frozenset(each.issuer for each in message.issuer)

    def read(self) -> Rules:
        issuers = [self._read_issuer(f"issuer {number}", each) for number, each in enumerate(self._message.issuer, 1)]
        self._refuse_repeated("issuer", [each.issuer for each in issuers])
        rules = [self._read_rule(number, each) for number, each in enumerate(self._message.rule, 1)]
        if not rules:
            self._refuse("rule", "there is none, so nobody could do anything; give at least one rule { ... }")
        self._refuse_repeated("rule with the name", [each.name for each in self._message.rule if each.name])
        return Rules(tuple(rules), tuple(issuers))

    def _read_issuer(self, where: str, message: wire.TokenIssuer) -> TokenIssuer:
        if not message.issuer:
            self._refuse(f"{where}, issuer", "it is empty; give what its tokens have as iss")
        if not message.audience or not all(message.audience):
            self._refuse(f"{where}, audience", "it is empty; give what the tokens for this server have as aud")
        if not message.jwks_file:
            self._refuse(f"{where}, jwks_file", "it is empty; give the path of a JSON Web Key Set")
        leeway_s = message.leeway_s if message.HasField("leeway_s") else _DEFAULT_LEEWAY_S
        if not 0 <= leeway_s <= _LONGEST_LEEWAY_S:
            self._refuse(f"{where}, leeway_s", f"it is {leeway_s}; give seconds from 0 to {_LONGEST_LEEWAY_S}")
        jwks_path = os.path.join(os.path.dirname(self._path), message.jwks_file)
        return TokenIssuer(message.issuer, tuple(message.audience), jwks_path, leeway_s)

    def _read_rule(self, number: int, message: wire.AuthorizationRule) -> Rule:
        where = f'rule {number} "{message.name}"' if message.name else f"rule {number}"
        if not message.who:
            self._refuse(f"{where}, who", "there is none; give one, such as who { anyone: true }")
        callers = [self._read_caller(f"{where}, who {index}", each) for index, each in enumerate(message.who, 1)]
        actions = self._read_actions(f"{where}, may", message.may)
        return Rule(where, tuple(callers), actions, self._read_models(where, actions, message.models))

    def _read_actions(self, where: str, numbers: Sequence[int]) -> frozenset[Action]:
        names = [name for number, name in _ACTION_NAMES.items() if number]
        # The text format takes numbers for names, and proto3 keeps those that it does not know.
        if not numbers or not all(_ACTION_NAMES.get(number) in names for number in numbers):
            self._refuse(where, f"give some of {', '.join(names)}")
        return frozenset(Action[_ACTION_NAMES[number]] for number in numbers)

    def _read_models(self, where: str, actions: Collection[Action], models: Sequence[str]) -> patterns.Names:
        for model in models:
            self._refuse_fault(f"{where}, models", patterns.find_fault(model))
        names = patterns.make_names(models)
        wide = sorted(action.name for action in actions if action in SERVER_WIDE)
        if wide and models and not names.is_all:
            self._refuse(
                f"{where}, models",
                f"{' and '.join(wide)} of may would hold for all models, as the whole server is concerned; give that "
                "in a rule of its own without models",
            )
        if not models and len(wide) < len(actions):
            self._refuse(f"{where}, models", 'there is none; give names, prefixes such as "team-a-*", or "*" for all')
        return names

    def _read_caller(self, where: str, message: wire.AuthorizationRule.Caller) -> Caller:
        kind = message.WhichOneof("kind")
        if kind is None:
            self._refuse(where, "it names nobody; give one of mtls, jwt, bearer_sha256 and anyone")
        readers: Mapping[str, Callable[[str, wire.AuthorizationRule.Caller], Caller]] = {
            "anyone": self._read_anyone,
            "mtls": self._read_certificate_name,
            "jwt": self._read_token_claims,
            "bearer_sha256": self._read_bearer_token,
        }
        return readers[kind](f"{where}, {kind}", message)

    def _read_anyone(self, where: str, message: wire.AuthorizationRule.Caller) -> Anyone:
        if not message.anyone:
            self._refuse(where, "it is false, which names nobody; give true, or leave this who away")
        return Anyone()

    def _read_certificate_name(self, where: str, message: wire.AuthorizationRule.Caller) -> CertificateName:
        self._refuse_fault(where, credentials.find_certificate_name_fault(message.mtls))
        return CertificateName(message.mtls.removesuffix("*"), message.mtls.endswith("*"))

    def _read_token_claims(self, where: str, message: wire.AuthorizationRule.Caller) -> TokenClaims:
        if message.jwt.issuer not in self._issuers:
            self._refuse(
                f"{where}, issuer",
                f'"{message.jwt.issuer}" is not described; give the issuer of one of issuer {{ ... }} in this file',
            )
        if not message.jwt.claim:
            self._refuse(f"{where}, claim", 'there is none; give one, such as claim { name: "sub" value: "alice" }')
        claims = []
        for index, claim in enumerate(message.jwt.claim, 1):
            place = f"{where}, claim {index}"
            if not claim.name:
                self._refuse(f"{place}, name", "it is empty; give the name of a claim, such as groups")
            if not claim.value:
                self._refuse(f"{place}, value", 'there is none; give the values that will do, or "*" for any')
            for value in claim.value:
                self._refuse_fault(f"{place}, value", patterns.find_fault(value))
            claims.append((claim.name, patterns.make_names(claim.value)))
        return TokenClaims(message.jwt.issuer, tuple(claims))

    def _read_bearer_token(self, where: str, message: wire.AuthorizationRule.Caller) -> BearerToken:
        # It may be the token itself, given by mistake: so it is not shown.
        if not _SHA256.fullmatch(message.bearer_sha256):
            self._refuse(
                where, "it is no SHA-256; give the 64 hexadecimal digits that `sha256sum` prints for the token"
            )
        if not message.name:
            self._refuse(where, 'the caller has no name; give one for logs beside it, such as name: "nightly job"')
        return BearerToken(message.bearer_sha256.lower(), message.name)

    def _refuse_repeated(self, what: str, names: Sequence[str]) -> None:
        for name, count in Counter(names).items():
            if count > 1:
                self._refuse(what, f'"{name}" is given {count} times; give it once')

    def _refuse_fault(self, where: str, fault: str | None) -> None:
        if fault is not None:
            self._refuse(where, f"it {fault}")

    def _refuse(self, where: str, wrong: str) -> NoReturn:
        raise InvalidArgument(f"authorization_file '{self._path}': {where}: {wrong}.")
