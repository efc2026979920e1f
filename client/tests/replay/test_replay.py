"""The command replay against a fake server: what is sent and when, what is compared, what is told."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from recorded_logs import line, predict, tensor, write

from servable_client import wire
from servable_client.cli import main
from servable_client.errors import Unavailable
from servable_client.testing import Hang
from servable_client.tfrecord import read_records

ENV = {"PYTHONPATH": ":".join(sys.path)}


@pytest.fixture
def replay(server, capsys):
    """Runs the command against the server as fast as possible, and gives its status and report."""

    def replay(*words, pace=("--concurrency=4",), target=None):
        status = main(["replay", *map(str, words), target or server.address, "--json", *pace])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else err

    return replay


def test_equal_replies_are_a_success(replay, tmp_path, server):
    log = write(tmp_path / "log", *(predict([float(index)]) for index in range(20)))
    status, report = replay(log)
    assert (status, report["ok"], report["sent"], report["compared"], report["different"]) == (0, True, 20, 20, 0)
    assert report["statuses"] == {"OK": 20}
    assert report["latency_s"]["p50"] > 0
    assert len(server.requests) == 20


def test_a_changed_model_gives_differences_by_number_and_output(replay, tmp_path, server):
    server.model("half").predict(
        lambda x: {"y": x}, inputs={"x": ("float32", (None,))}, outputs={"y": ("float32", (None,))}
    )
    log = write(tmp_path / "log", predict([4.0, 4.0]), predict([6.0, 4.0]))
    status, report = replay(log)
    assert (status, report["different"]) == (1, 1)
    assert report["differences"] == [
        {
            "request": 1,
            "difference": "y: 1 of 2 values differ, the first at [0]: 5.0 was recorded, got 6.0",
        }
    ]


def test_only_the_first_differences_are_told(replay, tmp_path):
    log = write(tmp_path / "log", *(predict([1.0], {"y": tensor([0.0])}) for _ in range(9)))
    status, report = replay(log, "--differences=2")
    assert (status, report["different"], len(report["differences"])) == (1, 9, 2)


@pytest.mark.parametrize(("words", "status"), [((), 1), (("--rtol=0.01",), 0), (("--atol=0.02",), 0)])
def test_numbers_may_differ_by_the_tolerance(replay, tmp_path, words, status):
    log = write(tmp_path / "log", predict([2.0], {"y": tensor([3.01])}))
    assert replay(log, *words)[0] == status


def test_nan_is_equal_to_nan(replay, tmp_path):
    assert replay(write(tmp_path / "log", predict([np.nan], {"y": tensor([np.nan])})))[0] == 0


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (predict([1.0], {"y": tensor([2.5]), "z": tensor([1.0])}), "z: it is missing"),
        (predict([1.0], {}), "y: it is new"),
        (predict([1.0], {"y": tensor([2.5, 2.5])}), "y: shape [2] was recorded, got [1]"),
        (predict([1.0], {"y": tensor([2], wire.DT_INT32)}), "y: dtype int32 was recorded, got float32"),
        (
            predict(0, {"t": tensor([b"a"], wire.DT_STRING)}, signature="text", t=tensor([b"b"], wire.DT_STRING)),
            "t: 1 of 1 values differ, the first at [0]: b'a' was recorded, got b'b'",
        ),
        (
            predict(
                0,
                {"sum": tensor([4], wire.DT_INT32), "double": tensor([2], wire.DT_INT32)},
                signature="two",
                a=tensor([1], wire.DT_INT32),
                b=tensor([2], wire.DT_INT32),
            ),
            "sum: 1 of 1 values differ, the first at [0]: 4 was recorded, got 3",
        ),
    ],
)
def test_outputs_names_shapes_strings_and_integers_are_compared_exactly(replay, tmp_path, log, words):
    status, report = replay(write(tmp_path / "log", log), "--atol=5")
    assert status == 1
    assert [each["difference"] for each in report["differences"]] == [words]


def test_a_reply_that_was_not_recorded_is_not_compared(replay, tmp_path):
    status, report = replay(write(tmp_path / "log", predict([1.0], reply=False)))
    assert (status, report["sent"], report["compared"]) == (0, 1, 0)


def test_heads_are_replayed_and_compared(replay, tmp_path):
    example = wire.Example(features=wire.Features(feature={"x": wire.Feature(float_list=wire.FloatList(value=[2.0]))}))
    given = wire.Input(example_list=wire.ExampleList(examples=[example]))
    spec = wire.ModelSpec(name="half", signature_name="values")
    log = wire.PredictionLog()
    log.regress_log.request.CopyFrom(wire.RegressionRequest(model_spec=spec, input=given))
    log.regress_log.response.result.regressions.add(value=3.0)
    classify = wire.PredictionLog()
    spec = wire.ModelSpec(name="half", signature_name="classes")
    classify.classify_log.request.CopyFrom(wire.ClassificationRequest(model_spec=spec, input=given))
    row = classify.classify_log.response.result.classifications.add()
    row.classes.add(label="no", score=0.25)
    row.classes.add(label="yes", score=0.75)
    status, report = replay(write(tmp_path / "log", log, classify))
    assert (status, report["compared"]) == (1, 2)
    assert report["differences"][0]["difference"].startswith("values: 1 of 1 values differ")


def test_a_call_that_fails_now_is_told_by_its_code(replay, tmp_path, server):
    server.misbehave(Unavailable("starting"))
    status, report = replay(write(tmp_path / "log", predict([1.0]), predict([1.0])), pace=("--concurrency=1",))
    assert (status, report["statuses"]) == (1, {"UNAVAILABLE": 1, "OK": 1})
    assert report["unexpected"] == {"OK -> UNAVAILABLE": 1}


def test_lines_of_json_are_replayed_and_failures_are_expected_where_they_were_recorded(replay, tmp_path):
    refused = json.loads(line([1.0], None, code="INVALID_ARGUMENT"))
    refused["request"]["inputs"]["x"]["dtype"] = "DT_INT32"
    log = tmp_path / "log.jsonl"
    log.write_text(line([2.0], [3.0]) + json.dumps(refused) + "\n" + line([2.0], [4.0]))
    status, report = replay(log)
    assert (status, report["statuses"]) == (1, {"OK": 2, "INVALID_ARGUMENT": 1})
    assert report["unexpected"] == {}
    assert [each["request"] for each in report["differences"]] == [2]


def test_a_folder_is_the_logs_in_it(replay, tmp_path):
    write(tmp_path / "a.tfrecord", predict([1.0]))
    (tmp_path / "b.jsonl").write_text(line([2.0], [3.0]))
    (tmp_path / "c.tfrecord.part").write_bytes(b"in progress")
    status, report = replay(tmp_path)
    assert (status, report["compared"]) == (0, 2)


def test_only_one_model_and_only_some_requests_are_sent_if_asked_for(replay, tmp_path):
    log = write(tmp_path / "log", predict([1.0], model="other"), *(predict([1.0]) for _ in range(5)))
    status, report = replay(log, "--only-model=half", "--most=3")
    assert (status, report["sent"]) == (0, 3)


def test_a_log_that_is_cut_is_replayed_up_to_there_and_told_with_the_place(replay, tmp_path):
    log = write(tmp_path / "log", predict([1.0]), predict([2.0]))
    size = log.stat().st_size // 2
    log.write_bytes(log.read_bytes()[:-5])
    status, report = replay(log)
    assert (status, report["compared"]) == (1, 1)
    assert report["log_error"] == f"{log}, record at byte {size}: the file ends inside a record"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{broken}\n", "line at byte 0: it cannot be read: "),
        (line([1.0], [2.5]) + '{"time', f"line at byte {len(line([1.0], [2.5]))}: the file ends inside a line"),
    ],
)
def test_a_broken_line_is_told_with_its_place(replay, tmp_path, content, words):
    log = tmp_path / "log.jsonl"
    log.write_text(content)
    status, report = replay(log)
    assert status == 1
    assert report["log_error"].startswith(f"{log}, {words}")


def test_a_record_that_is_no_log_is_told_by_its_number(replay, tmp_path):
    from servable_client.tfrecord import write_records

    write_records(tmp_path / "log", [predict([1.0]).SerializeToString(), b"\xff\xff"])
    status, report = replay(tmp_path / "log")
    assert (status, report["sent"]) == (1, 1)
    assert report["log_error"] == f"{tmp_path}/log, record 1: it is no PredictionLog"


def test_a_file_that_is_not_there_is_one_line(replay, tmp_path):
    status, report = replay(tmp_path / "none")
    assert status == 1
    assert "No such file" in report["log_error"]


def test_calls_are_sent_at_their_times_and_those_of_a_second_are_spread_over_it(replay, tmp_path):
    log = write(tmp_path / "log", *(predict([1.0], time_s=1000 + index // 2) for index in range(4)))
    status, report = replay(log, pace=("--speed=10",))
    assert status == 0
    assert report["elapsed_s"] >= 0.15


def test_a_rate_is_kept(replay, tmp_path):
    log = write(tmp_path / "log", *(predict([1.0], time_s=1000 * index) for index in range(5)))
    status, report = replay(log, pace=("--rate=40",))
    assert status == 0
    assert 0.1 <= report["elapsed_s"] < 30


def test_a_log_without_times_is_sent_at_once_and_the_report_says_so(server, tmp_path, capsys):
    log = write(tmp_path / "log", predict([1.0]))
    assert main(["replay", str(log), server.address]) == 0
    out = capsys.readouterr().out
    assert "1 replies were compared, 0 differ" in out
    assert "the log does not say when calls were made: they were sent as fast as possible" in out


def test_a_warm_up_file_has_one_request_of_each_form_and_no_replies(tmp_path, capsys):
    log = write(tmp_path / "log", predict([1.0]), predict([2.0]), predict([1.0, 2.0]), predict([1.0], signature="s"))
    out = tmp_path / "warm"
    assert main(["replay", str(log), f"--warmup-file={out}"]) == 0
    assert capsys.readouterr().out == f"{out}: 3 requests written\n"
    logs = [wire.PredictionLog.FromString(record) for record in read_records(out)]
    assert [list(each.predict_log.request.inputs["x"].float_val) for each in logs] == [[1.0], [1.0, 2.0], [1.0]]
    assert not any(each.predict_log.HasField("response") for each in logs)


def test_a_warm_up_file_is_bounded_and_of_one_model(tmp_path, capsys):
    log = write(tmp_path / "log", *(predict([1.0] * n) for n in range(1, 9)), predict([1.0], model="other"))
    out = tmp_path / "warm"
    assert main(["replay", str(log), f"--warmup-file={out}"]) == 1
    assert "the log has requests for half, other: choose one with --only-model" in capsys.readouterr().err
    assert main(["replay", str(log), f"--warmup-file={out}", "--only-model=half", "--most=4"]) == 0
    assert len(list(read_records(out))) == 4


def test_a_target_is_required(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["replay", str(tmp_path)])
    assert end.value.code == 2
    assert "LOG... TARGET" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_report(server, tmp_path, number):
    log = write(tmp_path / "log", predict([1.0], time_s=1000), predict([1.0], time_s=100_000))
    command = [sys.executable, "-m", "servable_client.cli", "replay", str(log), server.address, "--json"]
    with subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, text=True) as process:
        server.wait_for()
        os.kill(process.pid, number)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    report = json.loads(out)
    assert (report["interrupted"], report["sent"], report["different"]) == (True, 1, 0)


def test_a_second_signal_ends_it_while_a_call_hangs(server, tmp_path):
    server.misbehave(Hang())
    log = write(tmp_path / "log", predict([1.0]))
    command = [sys.executable, "-m", "servable_client.cli", "replay", str(log), server.address]
    with subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        server.wait_for()
        process.send_signal(signal.SIGINT)
        # As somebody who sees it hang presses again: a signal that comes within the handling of another may be lost.
        for _ in range(20):
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=1)
                break
    assert process.returncode == 130
