"""The file of --authorization_file: what it grants, and how each mistake is told."""

import pytest

from servable.authorization import rules_file
from servable.authorization.credentials import Credentials
from servable.calls import Action
from servable.errors import InvalidArgument, NotFound

ALL = 'may: PREDICT models: "*"'
RULE = 'who { anyone: true } may: PREDICT models: "*"'
ISSUER = 'issuer { issuer: "i" audience: "a" jwks_file: "k" }'


def parse(text):
    return rules_file.parse("rules.cfg", text.encode())


def refusal(text):
    with pytest.raises(InvalidArgument) as caught:
        parse(text)
    return caught.value.message


def test_a_rule_grants_its_actions_on_its_models():
    rules = parse('rule { who { mtls: "a" } may: [PREDICT, STATUS] models: ["m", "n-*"] }')
    grants = rules.grants(Credentials(["x", "a"]))
    assert grants.allow(Action.PREDICT, "m")
    assert grants.allow(Action.STATUS, "n-1")
    assert not grants.allow(Action.METADATA, "m")
    assert not grants.allow(Action.PREDICT, "o")
    assert not rules.grants(Credentials(["b"])).allow(Action.PREDICT)


def test_an_action_of_the_whole_server_needs_no_model():
    grants = parse("rule { who { anyone: true } may: [METRICS, PROFILE, CONSOLE] }").grants(Credentials())
    assert grants.allow(Action.METRICS)
    assert grants.allow(Action.PROFILE, "whatever")
    assert not grants.allow(Action.STATUS)


def test_without_a_model_the_question_is_whether_there_is_any():
    grants = parse('rule { who { anyone: true } may: STATUS models: "m" }').grants(Credentials())
    assert grants.allow(Action.STATUS)
    assert not grants.allow(Action.STATUS, "")


@pytest.mark.parametrize(
    ("identity", "belongs"),
    [
        ("spiffe://td/ns/x/a", True),
        ("spiffe://td/ns/x/a/b", True),
        ("spiffe://td/ns/x", False),
        ("spiffe://td/ns/x/", False),
        ("spiffe://td/ns/xy", False),
        ("spiffe://td/ns/x/../y", False),
        ("spiffe://td/ns/x/./a", False),
        ("spiffe://td/ns/x//a", False),
        ("SPIFFE://td/ns/x/a", False),
    ],
)
def test_a_uri_that_ends_in_a_slash_and_a_star_covers_what_lies_below(identity, belongs):
    rules = parse('rule { who { mtls: "spiffe://td/ns/x/*" } may: PREDICT models: "*" }')
    assert rules.grants(Credentials([identity])).allow(Action.PREDICT) is belongs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rule {", "rules.cfg:1:"),
        ("\nrule { whom { } }", "rules.cfg:2:8: "),
        ("rule { may: PREDCT }", "PREDCT"),
        ("# nothing", "rule: there is none"),
        ('rule { may: PREDICT models: "*" }', "rule 1, who: there is none; give one"),
        ('rule { name: "x" who { } may: PREDICT models: "*" }', 'rule 1 "x", who 1: it names nobody; give one of mtls'),
        ('rule { who { anyone: false } may: PREDICT models: "*" }', "rule 1, who 1, anyone: it is false"),
        ('rule { who { mtls: "" } may: PREDICT models: "*" }', "rule 1, who 1, mtls: it is empty"),
        ('rule { who { mtls: "spiffe://td/x*" } may: PREDICT models: "*" }', "can end in /*"),
        ('rule { who { mtls: "spiffe://*" } may: PREDICT models: "*" }', "can end in /*"),
        ('rule { who { mtls: "spiffe://td/*/x" } may: PREDICT models: "*" }', "can end in /*"),
        ('rule { who { mtls: "*" } may: PREDICT models: "*" }', "can end in /*"),
        ('rule { who { mtls: "*.example.com" } may: PREDICT models: "*" }', "can end in /*"),
        ('rule { who { mtls: "a" anyone: true } may: PREDICT models: "*" }', "rules.cfg:1:"),
        ('rule { who { bearer_sha256: "hunter2" name: "n" } may: PREDICT models: "*" }', "it is no SHA-256; give"),
        ('rule { who { bearer_sha256: "%s" } may: PREDICT models: "*" }' % ("a" * 64), "the caller has no name"),
        ('rule { who { anyone: true } models: "*" }', "rule 1, may: give some of PREDICT, METADATA"),
        ('rule { who { anyone: true } may: UNSPECIFIED models: "*" }', "rule 1, may: give some of"),
        ('rule { who { anyone: true } may: 77 models: "*" }', "rule 1, may: give some of"),
        ("rule { who { anyone: true } may: PREDICT }", "rule 1, models: there is none; give names"),
        ("rule { who { anyone: true } may: [PREDICT, METRICS] }", "rule 1, models: there is none"),
        ('rule { who { anyone: true } may: [PREDICT, METRICS] models: "m" }', "METRICS of may would hold for all"),
        ('rule { who { anyone: true } may: PREDICT models: "" }', "rule 1, models: it is empty"),
        ('rule { who { anyone: true } may: PREDICT models: "a*b" }', "rule 1, models: it has a * before its end"),
        (f'rule {{ name: "x" {RULE} }} rule {{ name: "x" {RULE} }}', '"x" is given 2 times'),
        (f'issuer {{ audience: "a" jwks_file: "k" }} rule {{ {RULE} }}', "issuer 1, issuer: it is empty"),
        (f'issuer {{ issuer: "i" jwks_file: "k" }} rule {{ {RULE} }}', "issuer 1, audience: it is empty"),
        (f'issuer {{ issuer: "i" audience: "a" }} rule {{ {RULE} }}', "issuer 1, jwks_file: it is empty"),
        (f"{ISSUER} {ISSUER} rule {{ {RULE} }}", '"i" is given 2 times'),
        (f'{ISSUER.replace("}", "leeway_s: 301 }")} rule {{ {RULE} }}', "it is 301; give seconds from 0 to 300"),
        ('rule { who { jwt { issuer: "j" } } may: PREDICT models: "*" }', '"j" is not described'),
        (f'{ISSUER} rule {{ who {{ jwt {{ issuer: "i" }} }} may: PREDICT models: "*" }}', "claim: there is none"),
        (f'{ISSUER} rule {{ who {{ jwt {{ issuer: "i" claim {{ name: "c" }} }} }} {ALL} }}', "value: there"),
        (f'{ISSUER} rule {{ who {{ jwt {{ issuer: "i" claim {{ value: "c" }} }} }} {ALL} }}', "name: it is"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(text, words):
    message = refusal(text)
    assert "rules.cfg" in message
    assert words in message


def test_a_token_in_place_of_its_hash_is_not_shown():
    assert "hunter2" not in refusal('rule { who { bearer_sha256: "hunter2" name: "n" } may: PREDICT models: "*" }')


def test_bytes_that_are_no_text_are_refused_with_their_place():
    with pytest.raises(InvalidArgument, match=r"rules\.cfg:1:3: The text is not UTF-8"):
        rules_file.parse("rules.cfg", b"# \xff")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NotFound, match="absent"):
        rules_file.read(str(tmp_path / "absent"))


def test_key_sets_are_read_from_the_folder_of_the_rules(rules_path):
    content = rules_file.read(str(rules_path))
    assert content.texts[str(rules_path.parent / "jwks.json")].startswith(b"{")


def test_rules_of_the_same_text_are_not_parsed_again(rules_path):
    before = rules_file.read(str(rules_path))
    assert rules_file.read(str(rules_path), before).rules is before.rules
