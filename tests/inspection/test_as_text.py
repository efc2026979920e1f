"""The report as text."""

import dataclasses
import json
import textwrap

from servable import inspection, wire
from servable.inspection.report import ModelWarning, Report, Signature, Tensor, Verdict
from tests.inspection.making import look, meta_graph, signature, write

YES = Verdict(True)
NO = Verdict(False, "there is no output")
PREDICT_ONLY = {"Predict": YES, "Classify": NO, "Regress": NO, "MultiInference": NO}
DEFAULT = Signature(
    "serving_default",
    "tensorflow/serving/predict",
    [Tensor("image", "float32", (None, 8, 8), "image:0"), Tensor("scale", "float32", (), "scale:0", has_default=True)],
    [Tensor("digit", "int64", (None,), "digit:0")],
    PREDICT_ONLY,
)
REPORT = Report(
    path="/models/digits/3",
    version=3,
    versions=(1, 3),
    tags=("serve",),
    tag_sets=[("serve",)],
    tensorflow_version="2.16.2",
    installed_tensorflow_version="2.21.0",
    graph_bytes=34512,
    variables_bytes=999,
    has_variables=True,
    assets=("words.txt",),
    init_op="NoOp",
    signatures=[DEFAULT],
    warnings=[],
)


def write_text(**changes):
    return inspection.to_text(dataclasses.replace(REPORT, **changes))


def test_a_report_is_this():
    expected = """\
        SavedModel, version 3: 1 signature, no warnings

          directory   /models/digits/3
          versions    1, 3; this is the highest
          tags        serve
          made with   TensorFlow 2.16.2; installed here: 2.21.0
          on disk     graph 34.5 kB, variables 999 bytes
          assets      words.txt
          init op     NoOp

        serving_default  (tensorflow/serving/predict)
          input   image  float32  [?, 8, 8]
          input   scale  float32  [] (may be left out)
          output  digit  int64    [?]
          Predict         yes
          Classify        no: there is no output
          Regress         no: there is no output
          MultiInference  no: there is no output
          request         {"model_spec": {"name": "..."},
                          "inputs": {"image": float32[?,8,8]}}
          $ servable-client predict -m digits --zeros
          $ GRPCURL

        No warnings."""
    grpcurl = (
        'grpcurl -plaintext -d \'{"model_spec": {"name": "digits"}, "inputs": {"image": {"dtype": "DT_FLOAT", '
        '"tensor_shape": {"dim": [{"size": 1}, {"size": 8}, {"size": 8}]}}}}\' 127.0.0.1:8500 '
        "tensorflow.serving.PredictionService/Predict"
    )
    assert write_text() == textwrap.dedent(expected).replace("GRPCURL", grpcurl)


def test_what_is_not_there_is_reported_so_or_left_out():
    text = write_text(
        version=None,
        versions=(),
        tensorflow_version="",
        installed_tensorflow_version=None,
        has_variables=False,
        assets=(),
        init_op=None,
        signatures=[],
    )
    assert text.startswith("SavedModel: no signatures, no warnings\n")
    assert "made with   TensorFlow (unknown); installed here: none" in text
    assert "variables none" in text
    for absent in ("versions ", "assets ", "init op "):
        assert absent not in text


def test_signatures_that_differ_in_their_names_only_are_shown_once():
    alike = dataclasses.replace(DEFAULT, key="serve")
    other = dataclasses.replace(DEFAULT, key="other", inputs=[])
    text = write_text(signatures=[DEFAULT, alike, other])
    assert "\nserving_default, serve  (tensorflow/serving/predict)\n" in text
    assert "\nother  (tensorflow/serving/predict)\n" in text
    assert text.count("  input   image") == 1


def test_a_request_names_every_signature_but_the_default():
    text = write_text(signatures=[dataclasses.replace(DEFAULT, key="score")])
    assert '"model_spec": {"name": "...", "signature_name": "score"}' in text


def test_a_request_for_a_classifier_carries_examples():
    head = dataclasses.replace(DEFAULT, rpcs={**PREDICT_ONLY, "Classify": YES, "MultiInference": YES})
    assert '"input": {"example_list": {"examples": [tf.Example, ...]}}}' in write_text(signatures=[head])


def test_what_nothing_can_call_has_no_request():
    assert "request" not in write_text(signatures=[dataclasses.replace(DEFAULT, rpcs=dict.fromkeys(PREDICT_ONLY, NO))])


def test_warnings_come_last_each_with_its_remedy_and_code():
    warnings = [
        ModelWarning("no_serving_default", "It has none.", "Name one."),
        ModelWarning("fixed_batch", "It is 1.", "Open it.", "a"),
    ]
    text = write_text(warnings=warnings)
    assert text.startswith("SavedModel, version 3: 1 signature, 2 warnings\n")
    assert text.endswith(
        "\n\nWarnings\n"
        "  * It has none.\n    -> Name one. [no_serving_default]\n"
        "  * a: It is 1.\n    -> Open it. [fixed_batch]"
    )


def test_the_same_warning_of_several_signatures_is_shown_once():
    warnings = [ModelWarning("fixed_batch", "It is 1.", "Open it.", key) for key in ("a", "b")]
    text = write_text(warnings=warnings)
    assert "1 warning\n" in text
    assert "  * a, b: It is 1.\n" in text


def test_prose_keeps_to_80_columns():
    long = "It is a long story that is told here and goes on for more than one line of a terminal. " * 3
    head = dataclasses.replace(DEFAULT, rpcs=dict.fromkeys(PREDICT_ONLY, Verdict(False, long)))
    text = write_text(signatures=[head], warnings=[ModelWarning("c", long, long, "serving_default")])
    assert max(map(len, text.splitlines())) <= 80


def test_the_names_of_a_model_cannot_steer_a_terminal(tmp_path):
    evil = "a\x1b[2J\nb"
    text = inspection.to_text(
        look(write(tmp_path / "1", meta_graph({evil: signature({evil: "int64[?]"}, {"y": "int64[]"})})))
    )
    assert all(char.isprintable() or char == "\n" for char in text)
    assert r"a\x1b[2J\nb  (tensorflow/serving/predict)" in text


def test_sizes_are_shown_in_the_unit_that_fits():
    for count, written in [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (28_400_000, "28.4 MB"),
        (5 * 10**12, "5000.0 GB"),
    ]:
        assert f"variables {written}\n" in write_text(variables_bytes=count)


def test_json_is_ascii_and_has_null_for_what_is_open(tmp_path):
    head = signature({"größe": "float32[?,3]"}, {"y": "float32[...]"})
    head.defaults["größe"].CopyFrom(wire.TensorProto(dtype=wire.DT_FLOAT, tensor_shape={"dim": [{"size": 3}]}))
    text = inspection.to_json(look(write(tmp_path / "mine", meta_graph({"serving_default": head}))))
    assert text.isascii()
    report = json.loads(text)
    assert report["version"] is None
    assert report["signatures"][0]["inputs"] == [
        {"name": "größe", "dtype": "float32", "shape": [None, 3], "tensor_name": "größe:0", "has_default": True}
    ]
    assert report["signatures"][0]["outputs"][0]["shape"] is None
    assert report["signatures"][0]["rpcs"]["Predict"] == {"callable": True, "reason": None}
    assert report["warnings"][0]["code"] == "unnumbered_directory"
    assert report["warnings"][0]["signature"] is None
