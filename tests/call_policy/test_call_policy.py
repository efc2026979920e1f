"""What a policy does around methods, with parts that only note what they are asked."""

import pytest

from servable.call_policy import CallPolicy
from servable.calls import NO_CONTEXT, Action, LocalContext, MethodInfo
from servable.errors import Code, Internal, NotFound, PermissionDenied, ResourceExhausted, Unauthenticated
from servable.methods import AwaitedReply
from servable.requests import Target

INFO = MethodInfo("Predict", "GRPC", Action.PREDICT, "/service/Predict")
RELOAD = MethodInfo("Reload", "GRPC", Action.RELOAD, "/service/Reload")
ALICE = LocalContext([("caller", "alice")])
LARGE = bytes(100_000)


class Parsed:
    """A request for a model."""

    def __init__(self, model="m"):
        self.target = Target(None, (), (), model, "serving_default", 3)


class Follower:
    """Wants the calls of some callers, and keeps what it is told."""

    def __init__(self, wanted=True):
        self.wanted, self.begun, self.parsed, self.taken = wanted, [], [], []

    def wants(self, context):
        return self.wanted

    def begin(self, record):
        self.begun.append(record)

    def note_parsed(self, record, request):
        self.parsed.append(request)

    def take(self, record):
        self.taken.append((record.code, record.model, record.version, record.signature, record.reply_bytes))


class Principal:
    name = "alice"

    def __init__(self, models=(), sees_all=False):
        self.models, self.sees_all_models = models, sees_all

    def check(self, action, model=None):
        if not self.models or (model is not None and model not in self.models):
            raise PermissionDenied(f"not {model}")


class Authorizer:
    """Knows callers by the metadata `caller`."""

    def __init__(self, **principals):
        self.principals = principals

    def identify(self, context):
        try:
            return self.principals[dict(context.metadata())["caller"]]
        except KeyError:
            raise Unauthenticated("who?") from None


class Ticket:
    def __init__(self):
        self.released = []

    def release(self, code, seconds):
        assert seconds >= 0
        self.released.append(code)


class Admission:
    """Gives tickets until it is full."""

    def __init__(self, full=False, full_models=(), follows_all=True):
        self.full, self.full_models, self.follows_all, self.tickets = full, full_models, follows_all, []
        self.most_calls = 5

    def refusal(self, calls_in_flight):
        return ResourceExhausted("too many") if self.full else None

    def begin(self, context, size_bytes):
        self.tickets.append(Ticket())
        return self.tickets[-1]

    def admit(self, ticket, model):
        if model in self.full_models:
            raise ResourceExhausted("model is full")
        return ticket

    @property
    def released(self):
        return [ticket.released for ticket in self.tickets]


def method(model="m", answer=b"answer"):
    """A lane's method for a model; an exception as the answer is raised once the request has been parsed."""

    def run(message, time_left_s, reply):
        if reply.tracker is not None:
            reply.tracker.note_parsed(Parsed(model))
        if isinstance(answer, Exception):
            raise answer
        reply.send(answer)

    return run


def unparsable(message, time_left_s, reply):
    raise NotFound("no such model", {"loaded_models": "secret"})


def call(policy, run, message=b"12", context=NO_CONTEXT, find_model=lambda message: "m"):
    """What a call is answered: bytes, or an error."""
    reply = AwaitedReply(context)
    policy.lane_method(run, INFO, find_model)(message, None, reply)
    return reply.result()


def test_without_parts_methods_stay_as_they_are():
    run, policy = method(), CallPolicy()
    assert policy.lane_method(run, INFO) is run
    assert policy.method(run, INFO) is run
    assert policy.gate({}.get) is None


def test_a_call_that_nobody_wants_goes_to_its_method_as_it_is():
    seen = []
    policy = CallPolicy(followers=[Follower(wanted=False)])
    reply = AwaitedReply()
    policy.lane_method(lambda message, time_left_s, got: seen.append(got), INFO)(b"", None, reply)
    assert seen == [reply]


def test_a_follower_is_told_of_a_call_once_and_of_all_that_is_known():
    follower = Follower()
    assert call(CallPolicy(followers=[follower]), method()) == b"answer"
    assert follower.taken == [(Code.OK, "m", 3, "serving_default", 6)]
    assert len(follower.begun) == len(follower.parsed) == 1
    # Nothing of the call is held by who keeps its record.
    assert follower.begun[0].request is follower.begun[0].reply is None


def test_an_error_is_answered_and_told():
    follower = Follower()
    with pytest.raises(NotFound):
        call(CallPolicy(followers=[follower]), unparsable)
    assert follower.taken == [(Code.NOT_FOUND, "", 0, "", 0)]


def test_what_is_our_fault_is_told_as_internal(caplog):
    follower = Follower()
    with pytest.raises(Internal):
        call(CallPolicy(followers=[follower]), method(answer=ValueError("secret")))
    assert [code for code, *_ in follower.taken] == [Code.INTERNAL]
    assert "ValueError" in caplog.text


