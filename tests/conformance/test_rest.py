"""The REST API on TensorFlow Serving's own fixtures: the requests of its end-to-end test and of its handler's test."""

import json

import pytest

from servable.errors import Code, of_code
from servable.http_exchange import HTTP_STATUS
from servable.servables import Handle
from tests.rest import served
from tests.rest.doubling import Doubling

STATUS = (
    '{\n "model_version_status": [\n  {\n   "version": "1",\n   "state": "AVAILABLE",\n   "status": {\n'
    '    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
)


@pytest.fixture(scope="module")
def rest(models):
    half, three = models.version_path("half_plus_two"), models.version_path("half_plus_three")
    handles = served.load([("m", 1, half), ("two", 1, half), ("two", 2, three)])
    running = served.serve(handles, {"two": {"stable": 1, "canary": 2}})
    yield running
    running.stop()


def error(text):
    return f'{{\n    "error": "{text}"\n}}'


@pytest.mark.behaviour("13.1", "Classify over REST gives pairs of label and score")
@pytest.mark.behaviour("13.10", "Classify: by latest version, number and label")
@pytest.mark.parametrize("choice", ["", "/versions/1", "/labels/stable"])
def test_classify(rest, choice):
    body = '{"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]}'
    score = "4.0" if choice == "" else "3.0"
    status, text = rest.post(f"/v1/models/two{choice}:classify", body)
    assert (status, text) == (200, '{\n    "results": [[["", ' + score + "]]\n    ]\n}")


@pytest.mark.behaviour("13.1", "Regress over REST gives a list of values")
@pytest.mark.behaviour("13.10", "Regress: by latest version, number and label")
@pytest.mark.parametrize("choice", ["", "/versions/1", "/labels/stable"])
def test_regress(rest, choice):
    body = '{"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]}'
    status, text = rest.post(f"/v1/models/two{choice}:regress", body)
    assert (status, text) == (200, '{\n    "results": [' + ("4.0" if choice == "" else "3.0") + "]\n}")


@pytest.mark.behaviour("13.1", "Predict over REST by rows is answered by rows")
def test_predict_by_rows(rest):
    status, text = rest.post("/v1/models/m:predict", '{"instances": [2.0, 3.0, 4.0]}')
    assert (status, text) == (200, '{\n    "predictions": [3.0, 3.5, 4.0\n    ]\n}')


@pytest.mark.behaviour("13.1", "Predict over REST by columns is answered by columns")
def test_predict_by_columns(rest):
    status, text = rest.post("/v1/models/m:predict", '{"inputs": [2.0, 3.0, 4.0]}')
    assert (status, text) == (200, '{\n    "outputs": [\n        3.0,\n        3.5,\n        4.0\n    ]\n}')


@pytest.mark.behaviour("13.10", "Predict: by latest version, number and label, by a signature's name, by columns")
@pytest.mark.parametrize(
    ("choice", "value"), [("", 3.5), ("/versions/1", 2.5), ("/labels/stable", 2.5), ("/labels/canary", 3.5)]
)
@pytest.mark.parametrize("name", ["", '"signature_name": "serving_default", '])
def test_predict_chooses_the_version(rest, choice, value, name):
    url = f"/v1/models/two{choice}:predict"
    assert json.loads(rest.post(url, f'{{{name}"instances": [[1]]}}')[1]) == {"predictions": [[value]]}
    assert json.loads(rest.post(url, f'{{{name}"inputs": {{"x": [1]}}}}')[1]) == {"outputs": [value]}


@pytest.mark.behaviour("13.10", "the only header that a reply of its own has is its content type")
def test_the_headers_of_a_reply(rest):
    reply = rest.ask("POST", "/v1/models/m:predict", '{"instances": [1]}')
    assert (reply.content_type, list(reply.headers)) == ("application/json", [])


@pytest.mark.behaviour("13.1", "the status over REST is the JSON of the message")
@pytest.mark.behaviour("13.10", "GetStatus: of all versions, of one by its number, of all by a label")
def test_status(rest):
    assert rest.get("/v1/models/m") == (200, STATUS)
    assert rest.get("/v1/models/m/versions/1") == (200, STATUS)
    for url in ("/v1/models/two", "/v1/models/two/labels/stable"):
        versions = json.loads(rest.get(url)[1])["model_version_status"]
        assert [each["version"] for each in versions] == ["2", "1"]


