"""A server as its operator sees it: folders are added and removed, configs replace each other, states are awaited.

Its loader is a fake: a version is a folder with a file `answer`, and that number is what it answers. Everything
else is real, from the folders to the sockets.
"""

import contextlib
import dataclasses
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from servable import app
from servable.errors import NotFound
from servable.options import ServerOptions
from tests import serving
from tests.conformance.calls import NOT_FOUND, TIMEOUT_S, model_spec, predict, predict_request, refused, values
from tests.conformance.fakes import FakeServable, define, floats

State = get_model_status_pb2.ModelVersionStatus.State
# The longest that a test waits for a state.
PATIENCE_S = 20.0
# Base paths are polled more often than a flag can say, so that tests are quick.
POLL_INTERVAL_S = 0.02
_UNFINISHED = ".unfinished"


class Gate:
    """Blocks the threads that pass it until it is opened."""

    def __init__(self):
        self._arrived, self._open = threading.Semaphore(0), threading.Event()

    def hold(self):
        self._arrived.release()
        assert self._open.wait(PATIENCE_S)

    def await_arrival(self):
        """Wait until one more thread is blocked."""
        assert self._arrived.acquire(timeout=PATIENCE_S)

    def open(self):
        self._open.set()


class Loader:
    """Loads folders with an answer. A path may have a gate that holds its loads, and one that holds its calls.

    Attributes:
        tries: The paths of all loads.
        servables: What was loaded last from a path.
    """

    def __init__(self):
        self.load_gates, self.call_gates, self.tries, self.servables = {}, {}, [], {}

    def __call__(self, path):
        self.tries.append(path)
        if path in self.load_gates:
            self.load_gates[path].hold()
        if not (path / "answer").exists():
            raise NotFound(f"no answer in {path}")
        self.servables[path] = _Answering(float((path / "answer").read_text()), self.call_gates.get(path))
        return self.servables[path]

    def hold_load(self, path):
        """A new gate for loads of a path."""
        return self.load_gates.setdefault(path, Gate())

    def hold_calls(self, path):
        """A new gate for calls of what will be loaded from a path."""
        return self.call_gates.setdefault(path, Gate())


class _Answering(FakeServable):
    def __init__(self, answer, gate):
        super().__init__(define("serving_default", {}, {"y": "y:0"}), outputs={"y:0": floats(answer)})
        self._gate = gate

    def runner(self, feeds, fetches):
        if self._gate is not None:
            self._gate.hold()
        return super().runner(feeds, fetches)


def put(base_path, version, answer=None):
    """Put a complete version at a base path, as operators do, and give its path.

    Args:
        base_path: The model's.
        version: The name of its folder.
        answer: What it answers; the version's number if nothing else is said.
    """
    unfinished = begin_copy(base_path, _UNFINISHED)
    end_copy(unfinished, int(version) if answer is None else answer)
    return unfinished.rename(Path(base_path, str(version)))


def begin_copy(base_path, version):
    """Put a folder there that lacks what makes it a version, and give its path."""
    path = Path(base_path, str(version))
    path.mkdir(parents=True)
    return path


def end_copy(path, answer):
    """Complete what was begun, in one step."""
    unfinished = path / _UNFINISHED
    unfinished.write_text(str(answer))
    unfinished.rename(path / "answer")


def remove(path):
    """Remove a folder in one step, as a half removed one could be loaded again."""
    shutil.rmtree(path.rename(path.with_name(f".{path.name}.removed")))


def model(name, base_path, policy="", labels=(), **fields):
    """A ModelConfig.

    Args:
        name: Its name.
        base_path: Its base path.
        policy: A text ServableVersionPolicy: `all {}`.
        labels: Version by label.
        fields: Other fields than a platform of `tensorflow`.
    """
    fields = fields or {"model_platform": "tensorflow"}
    config = model_server_config_pb2.ModelConfig(name=name, base_path=str(base_path), **fields)
    text_format.Parse(policy, config.model_version_policy)
    config.version_labels.update(dict(labels))
    return config


def server_config(*models):
    """A ModelServerConfig."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.SetInParent()
    config.model_config_list.config.extend(models)
    return config


def write_config(path, *models):
    """Write a config file in one step."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    unfinished.write_text(text_format.MessageToString(server_config(*models)))
    unfinished.rename(path)


