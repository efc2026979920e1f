"""Replies that a server compresses are read, and none may fill the client's memory."""

import asyncio
import gzip
import math
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from servable_client import AsyncClient, Client, errors, wire
from servable_client._decompression import TooLargeError, decompress

MIB = 1 << 20
COMPRESS = [lambda data: gzip.compress(data, mtime=0), zlib.compress]
ALGORITHMS = [grpc.Compression.Gzip, grpc.Compression.Deflate]


@pytest.mark.parametrize("compress", COMPRESS)
@pytest.mark.parametrize("size", [0, 1, 1000, MIB - 1, MIB, MIB + 1, 3 * MIB + 5])
def test_what_was_compressed_becomes_what_it_was(compress, size):
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    assert decompress(compress(data), 4 * MIB) == data


@pytest.mark.parametrize("compress", COMPRESS)
def test_what_is_no_whole_stream_stays_as_it_is(compress):
    whole = compress(b"some bytes" * 30)
    for data in (
        b"",
        b"x",
        b"\x1f\x8b",
        b"x\x9c",
        b"x" * 99,
        whole[:-1],
        whole + b"x",
        whole + whole,
        whole[:-1] + b"?",
    ):
        assert decompress(data, MIB) == data


@pytest.mark.parametrize("compress", COMPRESS)
def test_what_is_refused_takes_little_more_than_the_bound(compress):
    bomb = compress(bytes(64 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            decompress(bomb, MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB


def predict(_request, _context):
    reply = wire.PredictResponse()
    tensor = reply.outputs["y"]
    tensor.dtype = 1
    tensor.tensor_shape.dim.add().size = MIB
    tensor.tensor_content = bytes(4 * MIB)
    return reply.SerializeToString()


@pytest.fixture(params=ALGORITHMS)
def address(request):
    handler = grpc.method_handlers_generic_handler(
        "tensorflow.serving.PredictionService", {"Predict": grpc.unary_unary_rpc_method_handler(predict)}
    )
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, [handler], compression=request.param)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


def test_a_compressed_reply_is_read(address):
    for bound in ({}, {"max_decompressed_mb": math.inf}, {"max_decompressed_mb": 4.1}):
        with Client(address, model="m", infer=False, **bound) as client:
            np.testing.assert_array_equal(client.predict({"x": 1.0})["y"], np.zeros(MIB, np.float32))


def test_one_that_becomes_too_large_is_refused_by_both_clients(address):
    with (
        Client(address, model="m", infer=False, max_decompressed_mb=1) as client,
        pytest.raises(errors.ResourceExhausted, match=r"over 1048576\) after decompression; max_decompressed_mb sets"),
    ):
        client.predict({"x": 1.0})

    async def call():
        async with AsyncClient(address, model="m", infer=False, max_decompressed_mb=1) as client:
            await client.predict({"x": 1.0})

    with pytest.raises(errors.ResourceExhausted, match="max_decompressed_mb sets"):
        asyncio.run(call())


def test_without_the_channel_option_grpc_decompresses_and_nothing_else_changes(address):
    with Client(address, model="m", infer=False, options={"grpc.per_message_decompression": 1}) as client:
        assert client.predict({"x": 1.0})["y"].shape == (MIB,)
