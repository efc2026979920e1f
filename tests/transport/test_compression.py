"""Which messages count as compressed, and what they may become."""

import gzip
import threading
import tracemalloc
import zlib

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from servable.calls import NO_CONTEXT
from servable.errors import DeadlineExceeded, ResourceExhausted
from servable.methods import AwaitedReply
from servable.transport import compression
from servable.transport.compression import Decompressor
from servable.transport.descriptors import describe_all

MIB = 1 << 20
PATIENCE_S = 30.0
COMPRESS = {"gzip": lambda data: gzip.compress(data, mtime=0), "deflate": zlib.compress}
LENGTH_DELIMITED = {
    descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
}


def decompressor(most_bytes=MIB):
    return Decompressor(most_bytes, "--limit")


@pytest.fixture(params=list(COMPRESS))
def compress(request):
    return COMPRESS[request.param]


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_what_was_compressed_becomes_what_it_was(data):
    for compress in COMPRESS.values():
        assert decompressor()(compress(data)) == data


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08\0", b"\x78", b"\x78\x9c", b"\x78\x01"])
)
def test_what_is_no_whole_stream_stays_as_it_is(data, beginning):
    assert decompressor()(beginning + data) == beginning + data


def test_a_stream_that_is_cut_off_or_damaged_or_goes_on_stays_as_it_is(compress):
    whole = compress(b"some bytes that are long enough" * 30)
    for data in (whole[:-1], whole[:2], whole + b"x", whole + whole, whole[:-5] + b"x" + whole[-4:]):
        assert decompressor()(data) == data


def input_types():
    files = describe_all().file
    messages = {f".{file.package}.{message.name}": message for file in files for message in file.message_type}
    for file in files:
        for service in file.service:
            for method in service.method:
                yield messages[method.input_type]


def test_no_request_of_the_server_can_begin_as_a_compressed_one_does():
    # The tags of a message's fields are the only bytes that it can begin with.
    firsts = {
        (field.number << 3) | (2 if field.type in LENGTH_DELIMITED else kind)
        for message in input_types()
        for field in message.field
        for kind in (0, 1, 5)
    }
    assert len(firsts) > 5
    assert not firsts & {0x1F, 0x78}


@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 64 * MIB])
def test_more_than_the_bound_is_refused_with_the_limit_and_what_sets_it(compress, size):
    message = compress(bytes(size))
    if size <= MIB:
        assert decompressor()(message) == bytes(size)
        return
    with pytest.raises(ResourceExhausted, match=rf"larger than max \(.*{MIB}\) after decompression; --limit sets"):
        decompressor()(message)


def test_refusals_are_counted(compress):
    decompress = decompressor()
    for _ in range(2):
        with pytest.raises(ResourceExhausted):
            decompress(compress(bytes(2 * MIB)))
    assert decompress.refused == 2


def test_what_is_refused_takes_little_more_than_the_bound(compress):
    bomb = compress(bytes(64 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(ResourceExhausted):
            decompressor(4 * MIB)(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB


def test_a_gzip_that_says_less_than_it_has_is_not_read_to_its_end():
    bomb = gzip.compress(bytes(64 * MIB))[:-4] + (10).to_bytes(4, "little")
    tracemalloc.start()
    try:
        assert decompressor(128 * MIB)(bomb) == bomb
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


@pytest.mark.parametrize("size", [256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 256 * 1024 * 3, 5 * MIB + 17])
def test_sizes_about_those_of_the_pieces_are_whole(compress, size):
    data = bytes(range(251)) * (size // 251 + 1)
    assert decompressor(8 * MIB)(compress(data[:size])) == data[:size]


class Gathering:
    """Counts who is inside, and keeps them there."""

    def __init__(self, share):
        self._share = share
        self.entered = threading.Semaphore(0)
        self.leave = threading.Event()
        self.refused = []

    def hold(self, count):
        try:
            with self._share.held(count):
                self.entered.release()
                assert self.leave.wait(PATIENCE_S)
        except ResourceExhausted as error:
            self.refused.append(error)


def test_large_messages_wait_while_others_take_the_bound_and_too_many_are_refused():
    share = compression.Share(10)
    gathering = Gathering(share)
    threads = [threading.Thread(target=gathering.hold, args=(count,)) for count in (6, 4, *[6] * 12)]
    for thread in threads:
        thread.start()
    # Both fit at first, or one of six; eight of the rest wait.
    assert gathering.entered.acquire(timeout=PATIENCE_S)
    gathering.leave.set()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    with share.held(10):
        pass


def test_who_comes_when_eight_wait_is_refused_at_once():
    share = compression.Share(10)
    waiting = [threading.Thread(target=Gathering(share).hold, args=(11,), daemon=True) for _ in range(8)]
    for thread in waiting:
        thread.start()
    deadline = threading.Event()
    while share.waiting < 8:
        assert not deadline.wait(0.001)
    with pytest.raises(ResourceExhausted, match="Too many large compressed messages wait"), share.held(11):
        pass
    # What fits still goes on.
    with share.held(10):
        pass


def test_a_method_gets_what_the_message_was_and_what_is_left_of_the_time(compress):
    seen = []
    method = decompressor().before(lambda message, time_left_s, context: seen.append((message, time_left_s, context)))
    method(compress(b"hello"), 5.0, NO_CONTEXT)
    method(compress(b"hello"), None, NO_CONTEXT)
    method(b"plain", 5.0, NO_CONTEXT)
    assert [(message, context) for message, _, context in seen] == [
        (b"hello", NO_CONTEXT), (b"hello", NO_CONTEXT), (b"plain", NO_CONTEXT)
    ]  # fmt: skip
    assert 0 < seen[0][1] < 5.0
    assert [time_left_s for _, time_left_s, _ in seen[1:]] == [None, 5.0]


def test_a_message_that_is_decompressed_too_late_reaches_no_method(compress):
    method = decompressor().before_lane_method(lambda *_: pytest.fail("it was called"))
    with pytest.raises(DeadlineExceeded):
        method(compress(b"hello"), 1e-9, AwaitedReply())
