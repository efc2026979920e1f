"""A client for TensorFlow Serving's gRPC API that needs no TensorFlow.

    from servable_client import Client

    with Client("localhost:8500", model="half_plus_two") as client:
        print(client.predict([1.0, 2.0, 5.0]).value)

`Client` and `AsyncClient` are the same, sync and for asyncio. `errors` has the errors that they raise,
`tensors`, `examples` and `tfrecord` make and read messages, `wire` has the messages themselves.
"""

from servable_client import errors, examples, tensors, tfrecord, wire
from servable_client._core import Task
from servable_client._network import Tls
from servable_client.async_client import AsyncClient
from servable_client.client import Client
from servable_client.errors import ClientError, InputError, MalformedReply, ServingError
from servable_client.models import ModelConfig
from servable_client.replies import (
    Class,
    Classifications,
    Health,
    Prediction,
    Regressions,
    Served,
    State,
    VersionStatus,
)
from servable_client.signatures import ModelMetadata, Signature, TensorSpec

__all__ = [
    "AsyncClient",
    "Class",
    "Classifications",
    "Client",
    "ClientError",
    "Health",
    "InputError",
    "MalformedReply",
    "ModelConfig",
    "ModelMetadata",
    "Prediction",
    "Regressions",
    "Served",
    "ServingError",
    "Signature",
    "State",
    "Task",
    "TensorSpec",
    "Tls",
    "VersionStatus",
    "errors",
    "examples",
    "tensors",
    "tfrecord",
    "wire",
]

__version__ = "0.1.0"
