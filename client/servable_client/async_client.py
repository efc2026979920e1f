"""The client for asyncio: `_core` with gRPC's asyncio channel around it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import grpc

from servable_client import wire
from servable_client._base import RELOAD_TIMEOUT_S, ClientBase, Deadline
from servable_client._core import Call, Choice, Flow, Pause, Task, Wait
from servable_client._network import Metadata, error_of
from servable_client.errors import Cancelled, ServingError
from servable_client.examples import ExampleLike
from servable_client.models import ModelConfig
from servable_client.replies import Classifications, Health, Prediction, Regressions, VersionStatus
from servable_client.signatures import ModelMetadata

__all__ = ["AsyncClient"]

T = TypeVar("T")


class AsyncClient(ClientBase):
    """A client for asyncio: `Client` with each method awaited, and the same settings, arguments and errors.

    It belongs to the event loop of its first call. It is an async context manager; `close` ends its calls and
    its connections. Cancelling a task that awaits a call cancels the call on the server too.
    """

    _channel: Any = None
    _event_type = asyncio.Event

    def _connect(self) -> None:
        # Not before a loop runs: gRPC binds a channel to it.
        address, credentials, options, compression = self._connection
        settings = {"options": options, "compression": compression, "interceptors": self._interceptors}
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, **settings)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, **settings)
        self._calls: dict[str, Any] = {}

    async def __aenter__(self) -> AsyncClient:  # noqa: PYI034  (Self is of Python 3.11)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the channel; calls that are under way end as Cancelled. A second time does nothing."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def predict(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        outputs: Sequence[str] = (),
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> Prediction:
        """Run a signature of a model. See `Client.predict`."""
        flow = self._core.predict(inputs, Choice(model, version, label, signature), outputs)
        return await self._run(flow, timeout_s, metadata)

    async def classify(
        self,
        examples: ExampleLike | Iterable[ExampleLike],
        *,
        context: ExampleLike | None = None,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> Classifications:
        """Run a classification signature on examples. See `Client.classify`."""
        flow = self._core.classify(examples, context, Choice(model, version, label, signature))
        return await self._run(flow, timeout_s, metadata)

    async def regress(
        self,
        examples: ExampleLike | Iterable[ExampleLike],
        *,
        context: ExampleLike | None = None,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> Regressions:
        """Run a regression signature on examples. See `Client.regress`."""
        flow = self._core.regress(examples, context, Choice(model, version, label, signature))
        return await self._run(flow, timeout_s, metadata)

    async def multi_inference(
        self,
        examples: ExampleLike | Iterable[ExampleLike],
        tasks: Iterable[Task | tuple[str, str | None]],
        *,
        context: ExampleLike | None = None,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> list[Classifications | Regressions]:
        """Run several signatures of a model on the same examples, in one pass. See `Client.multi_inference`."""
        flow = self._core.multi_inference(examples, tasks, context, Choice(model, version, label))
        return await self._run(flow, timeout_s, metadata)

    async def metadata(
        self,
        *,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> ModelMetadata:
        """Ask what a model takes and gives. See `Client.metadata`."""
        return await self._run(self._core.metadata(Choice(model, version, label)), timeout_s, metadata)

    async def status(
        self,
        *,
        model: str | None = None,
        version: int | None = None,
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> list[VersionStatus]:
        """Ask for the states of a model's versions. See `Client.status`."""
        return await self._run(self._core.status(Choice(model, version)), timeout_s, metadata)

    async def reload_config(
        self,
        models: str | wire.ModelServerConfig | Mapping[str, str] | Iterable[ModelConfig],
        *,
        metrics: Sequence[str] = (),
        timeout_s: float | None = RELOAD_TIMEOUT_S,
        metadata: Metadata | None = None,
    ) -> dict[str, int]:
        """Replace what the server serves; models that are not listed are unloaded. See `Client.reload_config`."""
        return await self._run(self._core.reload_config(models, metrics), timeout_s, metadata)

    async def health(
        self, service: str = "", *, timeout_s: float | None = None, metadata: Metadata | None = None
    ) -> Health:
        """Ask for the health of the server (grpc.health.v1). See `Client.health`."""
        return await self._run(self._core.health(service), timeout_s, metadata)

    async def wait_until_ready(
        self,
        *,
        model: str | None = None,
        version: int | None = None,
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        """Wait until the server serves. See `Client.wait_until_ready`."""
        deadline = self._deadline(timeout_s)
        flow = self._core.wait_until_ready(Choice(model, version), deadline.left_s)
        await self._run(flow, deadline, metadata)

    async def _run(self, flow: Flow[T], timeout_s: float | Deadline | None, metadata: Metadata | None) -> T:
        deadline = timeout_s if isinstance(timeout_s, Deadline) else self._deadline(timeout_s)
        headers = self._headers(metadata)
        try:
            step = next(flow)
            while True:
                try:
                    reply = await self._do(step, deadline, headers)
                except ServingError as error:  # noqa: PERF203  (it may be an answer to the flow)
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            # Another flow may wait for this one, whose frame lives on in the traceback of an error.
            flow.close()

    async def _do(self, step: Call | Pause | Wait, deadline: Deadline, headers: Any) -> bytes:
        if isinstance(step, Pause):
            await asyncio.sleep(max(0.0, min(step.delay_s, deadline.left_s())))
            return b""
        if isinstance(step, Wait):
            event = asyncio.ensure_future(step.event.wait())
            try:
                await asyncio.wait((event,), timeout=deadline.timeout_s())
            finally:
                event.cancel()
            return b""
        with self._traced(step, headers) as traced_headers:
            return await self._call(step, self._time_for(step, deadline), traced_headers)

    async def _call(self, step: Call, timeout_s: float | None, headers: Any) -> bytes:
        call = asyncio.ensure_future(self._callable(step.path)(step.request, timeout=timeout_s, metadata=headers))
        await _wait_for(call)
        try:
            reply = call.result()
        except grpc.RpcError as failure:
            raise error_of(failure, self._name, step.model) from None
        except (asyncio.CancelledError, grpc.aio.UsageError):
            # What gRPC raises for a call on a channel that is closed, before the call or meanwhile.
            if self._closed:
                raise Cancelled(f"{self!r} was closed", target=self._name, model=step.model) from None
            raise
        return self._decompress(reply, step)

    def _callable(self, path: str) -> Any:
        if self._channel is None:
            self._connect()
        call = self._calls.get(path)
        if call is None:
            # Without serializers gRPC takes and gives bytes.
            call = self._calls[path] = self._channel.unary_unary(path)
        return call


async def _wait_for(call: asyncio.Future[Any]) -> None:
    """Wait until a call has ended, however it ends, and cancel it if this task is cancelled.

    Awaiting the call would raise the same CancelledError when this task is cancelled and when the channel is closed,
    and tasks of Python 3.10 do not say whether they are being cancelled.
    """
    try:
        await asyncio.wait((call,))
    except asyncio.CancelledError:
        call.cancel()
        # Nobody will ask for its result, and asyncio would complain about an error in it.
        call.add_done_callback(_ignore_result)
        raise


def _ignore_result(call: asyncio.Future[Any]) -> None:
    if not call.cancelled():
        call.exception()
