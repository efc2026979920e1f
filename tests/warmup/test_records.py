"""Recorded requests: logs stripped to what a warm-up needs, and files with one request in any of its forms."""

from pathlib import Path

import pytest
from google.protobuf import json_format, text_format
from hypothesis import given
from hypothesis import strategies as st

from servable import wire
from servable.errors import FailedPrecondition, InvalidArgument
from servable.warmup import records
from servable.warmup.records import RequestKind
from tests.warmup.making import MIXED, classify_log, predict_log

PATH = Path("somewhere")
REQUEST = predict_log(name="mobilenet").predict_log.request
FORMS = {
    "serialized": REQUEST.SerializeToString(),
    "text": text_format.MessageToString(REQUEST).encode(),
    "text in one line": text_format.MessageToString(REQUEST, as_one_line=True).encode(),
    "JSON": json_format.MessageToJson(REQUEST).encode(),
    "JSON of grpcurl": b'\n{"model_spec": {"name": "mobilenet", "signature_name": "serving_default"}, "inputs": '
    b'{"x": {"dtype": "DT_FLOAT", "tensor_shape": {}}}}',
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recorded"
    path.touch()
    return path


@pytest.mark.parametrize("log", MIXED, ids=lambda log: log.WhichOneof("log_type"))
def test_a_log_of_any_kind_is_read(log):
    assert records.read_log(log.SerializeToString(), PATH) == log


def test_a_log_loses_its_response_and_its_metadata():
    log = classify_log()
    log.log_metadata.timestamp_secs = 1
    log.classify_log.response.result.classifications.add()
    assert records.read_log(log.SerializeToString(), PATH) == classify_log()


def test_a_log_without_a_request_stays_one():
    log = wire.PredictionLog(log_metadata=wire.LogMetadata(timestamp_secs=1))
    assert records.read_log(log.SerializeToString(), PATH) == wire.PredictionLog()


def test_a_record_of_something_else_is_refused():
    with pytest.raises(InvalidArgument, match="Failed to parse warmup record"):
        records.read_log(b"\xff", PATH)


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_a_request_is_read_in_every_form(path, content):
    path.write_bytes(content)
    log = records.read_request(path, RequestKind.PREDICT)
    assert log == wire.PredictionLog(predict_log=wire.PredictLog(request=REQUEST))


@pytest.mark.parametrize(("kind", "log"), [*zip(RequestKind, MIXED, strict=True)])
def test_a_request_goes_where_its_kind_says(path, kind, log):
    request = getattr(log, kind.value).request
    path.write_bytes(request.SerializeToString())
    assert records.read_request(path, kind) == log


@pytest.mark.parametrize(
    "content",
    [b"\xff\xff", b"inputs {", b'{"instances": [[1.0]]}', b'{"model_spec": ', b"just words", b"\x0a\xff"],
    ids=["bytes", "text", "REST body", "cut JSON", "words", "cut"],
)
def test_a_file_without_such_a_request_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(InvalidArgument) as caught:
        records.read_request(path, RequestKind.PREDICT)
    assert caught.value.message.startswith(f"{path} holds no PredictRequest: ")


def test_a_request_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(FailedPrecondition, match="No such file or directory"):
        records.read_request(tmp_path / "nowhere", RequestKind.PREDICT)


# protobuf 4.25 rounds the largest floats in JSON to more than it reads back.
FLOATS = st.floats(-(2.0**127), 2.0**127, width=32)


@given(
    name=st.text(),
    signature=st.text(),
    values=st.lists(FLOATS, max_size=3),
    form=st.sampled_from(["serialized", "text", "JSON"]),
)
def test_any_request_is_read_back(tmp_path_factory, name, signature, values, form):
    request = wire.PredictRequest(model_spec=wire.ModelSpec(name=name, signature_name=signature))
    request.inputs["x"].float_val.extend(values)
    written = {
        "serialized": request.SerializeToString(),
        "text": text_format.MessageToString(request).encode(),
        "JSON": json_format.MessageToJson(request).encode(),
    }
    path = tmp_path_factory.mktemp("any") / "request"
    path.write_bytes(written[form])
    assert records.read_request(path, RequestKind.PREDICT).predict_log.request == request
