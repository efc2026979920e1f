"""Who calls, by what a call shows; and rules that change while calls come."""

import itertools
import logging
import sys
import time

import pytest

from servable.authorization.authorizer import Authorizer, make_authorizer
from servable.authorization.refusals import InvalidCredentials, MissingCredentials
from servable.calls import NO_CONTEXT, Action, LocalContext
from servable.errors import InvalidArgument, PermissionDenied, ResourceExhausted, Unauthenticated
from servable.options import ServerOptions
from tests.authorization import issuing
from tests.authorization.conftest import BEARER
from tests.authorization.issuing import OTHER_EC_KEY, RSA_KEY, bearer, caller, sign

TEAM_A = "spiffe://example.com/ns/team-a/web"
OPEN = '\nrule { name: "open" who { anyone: true } may: PREDICT models: "demo-*" }\n'


class FakeClock:
    def __init__(self):
        self.ahead_s = 0.0

    def __call__(self):
        return time.time() + self.ahead_s


def refusal(authorizer, context):
    with pytest.raises(Unauthenticated) as caught:
        authorizer.identify(context)
    return caught.value


def test_a_certificate_says_who_calls(authorizer):
    principal = authorizer.identify(caller(TEAM_A, "web.example.com"))
    assert principal.name == TEAM_A
    assert principal.may(Action.PREDICT, "team-a-1")
    assert not principal.may(Action.PREDICT, "team-b-1")
    assert not principal.may(Action.RELOAD, "team-a-1")


def test_any_name_of_a_certificate_will_do(authorizer):
    assert authorizer.identify(caller("other", TEAM_A)).may(Action.PREDICT, "shared")


def test_a_json_web_token_says_who_calls(authorizer):
    principal = authorizer.identify(bearer(sign()))
    assert principal.name == f"alice@{issuing.ISSUER}"
    assert principal.may(Action.PREDICT, "team-a-1")


def test_a_bearer_token_is_known_by_its_hash(authorizer):
    principal = authorizer.identify(bearer(BEARER))
    assert principal.name == "deploy job"
    assert principal.may(Action.RELOAD, "any")
    assert principal.may(Action.METRICS)
    assert not principal.may(Action.PREDICT)


def test_certificate_and_token_add_up(authorizer):
    principal = authorizer.identify(bearer(BEARER, identities=[TEAM_A]))
    assert principal.may(Action.PREDICT, "shared")
    assert principal.may(Action.STATUS, "any")


def test_a_caller_that_no_rule_names_may_do_nothing(authorizer):
    principal = authorizer.identify(caller("spiffe://example.com/ns/team-b/web"))
    assert not [action for action in Action if principal.may(action)]
    assert not [action for action in Action if authorizer.identify(bearer(sign(groups="team-b"))).may(action)]


def test_without_credentials_the_answer_says_which_would_do(authorizer):
    error = refusal(authorizer, NO_CONTEXT)
    assert isinstance(error, MissingCredentials)
    assert error.message == "No credentials: show a client certificate or authorization: Bearer <token>"
    assert error.challenge == 'Bearer realm="servable"'


def test_a_rule_for_anyone_lets_those_in_who_show_nothing(rules_path):
    rules_path.write_text(rules_path.read_text() + OPEN)
    principal = Authorizer(str(rules_path)).identify(NO_CONTEXT)
    assert principal.may(Action.PREDICT, "demo-1")
    with pytest.raises(MissingCredentials, match="predict is not for everyone here; show a client certificate or"):
        principal.check(Action.PREDICT, "team-a-1")


def test_where_no_rule_knows_credentials_none_are_asked_for(rules_path):
    rules_path.write_text(OPEN)
    principal = Authorizer(str(rules_path)).identify(NO_CONTEXT)
    with pytest.raises(PermissionDenied, match="anonymous may not read the status of any model"):
        principal.check(Action.STATUS)


def test_a_wrong_token_is_refused_where_none_would_do(rules_path):
    rules_path.write_text(rules_path.read_text() + OPEN)
    error = refusal(Authorizer(str(rules_path)), bearer(sign(exp=1)))
    assert error.message == "Credentials refused: the token has expired"
    assert error.challenge == 'Bearer realm="servable", error="invalid_token"'


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "bEaReR   "])
def test_the_scheme_is_taken_in_any_case(authorizer, scheme):
    assert authorizer.identify(LocalContext([("authorization", scheme + BEARER)])).name == "deploy job"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        BEARER,
        f" Bearer {BEARER}",
        f"Bearer {BEARER} ",
        f"Bearer {BEARER}\n",
        f"Bearer\t{BEARER}",
        f"Bearer\u00a0{BEARER}",
        f"Bearer {BEARER},Bearer {BEARER}",
        f"Bearer {BEARER} {BEARER}",
        f"Basic {BEARER}",
        f"B\u0435arer {BEARER}",
        f"Bearer {BEARER}\u0661",
        f"Bearer {BEARER}\udcff",
        "Bearer " + "a" * 20000,
        f"Bearer {BEARER[:-1]}",
        f"Bearer {BEARER}=",
        f"Bearer {BEARER.upper()}",
    ],
)
def test_a_header_of_any_other_form_is_refused(authorizer, value):
    assert isinstance(refusal(authorizer, LocalContext([("authorization", value)])), InvalidCredentials)


