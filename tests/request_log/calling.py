"""Calls as the server makes them, with a request log that follows: real models, no sockets."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from servable import requests, wire
from servable.calls import NO_CONTEXT, Action, CallRecord, MethodInfo
from servable.config.models import Collector, ModelConfig, RequestLogging
from servable.errors import Code, ServingError
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import best_runs
from servable.inference.classify import Classify
from servable.inference.multi_inference import MultiInference
from servable.inference.predict import Predict
from servable.inference.regress import Regress
from servable.open_inference.grpc_api import GrpcInfer
from servable.open_inference.inference import Models
from servable.request_log.files import Limits
from servable.request_log.follower import RequestLog
from servable.request_log.writer import Settings
from servable.rest.examples import RestClassify, RestRegress
from servable.rest.message import RestMessage
from servable.rest.predict import RestPredict
from servable.rest.urls import parse
from servable.routing import Router, Routes
from servable.servables import Handle

MB = 1 << 20
LIMITS = Limits(file_bytes=MB, file_s=3600.0, total_bytes=16 * MB)
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def make_log(**kwargs) -> RequestLog:
    """A request log without a default; `limits`, `most_entries` and `most_bytes` are Settings."""
    settings = {name: kwargs.pop(name) for name in ("most_entries", "most_bytes") if name in kwargs}
    return RequestLog(Settings(kwargs.pop("limits", LIMITS), ("serve",), **settings), **kwargs)


def config(name: str, prefix: Path | str, kind: str = "tfrecord", rate: float = 1.0) -> ModelConfig:
    """A model that is logged."""
    return ModelConfig(name, "/unused", logging=RequestLogging(Collector(kind, str(prefix)), rate))


def record_of(api: str, entrypoint: str, message) -> CallRecord:
    info = MethodInfo(api, entrypoint, Action.PREDICT, "")
    return CallRecord(info, NO_CONTEXT, time.monotonic(), 1_700_000_000_250_000_000, len(message), message)


def follow_fake(log: RequestLog, model: str = "m", *, message=b"request", code=Code.OK, api="Predict") -> bool:
    """A call over gRPC that runs no model; whether the log wanted it."""
    if not log.wants(NO_CONTEXT):
        return False
    record = record_of(api, "GRPC", message)
    log.begin(record)
    record.model = model
    if code is Code.OK:
        record.version = 1
        log.note_parsed(record, None)
        record.reply = b"reply"
    record.code, record.ended_s = code, time.monotonic()
    log.take(record)
    return True


@dataclass
class Caller:
    """Calls one model, and tells a log."""

    log: RequestLog
    handle: Handle
    router: Router

    def grpc(self, api: str, message) -> bytes:
        kinds = {"Predict": Predict, "Classify": Classify, "Regress": Regress, "MultiInference": MultiInference}
        begin = GrpcInfer(Models(self.router)).begin if api == "ModelInfer" else kinds[api](self.router).begin
        return self._call(api, "GRPC", message.SerializeToString(), begin)

    def rest(self, api: str, body: str) -> bytes:
        kinds = {"Predict": RestPredict, "Classify": RestClassify, "Regress": RestRegress}
        url = parse("POST", f"/v1/models/{self.handle.name}:{api.lower()}")
        return self._call(api, "REST", RestMessage(url, body.encode()), kinds[api](self.router).begin)

    def _call(self, api, entrypoint, message, begin) -> bytes:
        record = record_of(api, entrypoint, message)
        assert self.log.wants(NO_CONTEXT)
        self.log.begin(record)
        try:
            request = begin(message)
            record.model, record.version = self.handle.name, self.handle.version
            record.signature = request.target.signature
            record.traceparent = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
            self.log.note_parsed(record, request)
            record.reply = requests.complete(request, None)
        except ServingError as error:
            record.code = error.code
        finally:
            record.ended_s = time.monotonic()
            self.log.take(record)
            reply, record.request, record.reply = record.reply, None, None
        return reply


def make_caller(log: RequestLog, path: Path, name: str) -> Caller:
    """Load a version."""
    servable = SavedModelLoader(runs=best_runs())(path)
    handle = Handle(name, 3, servable)
    return Caller(log, handle, Router(Routes([handle])))


def predict_request(model: str, signature: str = "", **inputs) -> wire.PredictRequest:
    import tensorflow as tf

    request = wire.PredictRequest(model_spec=wire.ModelSpec(name=model, signature_name=signature))
    for alias, values in inputs.items():
        request.inputs[alias].ParseFromString(tf.make_tensor_proto(values).SerializeToString())
    return request