@dataclasses.dataclass
class Operated:
    """A server, and all that its operator does."""

    running: serving.Running
    loader: Any

    def reload(self, *models, metrics=(), timeout_s=TIMEOUT_S):
        """Reload and wait, as the server does; gives the response."""
        return self.running.model.HandleReloadConfigRequest(reload_request(*models, metrics=metrics), timeout=timeout_s)

    def begin_reload(self, *models):
        """Reload in the background; gives the call."""
        return self.running.model.HandleReloadConfigRequest.future(reload_request(*models), timeout=TIMEOUT_S)

    def refused_reload(self, *models, timeout_s=TIMEOUT_S):
        """Reload what must be refused, and give the code and text."""
        return refused(self.running.model.HandleReloadConfigRequest, reload_request(*models), timeout_s=timeout_s)

    def status(self, name):
        """The entries of GetModelStatus by version; {} for an unknown model."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec(name))
        try:
            response = self.running.model.GetModelStatus(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            if error.code() is NOT_FOUND:
                return {}
            raise
        return {entry.version: entry for entry in response.model_version_status}

    def states(self, name):
        """{version: name of its state, or (name, code, text) where there is an error}."""
        return {version: _summarize(entry) for version, entry in self.status(name).items()}

    def await_states(self, name, states):
        """Wait until the states of a model's versions are these."""
        eventually(lambda: self.states(name), states)

    def answer(self, name, **spec):
        """What a model answers."""
        return values(predict(self.running, name, **spec).outputs["y"])

    def version(self, name, **spec):
        """The version that answers."""
        return predict(self.running, name, **spec).model_spec.version.value

    def begin_call(self, name, **spec):
        """Predict in the background; gives the call."""
        return self.running.prediction.Predict.future(predict_request(name, **spec), timeout=TIMEOUT_S)

    def refused_call(self, name, **spec):
        """Predict what must be refused, and give the code and text."""
        return refused(self.running.prediction.Predict, predict_request(name, **spec))

    def is_serving(self, service):
        """What health says."""
        request = health_pb2.HealthCheckRequest(service=service)
        status = health_pb2_grpc.HealthStub(self.running.channel).Check(request, timeout=TIMEOUT_S).status
        return status == health_pb2.HealthCheckResponse.SERVING

    def watch_health(self, service):
        """What health says, each time that it changes."""
        request = health_pb2.HealthCheckRequest(service=service)
        for reply in health_pb2_grpc.HealthStub(self.running.channel).Watch(request, timeout=PATIENCE_S):
            yield reply.status == health_pb2.HealthCheckResponse.SERVING

    def await_poll(self, beacon):
        """Wait until all base paths were polled once more; `beacon` is that of the last model in the config."""
        version = 1 + max(int(path.name) for path in beacon.iterdir() if path.name.isdigit())
        put(beacon, version)
        eventually(lambda: self.states(beacon.name).get(version), "AVAILABLE")


def reload_request(*models, metrics=()):
    return model_management_pb2.ReloadConfigRequest(config=server_config(*models), metric_names=metrics)


def _summarize(entry):
    state, status = State.Name(entry.state), entry.status
    return (state, status.error_code, status.error_message) if status.error_code else state


def eventually(observe, wanted):
    """Wait until what is observed is what is wanted."""
    ends_at_s = time.monotonic() + PATIENCE_S
    while (seen := observe()) != wanted:
        assert time.monotonic() < ends_at_s, f"{seen!r} did not become {wanted!r}"
        time.sleep(POLL_INTERVAL_S / 2)


@contextlib.contextmanager
def operate(folder, *models, loader=None, **flags):
    """Yields an Operated server.

    Args:
        folder: An empty folder, for the config file `models.config`.
        models: What it serves at first; if nothing, the config file sets no config.
        loader: Another one than a new Loader.
        flags: Its flags. Loads are tried once, and base paths are looked at often, if nothing else is said.
    """
    file = folder / "models.config"
    if models:
        write_config(file, *models)
    else:
        file.write_text("# nothing yet\n")
    flags = {"max_num_load_retries": 0, "file_system_poll_wait_seconds": POLL_INTERVAL_S, **flags}
    configuration = app.configure(ServerOptions(model_config_file=str(file), **flags))
    settings = dataclasses.replace(configuration.settings, addresses=["127.0.0.1:0"])
    server = app.Server(dataclasses.replace(configuration, settings=settings), loader := loader or Loader())
    (port,) = server.start()
    running = serving.connect(server, f"127.0.0.1:{port}")
    try:
        yield Operated(running, loader)
    finally:
        running.close()
