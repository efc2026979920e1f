"""The OpenAPI document: valid for any names, and true: its examples are answered as it says."""

import asyncio
import gc
import json
import weakref

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from servable import wire
from servable.http_exchange import HttpRequest
from servable.rest.openapi import OpenApi, make_document
from servable.routing import Router, Routes
from servable.servables import Handle
from servable.signatures import prepare
from tests.rest import served

ODD_NAMES = ["", "a/b", "{m}", "é😀", "a b", "%2F", "x:predict", "__proto__"]


class Model:
    """A servables.Servable that is only looked at."""

    queue_limits = None

    def __init__(self, **definitions):
        self.signatures = {key: prepare(key, definition) for key, definition in definitions.items()}


def info(dtype, *sizes, name="t:0"):
    dims = [wire.TensorShapeProto.Dim(size=size) for size in sizes]
    return wire.TensorInfo(name=name, dtype=dtype, tensor_shape=wire.TensorShapeProto(dim=dims))


def predict(inputs, outputs):
    return wire.SignatureDef(method_name="tensorflow/serving/predict", inputs=inputs, outputs=outputs)


X_TO_Y = predict({"x": info(wire.DT_FLOAT, -1, 2)}, {"y": info(wire.DT_FLOAT, -1)})


def validate(document):
    OpenAPIV31SpecValidator(json.loads(json.dumps(document))).validate()


def schema_of(document, action):
    """The schemas of requests of one operation, with those that they refer to."""
    (path,) = [path for path in document["paths"] if path.endswith(action)]
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return {**content["schema"], "components": document["components"]}, content["examples"]


def test_a_document_without_models_is_valid():
    validate(make_document([]))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_document_is_valid_whatever_the_names(name):
    definition = predict({name: info(wire.DT_STRING, -1)}, {name + "_bytes": info(wire.DT_STRING, -1)})
    handles = [Handle(model, 1, Model(**{name: definition, "serving_default": X_TO_Y})) for model in (name, "other")]
    document = make_document(handles, {"other": {name: 1}})
    validate(document)
    assert "/v1/models/other/versions/1:predict" in document["paths"]


def test_a_name_that_is_no_utf_8_is_encoded():
    document = make_document([Handle("\udcff", 1, Model(serving_default=X_TO_Y))])
    validate(document)
    assert "/v1/models/%FF:predict" in document["paths"]


def test_each_model_version_and_label_has_its_paths():
    handles = [Handle("m", version, Model(serving_default=X_TO_Y)) for version in (1, 2)]
    assert set(make_document(handles, {"m": {"stable": 1, "gone": 7}})["paths"]) == {
        f"/v1/models/m{choice}{end}"
        for choice in ("", "/versions/1", "/versions/2", "/labels/stable")
        for end in ("", "/metadata", ":predict")
    }


def test_a_request_is_described_by_rows_and_by_columns():
    document = make_document([Handle("m", 1, Model(serving_default=X_TO_Y))])
    schema, _ = schema_of(document, "m:predict")
    for accepted in ({"instances": [[1, 2], [3, 4.5]]}, {"inputs": [[1, 2]], "signature_name": "serving_default"}):
        jsonschema.validate(accepted, schema)
    for refused in ({"instances": [[1, 2, 3]]}, {"instances": [["a", "b"]]}, {"inputs": 1}, {"rows": []}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(refused, schema)


def test_a_signature_that_is_not_the_default_must_be_named():
    document = make_document([Handle("m", 1, Model(other=X_TO_Y))])
    schema, examples = schema_of(document, "m:predict")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"instances": [[1, 2]]}, schema)
    assert all(example["value"]["signature_name"] == "other" for example in examples.values())


def test_a_signature_that_json_cannot_carry_is_left_out():
    half = predict({"x": info(wire.DT_HALF, -1)}, {"y": info(wire.DT_FLOAT, -1)})
    assert "/v1/models/m:predict" not in make_document([Handle("m", 1, Model(serving_default=half))])["paths"]


def test_a_large_tensor_has_no_example():
    image = predict({"x": info(wire.DT_FLOAT, -1, 224, 224, 3)}, {"y": info(wire.DT_FLOAT, -1)})
    _, examples = schema_of(make_document([Handle("m", 1, Model(serving_default=image))]), "m:predict")
    assert examples == {}


def test_the_examples_of_real_models_are_answered_as_described(models):
    names = ["keras_softmax", "image_and_text", "scalar_beside_vector", "strings"]
    handles = served.load((name, 1, models.version_path(name)) for name in names)
    document = json.loads(json.dumps(make_document(handles)))
    validate(document)
    running = served.serve(handles)
    try:
        for path, item in document["paths"].items():
            if "/versions/" in path or "post" not in item or path.endswith((":classify", ":regress")):
                continue
            content = item["post"]["requestBody"]["content"]["application/json"]
            replies = item["post"]["responses"]["200"]["content"]["application/json"]["schema"]
            for example in content["examples"].values():
                jsonschema.validate(example["value"], {**content["schema"], "components": document["components"]})
                status, text = running.post(path, json.dumps(example["value"]))
                assert status == 200, (path, text)
                jsonschema.validate(json.loads(text), {**replies, "components": document["components"]})
    finally:
        running.stop()


def test_the_document_is_made_once_for_the_routes():
    router = Router(Routes([Handle("m", 1, Model(serving_default=X_TO_Y))]))
    api = OpenApi(router)

    async def ask():
        request = HttpRequest("GET", "/openapi.json")
        first, second = await asyncio.gather(api.handle(request), api.handle(request))
        before = make_document(router.routes)
        router.add(Handle("n", 1, Model()))
        return before, first.body, second.body, (await api.handle(request)).body

    before, first, second, after = asyncio.run(ask())
    assert first is second
    assert json.loads(first) == json.loads(json.dumps(before))
    assert b"/v1/models/n" in after


def test_the_document_keeps_no_version():
    handle = Handle("m", 1, Model(serving_default=X_TO_Y))
    router = Router(Routes([handle]))
    api = OpenApi(router)
    asyncio.run(api.handle(HttpRequest("GET", "/openapi.json")))
    router.remove(handle)
    gone = weakref.ref(handle)
    del handle
    gc.collect()
    assert gone() is None


def test_many_models_are_written_in_parts():
    """So the interpreter is not held for the whole document."""
    handles = [Handle(f"m{number}", 1, Model(serving_default=X_TO_Y)) for number in range(200)]
    reply = asyncio.run(OpenApi(Router(Routes(handles))).handle(HttpRequest("GET", "/openapi.json")))
    assert len(json.loads(reply.body)["paths"]) == 200 * 6
