"""Our messages of the Open Inference Protocol against those that Triton's client ships."""

import pytest

from servable import wire
from tests.wire import facts

service_pb2 = pytest.importorskip("tritonclient.grpc.service_pb2", reason="on Linux only")

SERVICE = wire.POOL.FindServiceByName("inference.GRPCInferenceService")
MESSAGES = {message.full_name: message for message in facts.walk([SERVICE.file])}
THEIRS = {message.full_name: message for message in facts.walk([service_pb2.DESCRIPTOR])}


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_has_all_fields_of_the_stock_one(name):
    assert facts.fields(MESSAGES[name]) == facts.fields(THEIRS[name])


def test_a_method_has_the_types_of_the_stock_one():
    stock = facts.methods(service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"])
    ours = facts.methods(SERVICE)
    assert set(ours) == {"ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer"}
    assert ours == {name: stock[name] for name in ours}
