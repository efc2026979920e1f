"""Server reflection, so that grpcurl and similar tools need no .proto files.

The servicer is grpcio's. This module adds a descriptor pool with all services of this server, the name v1 beside
v1alpha, and threads of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2

from servable.transport.compression import Decompressor
from servable.transport.descriptors import ALPHA_REFLECTION, STABLE_REFLECTION, describe_all
from servable.transport.handlers import OpenStreams, on_threads

_SERVICE = "ServerReflection"


def handlers(
    service_names: Iterable[str], streams: OpenStreams, pool: ThreadPoolExecutor, decompress: Decompressor
) -> list[Any]:
    """The generic handlers to register.

    Args:
        service_names: Full names of what this server registers besides reflection.
        streams: Where open streams are remembered.
        pool: Where streams run; each holds a thread while it is open.
        decompress: Reads messages that were compressed.
    """
    names = [*service_names, f"{ALPHA_REFLECTION}.{_SERVICE}", f"{STABLE_REFLECTION}.{_SERVICE}"]
    servicer = reflection.ReflectionServicer(names, _make_pool())

    read = decompress.reader(reflection_pb2.ServerReflectionRequest.FromString)

    def answer(messages: Iterator[bytes], context: Any) -> Iterator[Any]:
        streams.follow(context, context.cancel)
        requests = (read(message, context) for message in messages)
        yield from servicer.ServerReflectionInfo(requests, context)

    # v1 and v1alpha differ in the name of the package only; their bytes are the same.
    method = grpc.stream_stream_rpc_method_handler(
        on_threads(answer, pool), response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString
    )
    return [
        grpc.method_handlers_generic_handler(f"{package}.{_SERVICE}", {"ServerReflectionInfo": method})
        for package in (ALPHA_REFLECTION, STABLE_REFLECTION)
    ]


def _make_pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in describe_all().file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool
