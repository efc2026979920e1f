"""A model server for tests: real gRPC on a loopback port, answers from plain functions, no TensorFlow.

    from servable_client.errors import Unavailable
    from servable_client.testing import FakeModelServer

    with FakeModelServer() as server:
        server.model("half_plus_two").predict(lambda x: {"y": x * 0.5 + 2})
        server.misbehave(Unavailable("starting"), times=2)
        call_what_is_tested(server.address)
        assert server.asked("Predict")[0].inputs["x"].tolist() == [1.0]

Where the package is installed, pytest has the fixture `fake_model_server`: a server without models, started.
"""

from servable_client.testing._faults import Cut, Delay, Fault, Hang, Malformed, WrongShape
from servable_client.testing._models import FakeModel
from servable_client.testing._requests import Request
from servable_client.testing._server import FakeModelServer

__all__ = ["Cut", "Delay", "FakeModel", "FakeModelServer", "Fault", "Hang", "Malformed", "Request", "WrongShape"]
