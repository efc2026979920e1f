"""What a model's versions are, and what they can be asked: GetModelStatus and GetModelMetadata over REST.

Source of the behaviour: TensorFlow Serving, model_servers/http_rest_api_handler.cc.
"""

from __future__ import annotations

from servable import requests, wire
from servable.codec.json import messages
from servable.inference.metadata import SIGNATURE_DEF, make_signature_map
from servable.lifecycle.monitor import StateMonitor
from servable.management.model_service import make_status
from servable.rest.message import find_handle
from servable.rest.urls import ModelUrl
from servable.routing import Router


def write_status(monitor: StateMonitor, url: ModelUrl) -> bytes:
    """The states of a model's versions, of one if the URL has its number. A label is ignored, as over gRPC.

    Raises:
        NotFound: if there never was such a version, or any.
    """
    return messages.write(make_status(monitor, url.name, url.version)).encode()


def write_metadata(router: Router, url: ModelUrl) -> bytes:
    """The signatures of a version. Takes milliseconds for a large model.

    Raises:
        ServingError: as routing.Routes.find.
    """
    handle = find_handle(router, url)
    spec = wire.ModelSpec()
    requests.name_version(spec, handle)
    signatures = messages.write(make_signature_map(handle))
    # Two documents in one, each with its own new line, as the original writes them.
    return (f'{{\n"model_spec":{messages.write(spec)},\n"metadata": {{"{SIGNATURE_DEF}": {signatures}}}\n}}\n').encode()
