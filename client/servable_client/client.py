"""The client for programs without asyncio: `_core` with gRPC's sync channel around it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import grpc

from servable_client import wire
from servable_client._base import RELOAD_TIMEOUT_S, ClientBase, Deadline
from servable_client._core import Call, Choice, Flow, Pause, Task, Wait
from servable_client._network import Metadata, error_of
from servable_client.errors import ServingError
from servable_client.examples import ExampleLike
from servable_client.models import ModelConfig
from servable_client.replies import Classifications, Health, Prediction, Regressions, VersionStatus
from servable_client.signatures import ModelMetadata

__all__ = ["Client"]

T = TypeVar("T")


class Client(ClientBase):
    """A client of one server, or of several that serve the same.

    It has one channel, which connects at the first call and again whenever it must. Threads may share a client.
    It is a context manager; `close` ends its calls and its connections. All errors are in
    `servable_client.errors`; what every method may raise is ServingError (its subclasses are the canonical
    codes), MalformedReply, InputError (nothing was sent) and ClientClosed.
    """

    _event_type = threading.Event

    def _open(self) -> None:
        address, credentials, options, compression = self._connection
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options, compression)
        else:
            self._channel = grpc.secure_channel(address, credentials, options, compression)
        self._calls: dict[str, Any] = {}
        try:
            self._intercepted = grpc.intercept_channel(self._channel, *self._interceptors)
        except BaseException:
            self._channel.close()
            raise

    def __enter__(self) -> Client:  # noqa: PYI034  (Self is of Python 3.11)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel; calls that are under way end as Cancelled. A second time does nothing."""
        self._closed = True
        self._channel.close()

    def predict(
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
        """Run a signature of a model.

        Args:
            inputs: A dict from input name to value, or the value alone if the signature takes one input. A value
                is an array or anything NumPy takes for one, a number, str, bytes, or nested lists of these, of
                any shape the model takes. It is converted to the signature's dtype where no value is lost in
                kind: ints to floats, float64 to float32, int64 to int32 if the numbers fit, str to bytes (UTF-8);
                never floats to ints. Where the signature is not known (`infer=False`, or a server without
                metadata) arrays keep their dtype, Python floats become float32 and Python ints int64.
            model: The model; by default the client's. So with the next three.
            version: Its version; by default the newest.
            label: Its version by label, in place of `version`.
            signature: The signature; by default `serving_default`.
            outputs: The names of the outputs to get; all by default.
            timeout_s: Seconds that the call may take; by default the client's.
            metadata: Headers of this call.

        Returns:
            A mapping from output name to array, with the model, version and signature that answered.

        Raises:
            InputError: if a name, a dtype or a value does not fit, or the model has no such signature.
            DtypeUnavailable: if a dtype needs ml_dtypes.
            ServingError: as the server says.
            MalformedReply: if an output cannot be read.
        """
        flow = self._core.predict(inputs, Choice(model, version, label, signature), outputs)
        return self._run(flow, timeout_s, metadata)

    def classify(
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
        """Run a classification signature on examples.

        Args:
            examples: One example or a list: dicts of features, tf.Example messages or their bytes.
            context: Features that all examples share; where both have one, the example's counts.
            model: As in `predict`, and so with the others.
            version: The version.
            label: The version by label.
            signature: The signature.
            timeout_s: Seconds that the call may take.
            metadata: Headers of this call.

        Returns:
            For each example its classes: label (str) and score (float32).

        Raises:
            InputError: if an example cannot be made.
            ServingError: as the server says.
            MalformedReply: if the reply is none.
        """
        flow = self._core.classify(examples, context, Choice(model, version, label, signature))
        return self._run(flow, timeout_s, metadata)

    def regress(
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
        """Run a regression signature on examples.

        Args:
            examples: As in `classify`, and so with the others.
            context: Features that all examples share.
            model: The model.
            version: The version.
            label: The version by label.
            signature: The signature.
            timeout_s: Seconds that the call may take.
            metadata: Headers of this call.

        Returns:
            One value for each example: `.values` is float32 of shape [examples].

        Raises:
            InputError: if an example cannot be made.
            ServingError: as the server says.
            MalformedReply: if the reply is none.
        """
        flow = self._core.regress(examples, context, Choice(model, version, label, signature))
        return self._run(flow, timeout_s, metadata)

    def multi_inference(
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
        """Run several signatures of a model on the same examples, in one pass.

        Args:
            examples: As in `classify`, and so with the others.
            tasks: What to run: `Task("classify", "signature")` or `Task("regress", ...)`, or tuples of these.
            context: Features that all examples share.
            model: The model.
            version: The version.
            label: The version by label.
            timeout_s: Seconds that the call may take.
            metadata: Headers of this call.

        Returns:
            The result of each task, in their order.

        Raises:
            InputError: if an example cannot be made, or a task is none.
            ServingError: as the server says.
            MalformedReply: if the reply is none.
        """
        flow = self._core.multi_inference(examples, tasks, context, Choice(model, version, label))
        return self._run(flow, timeout_s, metadata)

    def metadata(
        self,
        *,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> ModelMetadata:
        """Ask what a model takes and gives.

        Args:
            model: The model; by default the client's.
            version: Its version; by default the newest.
            label: Its version by label.
            timeout_s: Seconds that the call may take.
            metadata: Headers of this call.

        Returns:
            The version that answered, and its signatures: names, dtypes and shapes of inputs and outputs.

        Raises:
            ServingError: as the server says.
            MalformedReply: if the reply is none.
        """
        return self._run(self._core.metadata(Choice(model, version, label)), timeout_s, metadata)

    def status(
        self,
        *,
        model: str | None = None,
        version: int | None = None,
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> list[VersionStatus]:
        """Ask for the states of a model's versions.

        Args:
            model: The model; by default the client's.
            version: One version only.
            timeout_s: Seconds that the call may take.
            metadata: Headers of this call.

        Returns:
            The versions, newest first, those that failed or were unloaded too.

        Raises:
            NotFound: if the server never had such a model or version.
            ServingError: as the server says.
            MalformedReply: if the reply is none.
        """
        return self._run(self._core.status(Choice(model, version)), timeout_s, metadata)

    def reload_config(
        self,
        models: str | wire.ModelServerConfig | Mapping[str, str] | Iterable[ModelConfig],
        *,
        metrics: Sequence[str] = (),
        timeout_s: float | None = RELOAD_TIMEOUT_S,
        metadata: Metadata | None = None,
    ) -> dict[str, int]:
        """Replace what the server serves; models that are not listed are unloaded.

        Args:
            models: A list of `ModelConfig`, a dict from name to base path, the text of a ModelServerConfig as in
                --model_config_file, or the message.
            metrics: Names of metrics whose increase by the reload is returned.
            timeout_s: Seconds that the call may take; the server answers when new models are loaded, so that it
                is 10 minutes by default. None for the client's.
            metadata: Headers of this call.

        Returns:
            How much each metric grew.

        Raises:
            InputError: if models is none of these.
            ServingError: as the server says.
        """
        return self._run(self._core.reload_config(models, metrics), timeout_s, metadata)

    def health(self, service: str = "", *, timeout_s: float | None = None, metadata: Metadata | None = None) -> Health:
        """Ask for the health of the server (grpc.health.v1).

        Args:
            service: A name that the server knows, such as `tensorflow.serving.PredictionService`; by default the
                server as a whole.
            timeout_s: Seconds that the call may take.
            metadata: Headers of this call.

        Returns:
            `Health.SERVING`, `NOT_SERVING`, or `SERVICE_UNKNOWN` for a name that the server does not know.

        Raises:
            Unimplemented: if the server has no health service.
            ServingError: as the server says.
        """
        return self._run(self._core.health(service), timeout_s, metadata)

    def wait_until_ready(
        self,
        *,
        model: str | None = None,
        version: int | None = None,
        timeout_s: float | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        """Wait until the server serves: its model, if one is named here or for the client; else the server.

        A server that is not there yet, or knows no such model yet, is asked again. A server without health
        service is ready when it answers.

        Args:
            model: The model to wait for.
            version: One version of it; by default any.
            timeout_s: Seconds to wait; by default the client's.
            metadata: Headers of the calls.

        Raises:
            DeadlineExceeded: if the time is over; the text has the last answer.
        """
        deadline = self._deadline(timeout_s)
        flow = self._core.wait_until_ready(Choice(model, version), deadline.left_s)
        self._run(flow, deadline, metadata)

    def _run(self, flow: Flow[T], timeout_s: float | Deadline | None, metadata: Metadata | None) -> T:
        deadline = timeout_s if isinstance(timeout_s, Deadline) else self._deadline(timeout_s)
        headers = self._headers(metadata)
        try:
            step = next(flow)
            while True:
                try:
                    reply = self._do(step, deadline, headers)
                except ServingError as error:  # noqa: PERF203  (it may be an answer to the flow)
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            # Another flow may wait for this one, whose frame lives on in the traceback of an error.
            flow.close()

    def _do(self, step: Call | Pause | Wait, deadline: Deadline, headers: Any) -> bytes:
        if isinstance(step, Pause):
            time.sleep(max(0.0, min(step.delay_s, deadline.left_s())))
            return b""
        if isinstance(step, Wait):
            step.event.wait(deadline.timeout_s())
            return b""
        with self._traced(step, headers) as traced_headers:
            return self._call(step, self._time_for(step, deadline), traced_headers)

    def _call(self, step: Call, timeout_s: float | None, headers: Any) -> bytes:
        try:
            reply = self._callable(step.path)(step.request, timeout=timeout_s, metadata=headers)
        except grpc.RpcError as failure:
            raise error_of(failure, self._name, step.model) from None
        except ValueError:
            # What gRPC raises for a channel that was closed meanwhile.
            if self._closed:
                raise self._closed_error() from None
            raise
        return self._decompress(reply, step)

    def _callable(self, path: str) -> Any:
        call = self._calls.get(path)
        if call is None:
            # Without serializers gRPC takes and gives bytes.
            call = self._calls[path] = self._intercepted.unary_unary(path)
        return call
