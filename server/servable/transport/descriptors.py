"""The descriptors of all that a server speaks: its services, their messages, and the details of its errors.

Reflection serves them to tools that ask; `servable protos` writes them for tools that read a file.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from servable import wire

ALPHA_REFLECTION, STABLE_REFLECTION = "grpc.reflection.v1alpha", "grpc.reflection.v1"
_SERVICES = (
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
    "tensorflow.ProfilerService",
    "inference.GRPCInferenceService",
)


def describe_all() -> FileDescriptorSet:
    """Each file once, after those that it imports.

    google.rpc.Status and ErrorInfo are among them, though no service names them: a tool that lacks them cannot show
    the details of an error, which come as bytes in `grpc-status-details-bin`.
    """
    files: dict[str, FileDescriptorProto] = {}
    for name in _SERVICES:
        _add(wire.POOL.FindServiceByName(name).file, files)
    for message in (wire.Status, wire.ErrorInfo):
        _add(message.DESCRIPTOR.file, files)
    _add(health_pb2.DESCRIPTOR, files)
    _add(reflection_pb2.DESCRIPTOR, files)
    return FileDescriptorSet(file=[*files.values(), _stable_reflection()])


def _add(file: Any, files: dict[str, FileDescriptorProto]) -> None:
    if file.name in files:
        return
    for dependency in file.dependencies:
        _add(dependency, files)
    files[file.name] = FileDescriptorProto.FromString(file.serialized_pb)


def _stable_reflection() -> FileDescriptorProto:
    """The v1 of reflection, which grpcio does not ship: v1alpha in another package."""
    proto = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(proto)
    proto.name, proto.package = proto.name.replace("v1alpha", "v1"), STABLE_REFLECTION
    for message in proto.message_type:
        for field in filter(lambda field: field.HasField("type_name"), message.field):
            field.type_name = field.type_name.replace(ALPHA_REFLECTION, STABLE_REFLECTION)
    for method in proto.service[0].method:
        method.input_type = method.input_type.replace(ALPHA_REFLECTION, STABLE_REFLECTION)
        method.output_type = method.output_type.replace(ALPHA_REFLECTION, STABLE_REFLECTION)
    return proto
