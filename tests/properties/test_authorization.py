"""Rules as sets: nothing is allowed by default, a rule takes nothing away, and their order does not matter."""

from hypothesis import given
from hypothesis import strategies as st

from servable.authorization import patterns
from servable.authorization.credentials import Anyone, BearerToken, CertificateName, Credentials
from servable.authorization.rules import Rule, Rules
from servable.calls import Action

NAMES = st.sampled_from(["a", "ab", "abc", "b", ""])
PATTERNS = st.lists(st.sampled_from(["a", "ab", "a*", "ab*", "b", "*"]), max_size=3)
DIGESTS = st.sampled_from(["0" * 64, "1" * 64])
CALLERS = st.one_of(
    st.just(Anyone()),
    st.builds(CertificateName, NAMES.filter(bool)),
    st.builds(lambda path: CertificateName(f"u://h/{path}/", is_prefix=True), NAMES),
    st.builds(BearerToken, DIGESTS, NAMES),
)
RULES = st.builds(
    Rule,
    name=st.just("rule"),
    callers=st.lists(CALLERS, max_size=2),
    actions=st.frozensets(st.sampled_from(Action), max_size=3),
    models=PATTERNS.map(patterns.make_names),
)
CREDENTIALS = st.builds(
    Credentials,
    identities=st.lists(st.one_of(NAMES, st.builds("u://h/{}/{}".format, NAMES, NAMES)), max_size=2),
    bearer_sha256=st.none() | DIGESTS,
)
QUESTIONS = st.lists(st.tuples(st.sampled_from(Action), st.none() | NAMES), min_size=1, max_size=5)


def answers(rules, credentials, questions):
    grants = Rules(rules).grants(credentials)
    return [grants.allow(*question) for question in questions]


@given(CREDENTIALS, QUESTIONS)
def test_nothing_is_allowed_without_a_rule(credentials, questions):
    assert not any(answers([], credentials, questions))


@given(st.lists(RULES, max_size=4), RULES, CREDENTIALS, QUESTIONS)
def test_one_more_rule_takes_nothing_away(rules, more, credentials, questions):
    before, after = answers(rules, credentials, questions), answers([*rules, more], credentials, questions)
    assert all(allowed for was_allowed, allowed in zip(before, after, strict=True) if was_allowed)


@given(st.lists(RULES, max_size=4), CREDENTIALS, QUESTIONS, st.randoms())
def test_the_order_of_rules_does_not_matter(rules, credentials, questions, random):
    shuffled = random.sample(rules, len(rules))
    assert answers(rules, credentials, questions) == answers(shuffled, credentials, questions)


@given(st.lists(RULES, max_size=4), CREDENTIALS, QUESTIONS)
def test_one_more_credential_takes_nothing_away(rules, credentials, questions):
    without = answers(rules, Credentials(credentials.identities), questions)
    assert all(allowed for was, allowed in zip(without, answers(rules, credentials, questions), strict=True) if was)


@given(st.lists(RULES, max_size=4), CREDENTIALS, QUESTIONS)
def test_what_is_allowed_is_allowed_by_some_rule(rules, credentials, questions):
    for question, allowed in zip(questions, answers(rules, credentials, questions), strict=True):
        assert (Rules(rules).find_rule(credentials, *question) is not None) is allowed
