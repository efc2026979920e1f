"""Snapshots for those who listen: shared, bounded, and none while nobody does."""

import asyncio
import gc
import itertools
import json
import logging

from servable.console.events import MOST_LISTENERS, Events, pause_after

# No test waits longer for an event.
PATIENCE_S = 10.0
PAUSE_S = 0.001


def run(coroutine):
    async def bounded():
        return await asyncio.wait_for(coroutine, PATIENCE_S)

    return asyncio.run(bounded())


def counting():
    numbers = itertools.count(1)
    return lambda: {"number": next(numbers)}


def numbers_in(event):
    return [json.loads(line.removeprefix("data: "))["number"] for line in event.decode().split("\n\n") if line]


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


def test_all_listeners_get_the_same_snapshot_which_is_taken_once():
    async def listen():
        events = Events(counting(), PAUSE_S)
        listeners = [events.listen() for _ in range(3)]
        return await asyncio.gather(*(anext(listener) for listener in listeners))

    assert run(listen()) == [b'data: {"number": 1}\n\n'] * 3


def test_one_who_comes_later_gets_what_is_past_in_one_piece():
    async def listen():
        events = Events(counting(), PAUSE_S)
        first = events.listen()
        seen = [numbers_in(await anext(first)) for _ in range(3)]
        return seen, numbers_in(await anext(events.listen()))

    seen, past = run(listen())
    assert seen == [[1], [2], [3]]
    assert past[:3] == [1, 2, 3]


def test_a_slow_reader_misses_snapshots_and_keeps_none_for_itself():
    async def listen():
        events = Events(counting(), PAUSE_S)
        slow, quick = events.listen(), events.listen()
        await anext(slow)
        for _ in range(200):
            await anext(quick)
        held = gc.get_referents(slow)
        return held, numbers_in(await anext(slow))

    held, late = run(listen())
    assert sum(len(each) for each in held if isinstance(each, bytes)) == 0
    assert len(late) == 1
    assert late[0] > 200


def test_what_is_past_is_bounded():
    async def listen():
        events = Events(counting(), PAUSE_S)
        listener = events.listen()
        while numbers_in(await anext(listener)) < [300]:
            pass
        return numbers_in(await anext(events.listen()))

    assert len(run(listen())) == 120


def test_nothing_is_taken_while_nobody_listens():
    taken = counting()

    async def listen():
        events = Events(taken, PAUSE_S)
        before = events.is_ticking
        await anext(events.listen())
        await until(lambda: not events.is_ticking)
        return before, taken()["number"], events.is_ticking

    before, number, after = run(listen())
    assert (before, after) == (False, False)
    # The listener was let go at once; so at most one more snapshot was taken after its own.
    assert number <= 3


def test_too_many_listeners_are_refused_until_one_has_gone():
    async def listen():
        events = Events(counting(), PAUSE_S)
        listeners = [events.listen() for _ in range(MOST_LISTENERS)]
        refused = events.listen()
        listeners.pop()
        return refused, events.listen()

    refused, taken = run(listen())
    assert refused is None
    assert taken is not None


def test_one_listener_that_is_cancelled_ends_no_other():
    async def listen():
        events = Events(counting(), PAUSE_S)
        leaving, staying = asyncio.ensure_future(anext(events.listen())), events.listen()
        await asyncio.sleep(0)
        leaving.cancel()
        return await anext(staying), await anext(staying)

    assert run(listen()) == (b'data: {"number": 1}\n\n', b'data: {"number": 2}\n\n')


def test_a_snapshot_that_fails_ends_the_streams_and_the_next_listener_starts_anew(caplog):
    outcomes = iter([ValueError("no counts"), {"number": 1}])

    def take():
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def listen():
        events = Events(take, PAUSE_S)
        ended = [event async for event in events.listen()]
        return ended, await anext(events.listen())

    with caplog.at_level(logging.ERROR):
        ended, event = run(listen())
    assert ended == []
    assert event == b'data: {"number": 1}\n\n'
    assert "no counts" in caplog.text


def test_snapshots_that_take_long_are_taken_less_often():
    assert pause_after(0.001, 1.0) == 1.0
    assert pause_after(0.1, 1.0) == 2.0