@pytest.mark.behaviour("13.1", "the metadata over REST have the signatures twice nested, with the version")
@pytest.mark.behaviour("13.10", "GetModelMetadata: the signatures as they are stored")
@pytest.mark.parametrize(("choice", "version"), [("", "2"), ("/versions/1", "1"), ("/labels/stable", "1")])
def test_metadata(rest, choice, version):
    status, text = rest.get(f"/v1/models/two{choice}/metadata")
    document = json.loads(text)
    assert status == 200
    assert text.startswith('{\n"model_spec":{\n "name": "two",\n')
    assert text.endswith(" }\n}\n}\n}\n")
    assert document["model_spec"] == {"name": "two", "signature_name": "", "version": version}
    signatures = document["metadata"]["signature_def"]["signature_def"]
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": False}
    assert signatures["serving_default"] == {
        "inputs": {"x": {"dtype": "DT_FLOAT", "name": "x:0", "tensor_shape": shape}},
        "outputs": {"y": {"dtype": "DT_FLOAT", "name": "y:0", "tensor_shape": shape}},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


@pytest.mark.behaviour("13.10", "a model or version that is not served is not found")
@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("/v1/models/nosuch:predict", "Servable not found for request: Latest(nosuch)"),
        ("/v1/models/m/versions/7:predict", "Servable not found for request: Specific(m, 7)"),
    ],
)
def test_a_model_that_is_not_served(rest, url, text):
    assert rest.post(url, '{"instances": [1]}') == (404, error(text))


@pytest.mark.behaviour("9.4", "JSON is read before the model is looked up")
@pytest.mark.behaviour(
    "13.10", "malformed JSON is told before the model is looked up, and its texts are the original's"
)
@pytest.mark.parametrize(
    ("url", "body", "text"),
    [
        ("/v1/models/m:predict", "", "JSON Parse error: The document is empty"),
        ("/v1/models/nosuch:predict", "[", "JSON Parse error: Invalid value. at offset: 1"),
        ("/v1/models/m:predict", '{"instances": ["x"]}', "not of expected type: float"),
        ("/v1/models/m/labels/nosuch:predict", '{"instances": [1]}', "Unrecognized servable version label: nosuch"),
        ("/v1/models/m:predict", '{"signature_name": 5}', "'signature_name' key must be a string value."),
        (
            "/v1/models/m:predict",
            '{"signature_name": "n"}',
            'Serving signature name: \\"n\\" not found in signature def',
        ),
    ],
)
def test_a_request_that_is_refused(rest, url, body, text):
    status, answer = rest.post(url, body)
    assert status == 400
    assert text in answer


@pytest.mark.behaviour("9.7", "what is refused over gRPC is refused over REST in the same words")
@pytest.mark.parametrize(
    ("action", "body", "text"),
    [
        ("classify", '{"examples": [{"x": 1.0}]}', "No classification inputs found in SignatureDef: "),
        ("classify", '{"examples": [{}], "signature_name": "n"}', "No signature was found with the name: n"),
        ("regress", '{"examples": [{"x": 1}], "signature_name": "regress_x_to_y"}', "Data types don't match."),
        ("regress", '{"examples": []}', "'examples' value is an empty array"),
        ("classify", "[]", "JSON Value: [] Is not object"),
    ],
)
def test_examples_that_are_refused(rest, action, body, text):
    status, answer = rest.post(f"/v1/models/m:{action}", body)
    assert status == 400
    assert text in answer


STATUSES = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}


@pytest.mark.behaviour("9.3", "the HTTP status follows from the code, and a text is not cut")
@pytest.mark.parametrize(("name", "status"), STATUSES.items())
def test_the_status_of_a_code(name, status):
    class Failing(Doubling):
        def runner(self, _feeds, _fetches):
            raise of_code(Code[name], "x" * 2000)

    running = served.serve([Handle("m", 1, Failing())])
    try:
        assert running.post("/v1/models/m:predict", '{"instances": [1]}') == (status, error("x" * 2000))
    finally:
        running.stop()


@pytest.mark.behaviour("9.3", "the HTTP status follows from the code, and a text is not cut")
def test_every_code_has_a_status():
    assert set(HTTP_STATUS) == set(Code)


