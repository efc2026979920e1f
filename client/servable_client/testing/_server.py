"""The fake server as tests hold it."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from servable_client.errors import ServingError
from servable_client.replies import Health
from servable_client.testing._faults import Fault, Orders
from servable_client.testing._methods import HealthBoard
from servable_client.testing._models import FakeModel
from servable_client.testing._registry import Registry
from servable_client.testing._requests import Request
from servable_client.testing._transport import Transport

# The names that tensorflow_model_server reports itself: not qualified by their package.
_SERVICES = {"", "PredictionService", "ModelService"}


class FakeModelServer:
    """A server of TensorFlow Serving's API in this process, on a free port of 127.0.0.1. Thread-safe.

    It answers Predict, Classify, Regress, MultiInference, GetModelMetadata, GetModelStatus,
    HandleReloadConfigRequest (which it records, and which changes nothing) and grpc.health.v1. What it refuses, it
    refuses with the codes and words of TensorFlow Serving.

        with FakeModelServer() as server:
            server.model("half_plus_two").predict(lambda x: {"y": x * 0.5 + 2})
            ...

    Attributes:
        port: The port; 0 before the start.
    """

    def __init__(self, *, credentials: Any = None) -> None:
        """Make a server without models, not started.

        Args:
            credentials: grpc.ServerCredentials for TLS; without them the port is open.
        """
        self._credentials = credentials
        self._models = Registry()
        self._health = HealthBoard(lambda name: name in _SERVICES or self._models.has_available(name))
        self._orders = Orders()
        self._requests: list[Request] = []
        self._arrived = threading.Condition()
        self._transport: Transport | None = None
        self.port = 0

    def __enter__(self) -> FakeModelServer:  # noqa: PYI034  (typing has Self from 3.11 on)
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> FakeModelServer:
        """Listen. A stopped server starts again on the port that it had.

        Raises:
            RuntimeError: if it has started already, or its port was taken by another since it stopped.
        """
        if self._transport is not None:
            raise RuntimeError("the fake server has started already")
        self._transport = Transport(self._models, self._health, self._orders, self._record, self._credentials)
        self.port = self._transport.start(self.port)
        return self

    def stop(self) -> None:
        """Break off all calls and close the port; what was recorded stays. Does nothing on a stopped server."""
        if self._transport is not None:
            self._transport.stop()
            self._transport = None

    @property
    def address(self) -> str:
        """Where it listens, `127.0.0.1:<port>`.

        Raises:
            RuntimeError: before the first start.
        """
        if not self.port:
            raise RuntimeError("the fake server has no port before it starts: use it in a with statement")
        return f"127.0.0.1:{self.port}"

    def model(self, name: str = "default", *, version: int = 1, label: str | None = None) -> FakeModel:
        """The version of a model, made and available from now on if it is new.

        Args:
            name: Its name.
            version: Its number; requests that name none get the highest that is available.
            label: A version label that shall mean this version.
        """
        return self._models.get_or_add(name, version, label)

    def misbehave(
        self,
        fault: Fault | ServingError,
        *,
        times: int | None = 1,
        method: str | None = None,
        model: str | None = None,
    ) -> None:
        """Do not just answer the next calls. Orders are carried out one after the other, one for each call.

        Args:
            fault: What to do: Delay, Hang, Cut, Malformed, WrongShape, or a ServingError such as
                `Unavailable("starting")`, which becomes the status, with its hints as error details.
            times: For how many calls; None for all, until `behave`.
            method: Only for this method (`Predict`, `GetModelStatus`, `Check`, ...); by default for all but health.
            model: Only for this model.

        Raises:
            ValueError: if there is no such method, or times is less than 1.
        """
        self._orders.add(fault, times, method, model)

    def behave(self) -> None:
        """Forget the orders to misbehave that are left."""
        self._orders.clear()

    def set_health(self, name: str = "", status: Health | str = Health.NOT_SERVING) -> None:
        """Report a health status from now on.

        Args:
            name: A service or model name; the empty one is the whole server. By default the whole server, its
                services and all models that have an available version serve, and others are unknown.
            status: The status, or its name.

        Raises:
            KeyError: if there is no status of that name.
        """
        self._health.set(name, Health[status] if isinstance(status, str) else status)

    @property
    def requests(self) -> list[Request]:
        """All requests so far that could be read, in the order of arrival; retries are requests of their own."""
        with self._arrived:
            return list(self._requests)

    def asked(self, method: str = "Predict", model: str | None = None) -> list[Request]:
        """The requests so far to one method, of one model if it is named."""
        return [each for each in self.requests if each.method == method and model in {None, each.model}]

    def wait_for(self, count: int = 1, method: str = "Predict", *, timeout_s: float = 10) -> list[Request]:
        """Wait until a method was asked so often.

        Args:
            count: How often.
            method: The method's simple name.
            timeout_s: How long to wait at most, in seconds.

        Returns:
            The requests to that method.

        Raises:
            TimeoutError: if it was asked less often in that time.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._count(method) >= count, timeout_s):
                raise TimeoutError(f"{self._count(method)} of {count} {method} requests came in {timeout_s} s")
        return self.asked(method)

    def forget(self) -> None:
        """Forget the requests so far."""
        with self._arrived:
            self._requests.clear()

    def _count(self, method: str) -> int:
        return sum(each.method == method for each in self._requests)

    def _record(self, request: Request) -> None:
        with self._arrived:
            self._requests.append(request)
            self._arrived.notify_all()
