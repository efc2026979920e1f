"""Predict: named tensors in, named tensors out.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/predict_util.cc and TensorFlow,
cc/saved_model/util.cc. The order of the checks is theirs, since only the first failure is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from servable import requests, wire
from servable.codec import decoding, encoding
from servable.errors import FailedPrecondition, Internal, InvalidArgument, ResourceExhausted
from servable.inference.template_cache import CacheCandidate, ParsedRequest, TemplateCache
from servable.routing import Router, Routes, suggest
from servable.servables import Handle
from servable.signatures import CLASSIFY_METHOD, PREDICT_METHOD, REGRESS_METHOD, Signature

SentT = TypeVar("SentT")

# The limit of protobuf.
_MOST_REPLY_BYTES: Final = 2**31 - 1
_METHODS = (PREDICT_METHOD, CLASSIFY_METHOD, REGRESS_METHOD)


@dataclass(slots=True, eq=False)
class _Request:
    """A PredictRequest on its way; see requests.Request.

    Attributes:
        parsed: What it asks for, but for the values.
        candidate: What is stored in the template cache once the request is answered; None if that is nothing, or if
            the request was found in the cache.
        as_content: Whether to reply with `tensor_content`.
    """

    parsed: ParsedRequest
    arrays: Sequence[requests.Array]
    candidate: CacheCandidate | None
    as_content: bool

    @property
    def target(self) -> requests.Target:
        return self.parsed.target

    @property
    def size_bytes(self) -> int:
        return self.parsed.size_bytes

    def finish(self, fetched: requests.Fetched) -> bytes:
        """See requests.Request."""
        parsed = self.parsed
        if self.candidate is not None:
            self.candidate.store(parsed)
        templates = parsed.replies
        if templates is None:
            return self._encode(fetched)
        reply = templates.fill(fetched.arrays)
        if reply is None:
            reply = self._encode(fetched)
            templates.store(reply, fetched, as_content=self.as_content)
        return reply

    def _encode(self, fetched: requests.Fetched) -> bytes:
        check_reply_size(fetched)
        response, parsed = wire.PredictResponse(), self.parsed
        requests.name_version(response.model_spec, parsed.handle, parsed.signature.key)
        for alias, array, dtype in zip(parsed.aliases, fetched.arrays, fetched.dtypes, strict=True):
            encoding.encode(array, dtype, response.outputs[alias], as_content=self.as_content)
        return response.SerializeToString()


class Predict:
    """The Predict API. Safe to call from many threads."""

    def __init__(self, router: Router, as_content: bool = False, check_method_name: bool = False) -> None:
        """Answer requests.

        Args:
            router: Finds the version.
            as_content: Reply with `tensor_content` in place of typed fields.
            check_method_name: Refuse signatures of another kind of method.
        """
        self._router = router
        self._as_content, self._check_method_name = as_content, check_method_name
        # By the routes under which requests were parsed, weakly: a cache holds the handles of these routes.
        self._caches: WeakKeyDictionary[Routes, TemplateCache] = WeakKeyDictionary()

    def __call__(self, request: bytes, time_left_s: float | None, /) -> bytes:
        """Answer a PredictRequest with a PredictResponse; see methods.Method."""
        return requests.complete(self.begin(request), time_left_s)

    def begin(self, request: bytes) -> _Request:
        """A PredictRequest on its way; see requests.Begin."""
        routes = self._router.routes
        cache = self._caches.get(routes)
        if cache is None:
            cache = self._caches.setdefault(routes, TemplateCache())
        found = cache.find(request)
        if found is not None:
            return _Request(*found, None, self._as_content)
        return self._parse(request, routes, cache)

    def _parse(self, request: bytes, routes: Routes, cache: TemplateCache) -> _Request:
        message = requests.parse(wire.PredictRequest, request)
        requests.restore_map_entries(message, "inputs")
        requests.require_model_spec(message.HasField("model_spec"))
        handle = routes.resolve(message.model_spec)
        signature = find_signature(handle, requests.signature_key(message.model_spec), self._check_method_name)
        feeds, arrays = read_inputs(signature, message.inputs, _decode)
        aliases = select_outputs(signature, message.output_filter)
        fetches = tuple(signature.outputs[alias] for alias in aliases)
        target = requests.Target(handle.servable, feeds, fetches, handle.name, signature.key, handle.version)
        parsed = ParsedRequest(handle, signature, target, aliases, requests.measure(request, arrays))
        candidate = cache.make_candidate(request, message.inputs, signature.inputs, arrays)
        return _Request(parsed, arrays, candidate, self._as_content)


def find_signature(handle: Handle, key: str, check_method_name: bool) -> Signature:
    """The signature of a version that Predict may run.

    Args:
        handle: The version.
        key: The name of the signature.
        check_method_name: Refuse signatures of another kind of method.

    Raises:
        FailedPrecondition: if there is none of that name.
        Internal: if it is of another kind.
    """
    signatures = handle.servable.signatures
    signature = signatures.get(key)
    if signature is None:
        raise FailedPrecondition(
            f'Serving signature key "{key}" not found.', suggest(key, signatures, "known_signatures")
        )
    method = signature.definition.method_name
    if check_method_name and method not in _METHODS:
        raise Internal(
            f"Expected prediction signature method_name to be one of {{{', '.join(_METHODS)}}}. Was: {method}"
        )
    return signature


def read_inputs(
    signature: Signature, sent: Mapping[str, SentT], decode: Callable[[str, SentT], requests.Array]
) -> tuple[tuple[str, ...], Sequence[requests.Array]]:
    """The tensors to feed and their arrays, in the signature's order; defaults stand for what was not sent.

    Args:
        signature: Says what must be sent.
        sent: What was sent, by alias.
        decode: Makes the array of an alias and of what was sent for it.

    Raises:
        InvalidArgument: if the aliases are not those of the signature.
    """
    _check_count(signature, sent)
    feeds, arrays = [], []
    for alias, name in signature.inputs.items():
        if alias in sent:
            arrays.append(decode(alias, sent[alias]))
        elif alias in signature.defaults:
            # A copy: TensorFlow may feed an array without copying it, and some ops write into their inputs.
            arrays.append(signature.defaults[alias].copy())
        else:
            raise InvalidArgument(
                f"Signature input alias: {alias}(feed name: {name}) not found in request and no default value "
                f"provided. Inputs expected to be in the request {{{_join(sent)}}}, or default input alias set: "
                f"{_join(signature.defaults)}",
                {"signature_inputs": _join(signature.inputs)},
            )
        feeds.append(name)
    if signature.defaults:
        _check_unused(signature, sent)
    return tuple(feeds), arrays


def check_reply_size(fetched: requests.Fetched) -> None:
    """Refuse results that no message can hold.

    protobuf refuses such a reply only after copying the values, which holds the interpreter for seconds.

    Raises:
        ResourceExhausted: if they take too many bytes.
    """
    size_bytes = sum(array.nbytes for array in fetched.arrays)
    if size_bytes > _MOST_REPLY_BYTES:
        raise ResourceExhausted(
            f"The outputs take {size_bytes} bytes, more than the {_MOST_REPLY_BYTES} that a message may have"
        )


def _check_count(signature: Signature, sent: Collection[str]) -> None:
    if len(sent) == len(signature.inputs):
        return
    names = set(sent)
    expected = set(signature.inputs)
    if len(names) > len(expected) or (len(names) < len(expected) and not signature.defaults):
        raise InvalidArgument(
            f"input size does not match signature: {len(names)}!={len(expected)} "
            f"len({{{_join(names)}}}) != len({{{_join(expected)}}}). "
            f"Sent extra: {{{_join(names - expected)}}}. Missing but required: {{{_join(expected - names)}}}."
        )


def _check_unused(signature: Signature, sent: Iterable[str]) -> None:
    """With defaults the count may fit although a name does not."""
    names = set(sent)
    used = names & set(signature.inputs)
    if used != names:
        raise InvalidArgument(
            f"Inputs contains invalid name. Used request inputs: {_join(used)}, request input: {_join(names)}",
            {"signature_inputs": _join(signature.inputs)},
        )


def _decode(alias: str, tensor: wire.TensorProto) -> np.ndarray[Any, Any]:
    try:
        return decoding.decode(tensor)
    except decoding.MalformedTensor as error:
        raise InvalidArgument(f"tensor parsing error: {alias}", {"reason": str(error)}) from error


def select_outputs(signature: Signature, wanted: Sequence[str]) -> Sequence[str]:
    """The aliases to fetch, in the signature's order; all if none is wanted in particular.

    Raises:
        InvalidArgument: if one is not in the signature, or is wanted twice.
    """
    if not wanted:
        return tuple(signature.outputs)
    seen: set[str] = set()
    for alias in wanted:
        if alias not in signature.outputs:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {{{_join(signature.outputs)}}}."
            )
        if alias in seen:
            raise InvalidArgument(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    # In the signature's order, so that filters of the same outputs share a prepared run.
    return [alias for alias in signature.outputs if alias in seen]


def _join(names: Iterable[str]) -> str:
    return ",".join(sorted(names))
