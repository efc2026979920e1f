"""Which fake model a request means. Texts are TensorFlow Serving's (server_core.cc, get_model_status_impl.cc)."""

from __future__ import annotations

from collections.abc import Callable

from servable_client import wire
from servable_client.errors import FailedPrecondition, InvalidArgument, NotFound, ServingError
from servable_client.replies import State
from servable_client.testing._models import DEFAULT_SIGNATURE, FakeModel, FakeSignature

Missing = Callable[[str], ServingError]
"""The error of a signature that is not there, which each method words differently."""


def no_prediction(signature: str) -> ServingError:
    """What Predict says."""
    return FailedPrecondition(f'Serving signature key "{signature}" not found.')


def no_head(signature: str) -> ServingError:
    """What Classify and Regress say."""
    return InvalidArgument(f"No signature was found with the name: {signature}")


def no_task(signature: str) -> ServingError:
    """What MultiInference says."""
    return InvalidArgument(f"Requested signature not found in model graph: {signature}")


class Registry:
    """The models of a fake server, by name and version."""

    def __init__(self) -> None:
        self._models: dict[str, dict[int, FakeModel]] = {}
        self._labels: dict[tuple[str, str], int] = {}

    def get_or_add(self, name: str, version: int, label: str | None) -> FakeModel:
        """The version of a model, added if it is new."""
        if label is not None:
            self._labels[name, label] = version
        return self._models.setdefault(name, {}).setdefault(version, FakeModel(name, version))

    def has_available(self, name: str) -> bool:
        """Whether a version of a model answers."""
        return any(model.state is State.AVAILABLE for model in self._models.get(name, {}).values())

    def find(self, spec: wire.ModelSpec) -> FakeModel:
        """The model that a request means.

        Raises:
            InvalidArgument: without a name, or with a label that is not known.
            NotFound: if no such version answers.
        """
        if not spec.name:
            raise InvalidArgument("ModelSpec has no name specified.")
        version = self._find_version(spec)
        versions = self._models.get(spec.name, {})
        available = [number for number, model in versions.items() if model.state is State.AVAILABLE]
        if version is None and available:
            return versions[max(available)]
        if version in available:
            return versions[version]
        asked = f"Latest({spec.name})" if version is None else f"Specific({spec.name}, {version})"
        raise NotFound(f"Servable not found for request: {asked}")

    def _find_version(self, spec: wire.ModelSpec) -> int | None:
        chosen = spec.WhichOneof("version_choice")
        if chosen != "version_label":
            return spec.version.value if chosen == "version" else None
        try:
            return self._labels[spec.name, spec.version_label]
        except KeyError:
            raise InvalidArgument(f"Unrecognized servable version label: {spec.version_label}") from None

    def find_all(self, spec: wire.ModelSpec) -> list[FakeModel]:
        """The versions that GetModelStatus reports, the highest first.

        Raises:
            NotFound: if there are none.
        """
        versions = self._models.get(spec.name, {})
        if spec.WhichOneof("version_choice") == "version":
            version = spec.version.value
            if version not in versions:
                raise NotFound(f"Could not find version {version} of model {spec.name}")
            return [versions[version]]
        if not versions:
            raise NotFound(f"Could not find any versions of model {spec.name}")
        return [versions[number] for number in sorted(versions, reverse=True)]


def find_signature(model: FakeModel, spec: wire.ModelSpec, missing: Missing) -> FakeSignature:
    """The signature that a request means.

    Raises:
        ServingError: if the model has no such signature.
    """
    name = spec.signature_name or DEFAULT_SIGNATURE
    if name not in model.signatures:
        raise missing(name)
    return model.signatures[name]


def served_spec(model: FakeModel, spec: wire.ModelSpec) -> wire.ModelSpec:
    """The model spec of a reply: what was asked for, with the version that answered and the signature's name."""
    return wire.ModelSpec(
        name=model.name,
        version=wire.Int64Value(value=model.version),
        signature_name=spec.signature_name or DEFAULT_SIGNATURE,
    )
