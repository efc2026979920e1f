"""Snapshots are sent to who listens, are taken once for all, and cost nothing while nobody does."""

import asyncio
import contextlib
import gc
import json
import logging
import threading

import pytest

from servable.console import events as console_events
from servable.console.events import Events
from tests.console.serving import Served

PATIENCE_S = 20.0


class Counter:
    """Gives the number of snapshots that were taken."""

    def __init__(self):
        self.taken = 0
        self.threads = set()

    def __call__(self):
        self.taken += 1
        self.threads.add(threading.get_ident())
        return {"number": self.taken}


def number_of(event):
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    return json.loads(event.removeprefix(b"data: "))["number"]


async def next_of(listener):
    return number_of(await asyncio.wait_for(anext(listener), PATIENCE_S))


def test_all_listeners_get_the_same_snapshots_from_another_thread():
    counter = Counter()

    async def listen():
        events = Events(counter, period_s=0)
        first, second = events.listen(), events.listen()
        assert await next_of(first) == await next_of(second)
        await next_of(first)

    asyncio.run(listen())
    assert counter.threads.isdisjoint({threading.get_ident()})


def test_nothing_is_taken_before_and_after_somebody_listens():
    counter = Counter()

    async def listen():
        events = Events(counter, period_s=0)
        await asyncio.sleep(0)
        assert counter.taken == 0
        listener = events.listen()
        await next_of(listener)
        ticker = events._ticker
        del listener
        await asyncio.wait_for(ticker, PATIENCE_S)
        taken = counter.taken
        # A new listener starts it again.
        assert await next_of(events.listen()) > taken

    asyncio.run(listen())


def test_who_does_not_read_keeps_the_latest_event_only():
    async def listen():
        events = Events(Counter(), period_s=0)
        slow, fast = events.listen(), events.listen()
        for _ in range(50):
            latest = await next_of(fast)
        assert latest - 1 <= await next_of(slow) <= latest + 1
        assert slow._latest.maxsize == 1

    asyncio.run(listen())


def test_there_is_a_most_of_listeners_and_one_that_leaves_makes_room(monkeypatch):
    monkeypatch.setattr(console_events, "MOST_LISTENERS", 3)
    served = Served()

    async def listen():
        replies = [await served.console(request()) for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 200, 200, 503]
        assert replies[0].content_type == "text/event-stream"
        del replies
        gc.collect()
        assert (await served.console(request())).status == 200

    asyncio.run(listen())


def request():
    from servable.http_exchange import HttpRequest

    return HttpRequest("GET", "/console/events", b"", [(b"host", b"localhost")])


def test_a_failure_is_logged_and_the_next_page_starts_anew(caplog):
    outcomes = iter([ValueError("odd")])

    def take():
        with contextlib.suppress(StopIteration):
            raise next(outcomes)
        return {"number": 7}

    async def listen():
        events = Events(take, period_s=0)
        first = events.listen()
        with contextlib.suppress(ValueError):
            await asyncio.wait_for(events._ticker, PATIENCE_S)
        await asyncio.sleep(0)
        assert await next_of(events.listen()) == 7
        assert first is not None

    with caplog.at_level(logging.ERROR):
        asyncio.run(listen())
    assert "no more snapshots" in caplog.text
    caplog.clear()


@pytest.mark.parametrize("verb", ["HEAD"])
def test_a_head_does_not_listen(verb):
    served = Served()
    assert served.ask("/console/events", verb).body == b""
    assert not served.events.is_full
