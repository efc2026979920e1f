"""Batches of which some members are recorded, and come one after the other."""

from random import Random

from servable.tracing import batches, taken
from servable.tracing.batches import PendingBatches
from servable.tracing.sampling import Sampling
from servable.tracing.taken import NOTHING_SENT
from servable.tracing.traceparent import SAMPLED, TraceParent
from tests.tracing.records import batch, record


def pending():
    ids = Sampling(random=Random(1))
    return PendingBatches(ids.make_trace_id, ids.make_span_id)


def member(of, span_id=1):
    call = record(batch=of)
    call.traceparent = str(TraceParent(1, span_id, SAMPLED))
    return taken.take(call, NOTHING_SENT)


def test_members_of_one_batch_meet_in_it():
    waiting, one, other = pending(), batch(2, 10.0), batch(2, 10.0)
    first = waiting.add(member(one), one)
    assert waiting.add(member(other), other) is not first
    assert waiting.add(member(one), one) is first
    assert first.own.is_sampled


def test_a_batch_is_due_once_all_its_members_are_there():
    waiting, of = pending(), batch(2, 10.0)
    waiting.add(member(of, 1), of)
    assert waiting.pop_due(10.0) == []
    waiting.add(member(of, 2), of)
    (found,) = waiting.pop_due(10.0)
    assert [each.own.span_id for each in found.members] == [1, 2]
    assert waiting.pop_due(float("inf")) == []


def test_a_batch_of_which_not_all_are_recorded_is_due_after_a_while():
    waiting, of = pending(), batch(8, 10.0)
    waiting.add(member(of), of)
    assert waiting.pop_due(10.0 + batches.PATIENCE_S - 0.1) == []
    assert len(waiting.pop_due(10.0 + batches.PATIENCE_S)) == 1


def test_of_too_many_batches_the_oldest_are_due():
    waiting = pending()
    many = [batch(8, 10.0) for _ in range(1030)]
    for index, of in enumerate(many):
        waiting.add(member(of, index + 1), of)
    assert [found.members[0].own.span_id for found in waiting.pop_due(10.0)] == [1, 2, 3, 4, 5, 6]