@pytest.mark.behaviour(
    "9.2", "a version that is no int64 is answered without a body, and counted under the model's name"
)
def test_a_version_that_is_no_int64(rest):
    reply = rest.ask("GET", "/v1/models/m/versions/9223372036854775808")
    assert (reply.status, reply.body, reply.content_type) == (400, b"", "application/json")
    assert rest.counted[-1] == ("m", 3, "")


@pytest.mark.behaviour("9.2", "texts show a malformed URL as it was sent")
def test_a_malformed_url_is_shown_as_sent(rest):
    assert rest.get("/v1/models/a%2Fb/") == (400, error("Malformed request: GET /v1/models/a%2Fb/"))
    assert rest.counted[-1] == ("", 3, "")


@pytest.mark.behaviour("9.8", "OPTIONS is answered by whether an origin is given, whatever the path")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://a"}, 200),
        ({"Origin": "x https://a"}, 200),
        ({"Origin": "HTTP://a"}, 400),
        ({"Origin": "null"}, 400),
        ({}, 400),
    ],
)
def test_options(rest, headers, status):
    reply = rest.ask("OPTIONS", "/v1/anything", headers=headers)
    assert (reply.status, reply.body, list(reply.headers)) == (status, b"", [])
    assert reply.content_type == "text/html; charset=ISO-8859-1"


@pytest.mark.behaviour("9.8", "with --rest_api_enable_cors_support each reply allows any origin")
def test_cors(models):
    running = served.serve(
        served.load([("m", 1, models.version_path("half_plus_two"))]), rest_api_enable_cors_support=True
    )
    try:
        replies = [
            running.ask("POST", "/v1/models/m:predict", '{"instances": [1]}'),
            running.ask("GET", "/v1/nothing"),
            running.ask("OPTIONS", "/v1/"),
            running.ask("OPTIONS", "/v1/", headers={"Origin": "http://a"}),
        ]
    finally:
        running.stop()
    assert [reply.status for reply in replies] == [200, 400, 400, 200]
    assert all(
        list(reply.headers)
        == [
            (b"Access-Control-Allow-Origin", b"*"),
            (b"Access-Control-Allow-Methods", b"POST, GET"),
            (b"Access-Control-Allow-Headers", b"Content-Type"),
        ]
        for reply in replies
    )


@pytest.mark.behaviour("9.5", "--rest_api_timeout_in_ms ends a run, and the next request is answered")
def test_the_timeout(models):
    running = served.serve(served.load([("slow", 1, models.version_path("slow"))]), rest_api_timeout_in_ms=500)
    try:
        # A slow machine may take all of the first request's time to prepare its run.
        answers = [running.post("/v1/models/slow:predict", f'{{"inputs": [{1 << 40}]}}') for _ in range(2)]
        assert answers == [(504, error("Timed out waiting for notification"))] * 2
        assert running.post("/v1/models/slow:predict", '{"inputs": [3]}')[0] == 200
    finally:
        running.stop()


@pytest.mark.behaviour("9.5", "the method's name of a signature is checked if a flag says so, after the tensors")
def test_the_method_name_is_checked(models):
    running = served.serve(
        served.load([("m", 1, models.version_path("custom_method"))]), enable_signature_method_name_check=True
    )
    try:
        status, text = running.post("/v1/models/m:predict", '{"signature_name": "preprocess", "inputs": [[1]]}')
        assert status == 500
        assert "Expected prediction signature method_name to be one of" in text
        assert running.post("/v1/models/m:predict", '{"signature_name": "preprocess", "inputs": [["a"]]}')[0] == 400
    finally:
        running.stop()


@pytest.mark.behaviour("9.5", "--enable_serialization_as_tensor_content leaves REST alone")
def test_tensor_content_is_for_grpc(models):
    running = served.serve(
        served.load([("m", 1, models.version_path("half_plus_two"))]), enable_serialization_as_tensor_content=True
    )
    try:
        assert running.post("/v1/models/m:predict", '{"instances": [1]}')[1] == '{\n    "predictions": [2.5\n    ]\n}'
    finally:
        running.stop()


@pytest.mark.behaviour("9.5", "a body of any size is answered, a large one parsed by another thread")
def test_a_large_body(rest):
    body = json.dumps({"instances": [float(number) for number in range(20_000)]})
    for _ in range(3):
        status, text = rest.post("/v1/models/m:predict", body)
        assert status == 200
        assert json.loads(text)["predictions"] == [0.5 * number + 2 for number in range(20_000)]
