"""Calls as a tracer sees them, made by hand."""

import time

from servable.calls import Action, BatchRecord, CallRecord, LocalContext, MethodInfo
from servable.errors import Code

PREDICT = MethodInfo("Predict", "GRPC", Action.PREDICT, "/tensorflow.serving.PredictionService/Predict")
REST = MethodInfo("Predict", "REST", Action.PREDICT, "/v1/models:predict")
METRICS = MethodInfo("metrics", "REST", Action.METRICS, "/metrics")
TRACE_ID, PARENT_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
SAMPLED = f"00-{TRACE_ID:032x}-{PARENT_ID:016x}-01"
UNSAMPLED = f"{SAMPLED[:-1]}0"
BEGAN_NS = 1_700_000_000_000_000_000


def context(*headers, peer="ipv4:127.0.0.1:52100"):
    return LocalContext(headers, peer)


def record(method=PREDICT, sent=SAMPLED, *, ran=True, batch=None, code=Code.OK, state=(), **values):
    """A call that began at 100 s, ran from 100.3 s to 100.6 s, and was answered at 100.7 s."""
    headers = [] if sent is None else [("traceparent", sent)]
    headers += [("tracestate", each) for each in state]
    times = {"dispatched_s": 100.1, "run_began_s": 100.3, "run_ended_s": 100.6} if ran else {}
    about = {"model": "half", "version": 3, "signature": "serving_default", "request_bytes": 10, "reply_bytes": 20}
    return CallRecord(
        method,
        context(("user-agent", "a"), *headers),
        100.0,
        BEGAN_NS,
        **{**about, **times, "ended_s": 100.7, "batch": batch, "code": code, **values},
    )


def batch(members, ended_s=None):
    """A batch that has just run, or ran at a time."""
    ended_s = time.monotonic() if ended_s is None else ended_s
    return BatchRecord(ended_s - 0.3, ended_s, 8, members)
