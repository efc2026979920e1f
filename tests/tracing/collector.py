"""An OTLP receiver in this process: TraceService on a gRPC server, as a collector has it."""

import threading
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

PATIENCE_S = 30.0


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans that it is sent, and may answer late or not at all."""

    def __init__(self):
        self._changed = threading.Condition()
        self._spans, self._resources = [], []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = threading.Event()
        self.code = None
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self.may_answer.set()
        self._server.stop(None).wait(PATIENCE_S)

    def Export(self, request, context):  # noqa: N802  (gRPC's name)
        self.asked.set()
        self.may_answer.wait(PATIENCE_S)
        if self.code is not None:
            context.abort(self.code, "no")
        with self._changed:
            for each in request.resource_spans:
                self._resources.append({item.key: value_of(item.value) for item in each.resource.attributes})
                self._spans += [span for scope in each.scope_spans for span in scope.spans]
            self._changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def wait_for(self, is_enough):
        """The spans, as soon as they are enough."""
        with self._changed:
            assert self._changed.wait_for(lambda: is_enough(self._spans), PATIENCE_S), [s.name for s in self._spans]
            return list(self._spans)

    def wait_for_names(self, *names):
        """The spans, as soon as there is one of each name."""
        return self.wait_for(lambda spans: set(names) <= {span.name for span in spans})

    @property
    def resource(self):
        """The attributes of who sent the last spans."""
        with self._changed:
            return self._resources[-1]


def value_of(value):
    """A value of OTLP as Python's."""
    return getattr(value, value.WhichOneof("value"))


def attributes_of(span):
    """The attributes of a span of OTLP."""
    return {item.key: value_of(item.value) for item in span.attributes}
