"""What a verb and a URL of the REST API ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable.errors import InvalidArgument
from servable.rest import urls
from servable.rest.urls import Action, ModelUrl, VersionTooLarge


@pytest.mark.behaviour("9.2", "a URL names a model, and a version by number or by label")
@pytest.mark.parametrize(
    ("verb", "target", "url"),
    [
        ("POST", "/v1/models/m:predict", ModelUrl(Action.PREDICT, "m")),
        ("POST", "/v1/models/m:classify", ModelUrl(Action.CLASSIFY, "m")),
        ("POST", "/v1/models/m:regress", ModelUrl(Action.REGRESS, "m")),
        ("POST", "/v1/models/m/versions/0012:predict", ModelUrl(Action.PREDICT, "m", 12)),
        ("POST", "/v1/models/m/labels/a.b:predict", ModelUrl(Action.PREDICT, "m", label="a.b")),
        ("POST", "/V1/Models/M/Versions/1:predict", ModelUrl(Action.PREDICT, "M", 1)),
        ("GET", "/v1/models/m", ModelUrl(Action.STATUS, "m")),
        ("GET", "/v1/models/m/versions/9223372036854775807", ModelUrl(Action.STATUS, "m", 2**63 - 1)),
        ("GET", "/v1/models/m/labels/l", ModelUrl(Action.STATUS, "m", label="l")),
        ("GET", "/v1/models/m/metadata", ModelUrl(Action.METADATA, "m")),
        ("GET", "/v1/models/m/versions/1/metadata", ModelUrl(Action.METADATA, "m", 1)),
        ("GET", "/v1/models/m/labels/l/metadata", ModelUrl(Action.METADATA, "m", label="l")),
        ("GET", "/v1/models/m/METADATA", ModelUrl(Action.STATUS, "m")),
        ("GET", "/v1/models/m?x=1", ModelUrl(Action.STATUS, "m?x=1")),
        ("GET", "/v1/models/m#f", ModelUrl(Action.STATUS, "m#f")),
        ("GET", "/v1/models/metadata", ModelUrl(Action.STATUS, "metadata")),
    ],
)
def test_a_url_asks_for(verb, target, url):
    assert urls.parse(verb, target) == url


@pytest.mark.behaviour("13.10", "percent-encoded names and labels are decoded, and a plus is no space")
@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("%21%23%24%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D", "!#$&'()*+,/:;=?@[]"),
        ("a+b", "a+b"),
        ("a%00b", "a\0b"),
        ("%c3%a9", "é"),
        ("%FF", "\udcff"),
    ],
)
def test_names_and_labels_are_decoded(sent, name):
    assert urls.parse("POST", f"/v1/models/{sent}/labels/{sent}:predict") == ModelUrl(Action.PREDICT, name, None, name)
    assert urls.parse("GET", f"/v1/models/{sent}") == ModelUrl(Action.STATUS, name)


@pytest.mark.behaviour("13.10", "a verb or URL that asks for nothing is malformed")
@pytest.mark.parametrize(
    ("verb", "target"),
    [
        ("GET", "/v1/models/foo:predict"),
        ("GET", "/v1/models/foo/versions/50:regress"),
        ("POST", "/v1/models/foo/metadata"),
        ("POST", "/v1/models/foo"),
        ("POST", "/v1/models/foo:"),
        ("POST", "/v1/models/foo/version/50:regress"),
        ("POST", "/v1/models/foo/versions/50/regress"),
        ("POST", "/v1/models/foo/versions/50"),
        ("POST", "/v1/models/foo/versions/abc:predict"),
        ("POST", "/v1/models/foo/labels/some_label/regress"),
        ("POST", "/v1/models/foo/versions/50/labels/some_label:regress"),
        ("POST", "/v1/models/foo:PREDICT"),
        ("POST", "/v1/models/foo:predict?x=1"),
        ("POST", "/v1/models/foo:predict?"),
        ("POST", "/v1/models/foo:predict#f"),
        ("POST", "/v1/models:predict"),
        ("GET", "/v1/models/foo/"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/foo/metadata?x"),
        ("GET", "/v1/models/foo/versions/-1"),
        ("GET", "/v1/models/foo/versions/1?x"),
        ("PUT", "/v1/models/foo:predict"),
        ("HEAD", "/v1/models/foo"),
        ("get", "/v1/models/foo"),
        ("GET", "/v1/"),
    ],
)
def test_what_asks_for_nothing_is_malformed(verb, target):
    with pytest.raises(InvalidArgument) as error:
        urls.parse(verb, target)
    assert error.value.message == f"Malformed request: {verb} {target}"


@pytest.mark.behaviour("13.10", "a GET without a model's name is refused")
@pytest.mark.parametrize(
    "target", ["/v1/models", "/v1/models/versions/1", "/v1/models/labels/x", "/v1/models/labels/x/metadata"]
)
def test_a_model_needs_a_name(target):
    with pytest.raises(InvalidArgument) as error:
        urls.parse("GET", target)
    assert error.value.message == "Missing model name in request."


@pytest.mark.behaviour("9.2", "a version that is no int64 is refused")
@pytest.mark.parametrize("version", ["9223372036854775808", "9" * 10_000])
def test_a_version_is_an_int64(version):
    with pytest.raises(VersionTooLarge) as error:
        urls.parse("POST", f"/v1/models/m/versions/{version}:predict")
    assert error.value.name == "m"


@pytest.mark.parametrize(
    ("target", "is_of_api"),
    [("/v1/models", True), ("/v1/", True), ("/V1/x", True), ("/v1", False), ("/statuspage", False), ("//v1/x", False)],
)
@pytest.mark.behaviour("13.10", "what is not under /v1/ is not of the API")
def test_the_api_is_under_v1(target, is_of_api):
    assert urls.is_of_api(target) == is_of_api


NAMES = st.text(st.characters(codec="utf-8"), min_size=1)


@given(NAMES, st.none() | st.integers(0, 2**63 - 1), st.none() | NAMES, st.sampled_from(list(Action)))
def test_what_is_asked_for_is_read_back(name, version, label, action):
    given_url = ModelUrl(action, name, version, None if version is not None else label)
    verb = "GET" if action in {Action.STATUS, Action.METADATA} else "POST"
    if verb == "GET" and given_url.name.lower() in {"metadata", "versions", "labels"}:
        return
    assert urls.parse(verb, write(given_url)) == given_url


def write(url):
    """The URL with every byte of names in percent encoding."""
    choice = "" if url.version is None else f"/versions/{url.version}"
    choice = choice if url.label is None else f"/labels/{encode(url.label)}"
    ends = {Action.STATUS: "", Action.METADATA: "/metadata"}
    return f"/v1/models/{encode(url.name)}{choice}{ends.get(url.action, ':' + url.action.value)}"


def encode(text):
    return "".join(f"%{byte:02x}" for byte in text.encode())


@given(st.sampled_from(["GET", "POST", "PUT"]), st.text(st.characters(max_codepoint=255)))
def test_any_target_is_read_or_refused(verb, rest):
    try:
        url = urls.parse(verb, "/v1/models/" + rest)
    except InvalidArgument:
        return
    assert url.name
    assert url.version is None or url.label is None