@pytest.mark.parametrize("answer", [b"answer", NotFound("no"), ValueError("no")])
def test_a_ticket_is_given_back_exactly_once(answer):
    admission = Admission()
    policy = CallPolicy(admission=admission)
    if isinstance(answer, bytes):
        call(policy, method(answer=answer))
    else:
        with pytest.raises((NotFound, Internal)):
            call(policy, method(answer=answer))
    assert [len(each) for each in admission.released] == [1]


def test_a_ticket_is_given_back_if_the_model_has_no_room():
    admission = Admission(full_models=["m"])
    with pytest.raises(ResourceExhausted, match="model is full"):
        call(CallPolicy(admission=admission), method())
    assert admission.released == [[Code.RESOURCE_EXHAUSTED]]


def test_a_second_answer_gives_nothing_back_and_tells_nobody():
    admission, follower = Admission(), Follower()

    def twice(message, time_left_s, reply):
        reply.send(b"once")
        reply.send(b"twice")

    call(CallPolicy(admission=admission, followers=[follower]), twice)
    assert admission.released == [[Code.OK]]
    assert len(follower.taken) == 1


def test_only_large_messages_take_room_where_nothing_is_counted_by_caller_or_model():
    admission = Admission(follows_all=False)
    policy = CallPolicy(admission=admission)
    call(policy, method())
    assert admission.tickets == []
    call(policy, method(), LARGE)
    assert admission.released == [[Code.OK]]


def test_who_shows_nothing_is_not_answered():
    with pytest.raises(Unauthenticated):
        call(CallPolicy(Authorizer()), method())


@pytest.mark.parametrize("run", [method("other"), unparsable])
def test_a_model_that_is_not_there_looks_like_one_that_is_forbidden(run):
    policy = CallPolicy(Authorizer(alice=Principal(["m"])))
    with pytest.raises(PermissionDenied, match="not other"):
        call(policy, run, context=ALICE, find_model=lambda message: "other")


def test_hints_are_left_out_for_who_does_not_see_all_models():
    for sees_all, hints in ((False, {}), (True, {"loaded_models": "secret"})):
        policy = CallPolicy(Authorizer(alice=Principal(["m"], sees_all)))
        with pytest.raises(NotFound) as caught:
            call(policy, unparsable, context=ALICE)
        assert caught.value.hints == hints


def test_the_gate_refuses_before_a_message_is_received_and_tells_of_it():
    follower = Follower()
    gate = CallPolicy(Authorizer(alice=Principal(["m"])), Admission(), [follower]).gate({INFO.path: INFO}.get)
    assert gate.refuse(INFO.path, ALICE, 1) is None
    assert isinstance(gate.refuse(INFO.path, NO_CONTEXT, 1), Unauthenticated)
    assert [code for code, *_ in follower.taken] == [Code.UNAUTHENTICATED]


def test_the_gate_refuses_what_there_is_no_room_for_whoever_calls():
    gate = CallPolicy(admission=Admission(full=True)).gate({INFO.path: INFO}.get)
    assert gate.beyond_calls == 5
    assert isinstance(gate.refuse(INFO.path, NO_CONTEXT, 10), ResourceExhausted)


def test_a_call_of_management_is_checked_for_all_its_models_and_told_of():
    told = []
    policy = CallPolicy(
        Authorizer(alice=Principal(["m"])), on_managed=lambda record, models: told.append((record.code, models))
    )
    manage = policy.managing_method(lambda *_: b"done", RELOAD, lambda message: message.decode().split())
    assert manage(b"m", None, ALICE) == b"done"
    with pytest.raises(PermissionDenied):
        manage(b"m other", None, ALICE)
    with pytest.raises(Unauthenticated):
        manage(b"m", None, NO_CONTEXT)
    codes = [Code.OK, Code.PERMISSION_DENIED, Code.UNAUTHENTICATED]
    assert told == list(zip(codes, [["m"], ["m", "other"], ()], strict=True))


def test_a_method_without_a_model_is_followed_too():
    follower = Follower()
    policy = CallPolicy(followers=[follower])
    assert policy.method(lambda *_: b"status", INFO, lambda message: "m")(b"", None, NO_CONTEXT) == b"status"
    assert follower.taken == [(Code.OK, "m", 0, "", 6)]


def test_a_follower_that_fails_costs_neither_the_call_nor_the_others(caplog):
    broken, follower, admission = Follower(), Follower(), Admission()
    broken.take = lambda record: 1 / 0
    assert call(CallPolicy(admission=admission, followers=[broken, follower]), method()) == b"answer"
    assert len(follower.taken) == 1
    assert admission.released == [[Code.OK]]
    assert follower.begun[0].request is None
    assert "ZeroDivisionError" in caplog.text


def test_nothing_is_parsed_for_who_may_not_call_at_all():
    parsed = []
    policy = CallPolicy(Authorizer())
    for guarded in (
        policy.method(lambda *_: b"", INFO, parsed.append),
        policy.managing_method(lambda *_: b"", RELOAD, parsed.append),
    ):
        with pytest.raises(Unauthenticated):
            guarded(b"models", None, NO_CONTEXT)
    assert parsed == []
