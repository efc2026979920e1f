"""Server reflection, so that grpcurl and similar tools need no .proto files.

The servicer is grpcio's. This module adds a descriptor pool with all services of this server, the name v1 beside
v1alpha, and threads of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from servable import wire
from servable.transport.handlers import OpenStreams, on_threads

_ALPHA, _STABLE = "grpc.reflection.v1alpha", "grpc.reflection.v1"
_SERVICE = "ServerReflection"


def handlers(service_names: Iterable[str], streams: OpenStreams, pool: ThreadPoolExecutor) -> list[Any]:
    """The generic handlers to register.

    Args:
        service_names: Full names of what this server registers besides reflection.
        streams: Where open streams are remembered.
        pool: Where streams run; each holds a thread while it is open.
    """
    names = [*service_names, f"{_ALPHA}.{_SERVICE}", f"{_STABLE}.{_SERVICE}"]
    servicer = reflection.ReflectionServicer(names, _describe_all())

    def answer(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        streams.follow(context, context.cancel)
        yield from servicer.ServerReflectionInfo(requests, context)

    # v1 and v1alpha differ in the name of the package only; their bytes are the same.
    method = grpc.stream_stream_rpc_method_handler(
        on_threads(answer, pool),
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return [
        grpc.method_handlers_generic_handler(f"{package}.{_SERVICE}", {"ServerReflectionInfo": method})
        for package in (_ALPHA, _STABLE)
    ]


def _describe_all() -> DescriptorPool:
    pool = DescriptorPool()
    for service in ("PredictionService", "ModelService"):
        _copy_file(wire.POOL.FindServiceByName(f"tensorflow.serving.{service}").file, pool)
    _copy_file(wire.POOL.FindServiceByName("tensorflow.ProfilerService").file, pool)
    _copy_file(health_pb2.DESCRIPTOR, pool)
    _copy_file(reflection_pb2.DESCRIPTOR, pool)
    pool.AddSerializedFile(_stable_reflection().SerializeToString())
    return pool


def _copy_file(file: Any, pool: DescriptorPool) -> None:
    for dependency in file.dependencies:
        _copy_file(dependency, pool)
    pool.AddSerializedFile(file.serialized_pb)


def _stable_reflection() -> descriptor_pb2.FileDescriptorProto:
    proto = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(proto)
    proto.name, proto.package = proto.name.replace("v1alpha", "v1"), _STABLE
    for message in proto.message_type:
        for field in filter(lambda field: field.HasField("type_name"), message.field):
            field.type_name = field.type_name.replace(_ALPHA, _STABLE)
    for method in proto.service[0].method:
        method.input_type = method.input_type.replace(_ALPHA, _STABLE)
        method.output_type = method.output_type.replace(_ALPHA, _STABLE)
    return proto
