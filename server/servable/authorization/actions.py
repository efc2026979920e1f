"""Which action a method of gRPC, or a path of HTTP, is. Pure.

What is not listed is denied, so a method or a path that is added to the server stays closed until it stands here; a
test compares with all methods of a server. Open to everyone are health and readiness of the server, which balancers ask
without credentials, reflection, which says nothing of models, and the questions of browsers before a request (CORS).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from typing import Final

from servable.calls import Action, MethodInfo
from servable.config.monitoring import DEFAULT_PATH
from servable.errors import PermissionDenied

_PREDICTION, _MODEL = "/tensorflow.serving.PredictionService", "/tensorflow.serving.ModelService"
_PROFILER, _INFERENCE = "/tensorflow.ProfilerService", "/inference.GRPCInferenceService"

_OF_METHODS: Final[dict[str, Action | None]] = {
    f"{_PREDICTION}/Predict": Action.PREDICT,
    f"{_PREDICTION}/Classify": Action.PREDICT,
    f"{_PREDICTION}/Regress": Action.PREDICT,
    f"{_PREDICTION}/MultiInference": Action.PREDICT,
    f"{_PREDICTION}/GetModelMetadata": Action.METADATA,
    f"{_MODEL}/GetModelStatus": Action.STATUS,
    f"{_MODEL}/HandleReloadConfigRequest": Action.RELOAD,
    f"{_PROFILER}/Profile": Action.PROFILE,
    f"{_PROFILER}/Terminate": Action.PROFILE,
    f"{_PROFILER}/Monitor": Action.PROFILE,
    f"{_PROFILER}/StartContinuousProfiling": Action.PROFILE,
    f"{_PROFILER}/StopContinuousProfiling": Action.PROFILE,
    f"{_PROFILER}/GetSnapshot": Action.PROFILE,
    f"{_INFERENCE}/ServerLive": None,
    f"{_INFERENCE}/ServerReady": None,
    f"{_INFERENCE}/ServerMetadata": Action.METADATA,
    f"{_INFERENCE}/ModelReady": Action.STATUS,
    f"{_INFERENCE}/ModelMetadata": Action.METADATA,
    f"{_INFERENCE}/ModelInfer": Action.PREDICT,
    "/grpc.health.v1.Health/Check": None,
    "/grpc.health.v1.Health/List": Action.STATUS,
    "/grpc.health.v1.Health/Watch": None,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": None,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": None,
}

_OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
_REST: Final = re.compile(r"/v1/.*", re.IGNORECASE | re.ASCII | re.DOTALL)
# As rest.urls has it; a test compares the two.
_REST_METADATA: Final = re.compile(
    r"(?i:/v1/models)/[^/:]+(?:(?i:/versions)/[0-9]+|(?i:/labels)/[^/:]+)?/metadata", re.ASCII
)
_MODEL_OF_V2: Final = re.compile(r"/v2/models/[^/]+(?:/versions/[^/]+)?(?:/(?P<what>ready|infer))?")
_OPEN_OF_V2: Final = frozenset({"/v2/health/live", "/v2/health/ready"})
_OF_V2: Final = {"infer": Action.PREDICT, "ready": Action.STATUS, None: Action.METADATA}
_CONSOLE: Final = re.compile(r"/(?:console(?:/.*)?)?", re.DOTALL)


def action_of_method(path: str) -> Action | None:
    """The action of a method of gRPC by its full path; None if it is open to everyone.

    Raises:
        PermissionDenied: For a method that is not known here.
    """
    try:
        return _OF_METHODS[path]
    except KeyError:
        raise PermissionDenied("The rules of this server do not cover this method") from None


# By the paths that servers register, so that there are no more of them than methods.
@functools.cache
def describe_method(path: str) -> MethodInfo:
    """What a method of gRPC is, by its full path.

    Raises:
        PermissionDenied: For a method that is not known here.
    """
    return MethodInfo(path.rpartition("/")[2], "GRPC", action_of_method(path), path)


def action_of_path(
    verb: str, target: str, metrics_paths: Collection[str] = ("/metrics", DEFAULT_PATH)
) -> Action | None:
    """The action of a request over HTTP; None if it is open to everyone.

    Args:
        verb: As sent.
        target: Path, query and fragment as sent; see http_exchange.HttpRequest.
        metrics_paths: Where the metrics are. They win over all others.

    Raises:
        PermissionDenied: For a path that is not known here.
    """
    path = target.partition("?")[0].partition("#")[0]
    if path in metrics_paths:
        return Action.METRICS
    if path in _OPEN_PATHS:
        return None
    if path == "/openapi.json":
        # It describes every model, as the console does.
        return Action.CONSOLE
    if _REST.fullmatch(target):
        return _of_rest(verb, target)
    if path == "/v2" or path.startswith("/v2/"):
        return _of_open_inference(path.rstrip("/"))
    if _CONSOLE.fullmatch(path):
        return Action.CONSOLE
    raise PermissionDenied("The rules of this server do not cover this path")


def _of_rest(verb: str, target: str) -> Action | None:
    if verb == "OPTIONS":
        return None
    if verb == "POST":
        return Action.PREDICT
    return Action.METADATA if _REST_METADATA.fullmatch(target) else Action.STATUS


def _of_open_inference(path: str) -> Action | None:
    if path in _OPEN_OF_V2:
        return None
    match = _MODEL_OF_V2.fullmatch(path)
    return Action.METADATA if match is None else _OF_V2[match["what"]]
