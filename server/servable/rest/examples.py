"""Classify and Regress over REST: JSON to examples, which enter where those of a gRPC message do.

Source of the behaviour: TensorFlow Serving, model_servers/http_rest_api_handler.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

from servable.codec.json import reading, writing
from servable.inference.classify import Classified, begin_classify
from servable.inference.examples import ExamplesRequest
from servable.inference.regress import begin_regress
from servable.rest.message import RestMessage, find_handle
from servable.routing import Router
from servable.signatures import DEFAULT_KEY


@dataclass(frozen=True, slots=True)
class RestClassify:
    """The Classify API over REST. Safe to call from many threads.

    Attributes:
        router: Finds the version.
        check_method_name: Refuse signatures of another kind of method.
    """

    router: Router
    check_method_name: bool = False

    def begin(self, message: RestMessage) -> ExamplesRequest:
        """A request on its way; see requests.BeginOf.

        Raises:
            ServingError: if it is refused: first for its JSON, then for its model.
        """
        body = reading.read_examples(message.body)
        handle = find_handle(self.router, message.url)
        key = body.signature_name or DEFAULT_KEY
        return begin_classify(handle, key, body.input, _write, check_method_name=self.check_method_name)


@dataclass(frozen=True, slots=True)
class RestRegress:
    """The Regress API over REST, as RestClassify."""

    router: Router
    check_method_name: bool = False

    def begin(self, message: RestMessage) -> ExamplesRequest:
        """See RestClassify.begin."""
        body = reading.read_examples(message.body)
        handle = find_handle(self.router, message.url)
        key = body.signature_name or DEFAULT_KEY
        write = writing.write_regressions
        return begin_regress(handle, key, body.input, write, check_method_name=self.check_method_name)


def _write(result: Classified) -> bytes:
    return writing.write_classifications(result.classes, result.scores)
