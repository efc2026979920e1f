"""A server of these models, and calls to it with plain gRPC, which cost little beside what is measured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import grpc

from servable import wire

sys.path.append(str(Path(__file__).resolve().parents[1] / "control_plane"))
from server_process import ServerProcess, describe_machine

__all__ = ["Calls", "ServerProcess", "config", "describe_machine", "flags"]

_TIMEOUT_S = 120.0


def config(root: Path, names: Sequence[str]) -> wire.ModelServerConfig:
    """A config of these models."""
    message = wire.ModelServerConfig()
    for name in names:
        message.model_config_list.config.add(name=name, base_path=str(root / name), model_platform="tensorflow")
    return message


def flags(root: Path) -> list[str]:
    """Flags of a server that begins with the small model alone."""
    path = root / "models.config"
    path.write_text(
        f'model_config_list {{ config {{ name: "small" base_path: "{root / "small"}" model_platform: "tensorflow" }} }}'
    )
    return [f"--model_config_file={path}", "--file_system_poll_wait_seconds=0"]


class Calls:
    """Calls to a server."""

    def __init__(self, address: str, root: Path) -> None:
        self._root = root
        self._channel = grpc.insecure_channel(address)
        self.predict = self._channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        self._reload = self._channel.unary_unary("/tensorflow.serving.ModelService/HandleReloadConfigRequest")

    def serve(self, *names: str) -> None:
        """Have the server serve these models and no others; return when it does."""
        request = wire.ReloadConfigRequest(config=config(self._root, names))
        reply = wire.ReloadConfigResponse.FromString(self._reload(request.SerializeToString(), timeout=_TIMEOUT_S))
        if reply.status.error_code:
            raise RuntimeError(f"the reload failed: {reply.status.error_message}")

    @staticmethod
    def request(name: str) -> bytes:
        """A Predict for one float of `small` or `large`."""
        message = wire.PredictRequest()
        message.model_spec.name = name
        tensor = message.inputs["x"]
        tensor.dtype = wire.DT_FLOAT
        tensor.tensor_shape.dim.add(size=1)
        tensor.float_val.append(2.0)
        data: bytes = message.SerializeToString()
        return data