@pytest.mark.parametrize(
    "values", [(f"Bearer {BEARER}",) * 2, (f"Bearer {BEARER}", "Bearer x"), ("", f"Bearer {BEARER}"), (b"Bearer x",)]
)
def test_more_than_one_header_is_refused(authorizer, values):
    context = LocalContext([("authorization", value) for value in values])
    assert "more than one header" in refusal(authorizer, context).message


def test_other_metadata_do_not_matter(authorizer):
    context = LocalContext([("x-authorization", "Bearer x"), ("authorization-bin", b"x")], identities=[TEAM_A])
    assert authorizer.identify(context).name == TEAM_A


def test_names_in_logs_are_printable_and_short(authorizer):
    assert authorizer.identify(caller("a\nforged line")).name == r"a\nforged line"
    assert len(authorizer.identify(caller("x" * 100_000)).name) == 256


def test_the_answer_is_the_same_for_models_that_are_not_there(authorizer):
    principal = authorizer.identify(caller(TEAM_A))
    answers = set()
    for model in ("secret", "no-such-model"):
        with pytest.raises(PermissionDenied) as caught:
            principal.check(Action.PREDICT, model)
        answers.add(caught.value.message)
    assert answers == {f"{TEAM_A} may not run this model, or there is none of this name"}


def test_a_model_is_named_to_who_may_know_it(authorizer):
    with pytest.raises(PermissionDenied, match='may not read the status of the model "team-a-1"'):
        authorizer.identify(caller(TEAM_A)).check(Action.STATUS, "team-a-1")


@pytest.mark.parametrize("action", Action)
def test_each_action_has_words_for_its_refusal(authorizer, action):
    with pytest.raises(PermissionDenied, match=r": nobody may not \w+ (any model|the \w+|the \w+ of any model)$"):
        authorizer.identify(caller("nobody")).check(action)


def test_only_who_has_a_right_on_all_models_sees_them_all(authorizer):
    assert authorizer.identify(bearer(BEARER)).sees_all_models
    assert not authorizer.identify(caller(TEAM_A)).sees_all_models


def test_a_token_that_is_known_is_refused_when_it_expires(rules_path):
    clock = FakeClock()
    authorizer, token = Authorizer(str(rules_path), clock=clock), sign()
    assert authorizer.identify(bearer(token)) is authorizer.identify(bearer(token))
    clock.ahead_s = 629
    assert authorizer.identify(bearer(token)).may(Action.PREDICT, "shared")
    clock.ahead_s = 631
    assert "has expired" in refusal(authorizer, bearer(token)).message


def test_what_is_known_of_callers_is_bounded(authorizer):
    for number in range(5000):
        authorizer.identify(caller(f"name {number}"))
    assert len(authorizer._ruling._principals) == 4096


class Polled:
    """An authorizer whose files are read when a test says so."""

    def __init__(self, path):
        self.path, self.now_s = path, 0.0
        self.authorizer = Authorizer(str(path), poll_s=5)
        self.authorizer.turn(self.now_s)

    def poll(self):
        self.now_s += 5
        assert self.authorizer.turn(self.now_s) == self.now_s + 5

    def reloads(self):
        return {labels[0]: count for labels, count in self.authorizer.families()[0].values.items()}


@pytest.fixture
def polled(rules_path):
    return Polled(rules_path)


def test_rules_that_change_are_taken_up(polled):
    polled.path.write_text(polled.path.read_text().replace("team-a/*", "team-b/*"))
    assert polled.authorizer.identify(caller(TEAM_A)).may(Action.PREDICT)
    polled.poll()
    assert not polled.authorizer.identify(caller(TEAM_A)).may(Action.PREDICT)
    assert polled.reloads() == {"changed": 1, "failed": 0}


def test_a_turn_before_its_time_reads_nothing(polled):
    polled.path.unlink()
    assert polled.authorizer.turn(1) == 5
    assert polled.reloads() == {"changed": 0, "failed": 0}


def test_files_that_stay_the_same_leave_what_is_known(polled):
    known = polled.authorizer.identify(bearer(sign(iat=None)))
    polled.poll()
    polled.path.write_bytes(polled.path.read_bytes())
    polled.poll()
    assert polled.reloads() == {"changed": 0, "failed": 0}
    assert polled.authorizer.identify(bearer(sign(iat=None))).grants == known.grants


