"""A request of the REST API for inference, as the methods take it."""

from __future__ import annotations

from dataclasses import dataclass

from servable.rest.urls import ModelUrl
from servable.routing import Router
from servable.servables import Handle


@dataclass(frozen=True, slots=True)
class RestMessage:
    """What a URL asks for, and the body that was sent. Its length is the body's.

    Attributes:
        url: Asks for inference.
        body: JSON, not parsed yet.
    """

    url: ModelUrl
    body: bytes

    def __len__(self) -> int:
        return len(self.body)


def find_handle(router: Router, url: ModelUrl) -> Handle:
    """The version that a URL asks for.

    Raises:
        ServingError: as routing.Routes.find.
    """
    return router.routes.find(url.name, url.version, url.label)
