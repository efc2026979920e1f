"""Which calls have a line in the access log, what it says, and that nothing waits for it."""

import json
import queue
import threading

import pytest

from servable.calls import Action, BatchRecord, CallRecord, LocalContext, MethodInfo
from servable.errors import Code
from servable.observability import access_log
from servable.observability.access_log import AccessLog, make_access_log
from servable.observability.line_formats import JsonFormatter, TextFormatter

PATIENCE_S = 30.0
PREDICT = MethodInfo("Predict", "GRPC", Action.PREDICT, "/tensorflow.serving.PredictionService/Predict")
SECRET = "canary-in-metadata"
TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


class Clock:
    now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def log():
    """Makes access logs, whose records come by a queue."""
    made = []

    def make(ratio=1.0, slow_s=1.0, most_per_s=1_000, **fakes):
        records = queue.SimpleQueue()
        made.append(AccessLog(ratio, slow_s, most_per_s, **{"emit": records.put, **fakes}))
        return made[-1], records

    yield make
    for each in made:
        each.stop()


def call(seconds=0.25, code=Code.OK, **known):
    context = LocalContext([("authorization", SECRET)], "ipv4:127.0.0.1:5", ())
    times = {"began_s": 10.0, "dispatched_s": 10.01, "run_began_s": 10.03, "run_ended_s": 10.1}
    return CallRecord(
        PREDICT, context, began_ns=1, request_bytes=7, ended_s=10.0 + seconds, code=code, **{**times, **known}
    )


def lines(log, records):
    log.stop()
    return [records.get_nowait() for _ in range(records.qsize())]


def test_a_line_says_what_is_known_of_a_call_and_nothing_that_was_sent(log):
    access, records = log()
    access.take(
        call(
            model="digits", version=3, signature="serving_default", reply=SECRET.encode(), reply_bytes=9,
            request=SECRET, message=SECRET, code=Code.NOT_FOUND, batch=BatchRecord(1, 2, 32, 4),
            traceparent=TRACEPARENT, principal="team-a",
        )
    )  # fmt: skip
    (record,) = lines(access, records)
    written = JsonFormatter().format(record)
    line = json.loads(written)
    assert {key: line[key] for key in line if key not in ("time", "thread")} == {
        "level": "INFO", "logger": "servable.access", "message": "Predict NOT_FOUND",
        "api": "Predict", "entrypoint": "GRPC", "model": "digits", "version": 3, "signature": "serving_default",
        "code": "NOT_FOUND", "seconds": 0.25, "queue_ms": 20.0, "run_ms": 70.0, "request_bytes": 7, "reply_bytes": 9,
        "batch_rows": 32, "peer": "ipv4:127.0.0.1:5", "principal": "team-a",
        "trace_id": "a" * 32, "span_id": "b" * 16,
    }  # fmt: skip
    assert SECRET not in written
    assert SECRET not in TextFormatter().format(record)


def test_in_text_a_line_has_its_fields_too(log):
    access, records = log()
    access.take(call(model="a\nb", run_began_s=0.0))
    (record,) = lines(access, records)
    assert (
        TextFormatter()
        .format(record)
        .endswith(
            "INFO servable.access: Predict OK api=Predict entrypoint=GRPC model=a\\nb version=0 code=OK seconds=0.25 "
            "request_bytes=7 reply_bytes=0 peer=ipv4:127.0.0.1:5"
        )
    )


def test_names_that_strangers_chose_are_bounded(log):
    access, records = log()
    access.take(call(model="m" * 1_000_000, principal="p" * 1_000_000))
    (record,) = lines(access, records)
    assert len(JsonFormatter().format(record)) < 1_000


def test_with_a_ratio_of_0_only_errors_and_slow_calls_have_lines(log):
    access, records = log(ratio=0.0, slow_s=1.0)
    for each in (call(0.5), call(1.0), call(0.5, Code.UNAVAILABLE)):
        access.take(each)
    assert [(line.fields["code"], line.fields["seconds"]) for line in lines(access, records)] == [
        ("OK", 1.0),
        ("UNAVAILABLE", 0.5),
    ]


def test_the_ratio_is_the_share_of_the_other_calls(log):
    chosen = iter([0.1, 0.3, 0.2, 0.25])
    access, records = log(ratio=0.25, choose=lambda: next(chosen))
    for model in "abcd":
        access.take(call(model=model))
    assert [line.fields["model"] for line in lines(access, records)] == ["a", "c"]


def test_a_flood_has_so_many_lines_a_second_and_one_that_says_how_many_are_left_out(log):
    clock = Clock()
    access, records = log(ratio=0.0, most_per_s=10, clock=clock)
    for _ in range(1_000):
        access.take(call(code=Code.INVALID_ARGUMENT))
    clock.now_s += 1.0
    access.take(call(code=Code.NOT_FOUND))
    messages = [line.getMessage() for line in lines(access, records)]
    assert messages.count("Predict INVALID_ARGUMENT") == 10
    assert messages.count("Predict NOT_FOUND") == 1
    assert messages.count("990 calls were left out of the access log, which takes 10 a second") == 1
    assert len(messages) == 12


def test_what_was_left_out_is_told_without_another_call(log):
    access, records = log(ratio=0.0, most_per_s=1)
    for _ in range(2):
        access.take(call(code=Code.ABORTED))
    assert records.get(timeout=PATIENCE_S).getMessage() == "Predict ABORTED"
    assert records.get(timeout=PATIENCE_S).getMessage().startswith("1 calls were left out")


def test_a_log_that_blocks_stops_no_call_and_what_is_dropped_is_counted(log):
    blocked, entered = threading.Event(), threading.Event()

    def emit(_record):
        entered.set()
        blocked.wait(PATIENCE_S)

    access, _records = log(most_per_s=1_000_000, emit=emit)
    access.take(call())
    assert entered.wait(PATIENCE_S)
    for _ in range(access_log.MAX_WAITING + 500):
        access.take(call())
    (family,) = access.families()
    assert family.values["dropped",] == 500
    blocked.set()


def test_lines_are_counted_by_what_became_of_them(log):
    access, _records = log(ratio=0.0, most_per_s=2)
    for _ in range(5):
        access.take(call(code=Code.ABORTED))
    access.stop()
    (family,) = access.families()
    assert family.values == {("written",): 2, ("left_out",): 3, ("dropped",): 0}


def test_below_0_there_is_no_access_log():
    assert make_access_log(-1.0, 1_000, 1_000) is None
    made = make_access_log(0.0, 1_000, 1_000)
    assert made is not None
    made.stop()