def test_a_key_that_is_taken_out_holds_no_more_for_known_tokens(polled):
    token = sign()
    assert polled.authorizer.identify(bearer(token))
    keys = polled.path.parent / "jwks.json"
    keys.write_text(issuing.key_set(issuing.public_jwk(RSA_KEY, kid="rsa")))
    polled.poll()
    assert "a key that is not known" in refusal(polled.authorizer, bearer(token)).message


def test_a_new_key_is_taken_up_beside_the_old(polled):
    token = sign(OTHER_EC_KEY, headers={"kid": "new"})
    assert "a key that is not known" in refusal(polled.authorizer, bearer(token)).message
    old = issuing.public_jwk(issuing.EC_KEY, kid="ec")
    (polled.path.parent / "jwks.json").write_text(issuing.key_set(old, issuing.public_jwk(OTHER_EC_KEY, kid="new")))
    polled.poll()
    assert polled.authorizer.identify(bearer(token)).may(Action.PREDICT, "shared")
    assert polled.authorizer.identify(bearer(sign())).may(Action.PREDICT, "shared")


@pytest.mark.parametrize("text", ["", "rule {", "# no rules", "\x00"])
def test_wrong_rules_leave_those_before_and_are_told_once(polled, text, caplog):
    polled.path.write_text(text)
    polled.poll()
    polled.poll()
    assert polled.authorizer.identify(caller(TEAM_A)).may(Action.PREDICT)
    assert polled.reloads() == {"changed": 0, "failed": 1}
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(lines) == 1
    assert str(polled.path) in lines[0]


@pytest.mark.parametrize("name", ["rules.textproto", "jwks.json"])
def test_a_file_that_vanishes_leaves_the_rules(polled, name):
    file = polled.path.parent / name
    text = file.read_text()
    file.unlink()
    polled.poll()
    assert polled.authorizer.identify(bearer(sign())).may(Action.PREDICT)
    file.write_text(text)
    polled.poll()
    assert polled.reloads() == {"changed": 0, "failed": 1}


def test_a_file_that_is_cut_off_while_it_is_written_never_grants_more(polled):
    text = polled.path.read_bytes()
    asked = [caller(TEAM_A), bearer(BEARER), bearer(sign())]
    before = [[polled.authorizer.identify(each).may(action, "shared") for action in Action] for each in asked]
    for length in range(0, len(text), 7):
        polled.path.write_bytes(text[:length])
        polled.poll()
        for context, allowed in zip(asked, before, strict=True):
            try:
                principal = polled.authorizer.identify(context)
            except Unauthenticated:
                continue
            now = [principal.may(action, "shared") for action in Action]
            assert not [action for action, was, is_ in zip(Action, allowed, now, strict=True) if is_ and not was]


def test_refusals_are_counted_by_their_reason(authorizer):
    refusal(authorizer, NO_CONTEXT)
    refusal(authorizer, bearer("x"))

    def flood():
        for number in itertools.count():
            refusal(authorizer, bearer(sign(OTHER_EC_KEY, sub=str(number))))

    with pytest.raises(ResourceExhausted):
        flood()
    counts = authorizer.families()[1].values
    assert counts[("missing",)] == counts[("flood",)] == 1
    assert counts[("invalid",)] > 200


def test_the_thread_follows_the_files(rules_path):
    authorizer = Authorizer(str(rules_path), poll_s=0.01)
    authorizer.start()
    try:
        rules_path.write_text(OPEN)
        ends_s = time.monotonic() + 10
        while not authorizer.families()[0].values[("changed",)]:
            assert time.monotonic() < ends_s
        assert authorizer.identify(NO_CONTEXT).may(Action.PREDICT, "demo-1")
    finally:
        authorizer.stop()


def test_an_authorizer_that_polls_nothing_starts_and_stops(rules_path):
    authorizer = Authorizer(str(rules_path))
    authorizer.start()
    authorizer.stop()


def test_there_is_no_authorization_without_a_file(rules_path):
    assert make_authorizer(ServerOptions()) is None
    assert make_authorizer(ServerOptions(authorization_file=str(rules_path))) is not None


def test_rules_that_name_tokens_need_the_extra(rules_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jwt", None)
    for name in ("jwks", "tokens"):
        monkeypatch.delitem(sys.modules, f"servable.authorization.{name}", raising=False)
        monkeypatch.delattr(f"servable.authorization.{name}", raising=False)
    with pytest.raises(InvalidArgument, match=r"pip install 'servable\[jwt\]'"):
        Authorizer(str(rules_path))
    rules_path.write_text(OPEN)
    assert Authorizer(str(rules_path))
