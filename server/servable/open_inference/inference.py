"""An inference of the protocol, whichever way it came: found, checked and bound as a Predict request is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from servable import requests
from servable.codec.decoding import MalformedTensor
from servable.errors import InvalidArgument, Unimplemented
from servable.inference.predict import find_signature, read_inputs, select_outputs
from servable.open_inference import datatypes
from servable.open_inference.datatypes import Datatype
from servable.open_inference.models import find_version
from servable.requests import Array
from servable.routing import Router
from servable.servables import Handle

SentT = TypeVar("SentT")

# The parameter of a request that names the signature.
SIGNATURE_PARAMETER: Final = "signature_name"
# Extensions of Triton's that change where values are or what they mean: to ignore one would give a wrong answer.
_REFUSED_PARAMETERS: Final = ("shared_memory_region", "classification")


@dataclass(frozen=True, slots=True)
class Models:
    """Where inferences find their signatures.

    Attributes:
        router: Finds versions.
        check_method_name: Refuse signatures of another kind of method than Predict's.
    """

    router: Router
    check_method_name: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What a request asks for, but for its tensors.

    Attributes:
        model_name: The model.
        model_version: See models.find_version.
        signature: The key of the signature.
        outputs: The outputs that it wants, in the order of the reply; all of the signature if it is empty.
        id: Repeated in the reply.
    """

    model_name: str
    model_version: str
    signature: str
    outputs: Sequence[str]
    id: str


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """A request that is ready to run; see requests.Request, of which this is all but `finish`.

    Attributes:
        query: What it asks for.
        handle: The version.
        aliases: The outputs that are fetched, in the order of the target's fetches.
    """

    query: Query
    handle: Handle
    target: requests.Target
    arrays: Sequence[Array]
    aliases: Sequence[str]

    def outputs(self, fetched: requests.Fetched) -> Iterator[tuple[str, Datatype, Array]]:
        """Each output's name, datatype and array, in the order of the reply.

        Raises:
            InvalidArgument: for a dtype that the protocol lacks.
        """
        results = dict(zip(self.aliases, zip(fetched.dtypes, fetched.arrays, strict=True), strict=True))
        for alias in self.query.outputs or sorted(results):
            number, array = results[alias]
            yield alias, datatypes.of_output(alias, number), array


def bind(
    models: Models, query: Query, sent: Sequence[tuple[str, SentT]], decode: Callable[[SentT], Array]
) -> Inference:
    """Find the version and signature of a request, and decode its tensors.

    Args:
        models: Finds them.
        query: What it asks for.
        sent: The inputs by name.
        decode: Makes the array of an input; raises MalformedTensor.

    Raises:
        ServingError: with the code and text that Predict has for the same mistake.
    """
    handle = find_version(models.router, query.model_name, query.model_version)
    signature = find_signature(handle, query.signature, models.check_method_name)

    def decode_input(alias: str, tensor: SentT) -> Array:
        try:
            return decode(tensor)
        except MalformedTensor as error:
            raise InvalidArgument(f'input "{alias}": {error}') from error

    feeds, arrays = read_inputs(signature, _by_name(sent), decode_input)
    aliases = select_outputs(signature, query.outputs)
    fetches = tuple(signature.outputs[alias] for alias in aliases)
    target = requests.Target(handle.servable, feeds, fetches, handle.name, signature.key, handle.version)
    return Inference(query, handle, target, arrays, aliases)


def refuse_extensions(alias: str, parameters: Collection[str]) -> None:
    """Refuse a tensor whose parameters ask for an extension that would change its meaning; others are ignored.

    Raises:
        Unimplemented: if there is one.
    """
    for name in _REFUSED_PARAMETERS:
        if name in parameters:
            raise Unimplemented(f'tensor "{alias}": the parameter {name} is not supported')


def find_datatype(name: str) -> Datatype:
    """The datatype of an input.

    Raises:
        MalformedTensor: if there is none of that name.
    """
    datatype = datatypes.BY_NAME.get(name)
    if datatype is None:
        raise MalformedTensor(f'datatype "{name[:20]}" is none of {", ".join(datatypes.BY_NAME)}')
    return datatype


def _by_name(sent: Sequence[tuple[str, SentT]]) -> Mapping[str, SentT]:
    by_name = dict(sent)
    if len(by_name) != len(sent):
        raise InvalidArgument("an input is in the request twice")
    return by_name
