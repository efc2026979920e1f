"""A model spec finds the version that plain dictionaries say it should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable import wire
from servable.errors import InvalidArgument, NotFound
from servable.routing import Routes
from servable.servables import Handle

NAMES = st.sampled_from(["", "a", "A", "half_plus_two", "größe"])
LABELS = st.sampled_from(["", "stable", "canary"])
VERSIONS = st.sampled_from([-(1 << 63), -1, 0, 1, 2, 10, (1 << 63) - 1])
LOADED = st.dictionaries(NAMES, st.sets(VERSIONS, min_size=1, max_size=4), max_size=4)
LABELLED = st.dictionaries(NAMES, st.dictionaries(LABELS, VERSIONS, max_size=3), max_size=4)


@st.composite
def specs(draw):
    spec = wire.ModelSpec(name=draw(NAMES), signature_name=draw(st.sampled_from(["", "other"])))
    choice = draw(st.sampled_from(["", "version", "label"]))
    if choice == "version":
        # An Int64Value of 0 holds no bytes, and is a version all the same.
        spec.version.SetInParent()
        spec.version.value = draw(VERSIONS)
    elif choice == "label":
        spec.version_label = draw(LABELS)
    return wire.ModelSpec.FromString(spec.SerializeToString())


def expected(loaded, labelled, spec):
    """The number of the version, or the error (TensorFlow Serving: server_core.cc, basic_manager.cc)."""
    versions = loaded.get(spec.name, set())
    if spec.name == "":
        return InvalidArgument("ModelSpec has no name specified.")
    if not spec.HasField("version") and not spec.HasField("version_label"):
        return max(versions) if versions else NotFound(f"Servable not found for request: Latest({spec.name})")
    number = spec.version.value
    if spec.HasField("version_label"):
        if spec.version_label not in labelled.get(spec.name, {}):
            return InvalidArgument(f"Unrecognized servable version label: {spec.version_label}")
        number = labelled[spec.name][spec.version_label]
    missing = NotFound(f"Servable not found for request: Specific({spec.name}, {number})")
    return number if number in versions else missing


@given(LOADED, LABELLED, specs(), st.randoms())
def test_a_spec_finds_its_version_or_the_reason_why_not(loaded, labelled, spec, shuffler):
    handles = [Handle(name, version, object()) for name, versions in loaded.items() for version in versions]
    shuffler.shuffle(handles)
    routes = Routes(handles, labelled)
    wanted = expected(loaded, labelled, spec)
    if isinstance(wanted, int):
        found = routes.resolve(spec)
        assert (found.name, found.version) == (spec.name, wanted)
        assert any(found is handle for handle in handles)
    else:
        with pytest.raises(type(wanted)) as caught:
            routes.resolve(spec)
        assert caught.value.message == wanted.message


@given(LOADED)
def test_routes_list_every_handle_once(loaded):
    handles = [Handle(name, version, object()) for name, versions in loaded.items() for version in versions]
    listed = [(handle.name, handle.version) for handle in Routes(handles)]
    assert sorted(listed) == sorted((name, version) for name, versions in loaded.items() for version in versions)
