"""Which calls are logged, and what is dropped and counted."""

import json
import threading

import pytest

from servable.calls import NO_CONTEXT
from servable.codec import tf_records
from servable.config.models import Collector, ModelConfig, RequestLogging
from servable.errors import Code, InvalidArgument
from servable.execution.tf_records import read
from servable.options import ServerOptions, validate
from servable.request_log.files import Limits
from servable.request_log.follower import make_request_log
from tests.request_log.calling import config, follow_fake, make_log


def values(log, name):
    (found,) = [family for family in log.families() if family.name == name]
    return found.values


def dropped(log):
    return values(log, "servable_request_log_dropped")


def statuses(log):
    return values(log, "/tensorflow/serving/request_log_count")


def records(folder):
    return [record for path in sorted(folder.iterdir()) for record in read(path)]


def draws(*numbers):
    """A source of random numbers that are not random."""
    return iter(numbers).__next__


def test_nothing_is_wanted_before_a_config_and_of_models_without_logs():
    log = make_log()
    assert not log.wants(NO_CONTEXT)
    log.apply([ModelConfig("m", "/unused")])
    assert not log.wants(NO_CONTEXT)
    log.stop()


def test_every_call_of_a_model_with_rate_one_is_logged_and_none_of_another(tmp_path):
    log = make_log()
    log.apply([config("m", tmp_path / "log"), ModelConfig("quiet", "/unused")])
    for model in ("m", "quiet", "m", "unknown"):
        follow_fake(log, model)
    log.stop()
    assert len(records(tmp_path)) == 2
    assert statuses(log) == {("m", "OK"): 2}
    assert dropped(log) == {}


def test_the_share_of_the_largest_rate_is_wanted_and_of_each_model_its_own(tmp_path):
    log = make_log(draw=draws(0.49, 0.5, 0.1, 0.24, 0.1, 0.26))
    log.apply([config("often", tmp_path / "log", rate=0.5), config("seldom", tmp_path / "log", rate=0.125)])
    assert follow_fake(log, "often")
    assert not follow_fake(log, "often")
    # The second draw of each leaves a quarter of the half.
    assert follow_fake(log, "seldom")
    assert follow_fake(log, "seldom")
    log.stop()
    assert statuses(log) == {("often", "OK"): 1, ("seldom", "OK"): 1}


def test_models_with_equal_collectors_share_a_file(tmp_path):
    log = make_log()
    log.apply([config("a", tmp_path / "log"), config("b", tmp_path / "log")])
    follow_fake(log, "a")
    follow_fake(log, "b")
    log.stop()
    assert len(list(tmp_path.iterdir())) == 1


def test_apis_that_are_no_inference_are_not_logged(tmp_path):
    log = make_log()
    log.apply([config("m", tmp_path / "log", "jsonl")])
    follow_fake(log, api="GetModelMetadata")
    follow_fake(log, api="GetModelStatus", code=Code.NOT_FOUND)
    log.stop()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_call_has_a_line_and_no_record(tmp_path):
    log = make_log()
    log.apply([config("m", tmp_path / "log"), config("j", tmp_path / "log", "jsonl")])
    for model in ("m", "j"):
        follow_fake(log, model, code=Code.INVALID_ARGUMENT, message=b"")
    log.stop()
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())["code"] == "INVALID_ARGUMENT"


def test_a_full_queue_drops_and_counts(tmp_path):
    log = make_log(most_bytes=100)
    log.apply([config("m", tmp_path / "log")])
    follow_fake(log)
    log.stop()
    assert dropped(log) == {("m", "queue"): 1}
    assert statuses(log) == {("m", "RESOURCE_EXHAUSTED"): 1}


def test_a_file_in_the_way_drops_and_counts_until_it_is_gone(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("servable.request_log.writer._RETRY_S", 0.0)
    caplog.set_level("INFO")
    (tmp_path / "logs").write_text("no folder")
    log = make_log()
    log.apply([config("m", tmp_path / "logs" / "log")])
    follow_fake(log)
    wait_until(lambda: dropped(log) == {("m", "disk"): 1})
    (tmp_path / "logs").unlink()
    follow_fake(log)
    wait_until(lambda: statuses(log) == {("m", "UNAVAILABLE"): 1, ("m", "OK"): 1})
    log.stop()
    assert len(records(tmp_path / "logs")) == 1
    assert [message.split(" (")[0].split("/")[-1] for message in caplog.messages] == [
        "log cannot be written",
        "log is written again",
    ]


def wait_until(holds):
    ended = threading.Event()
    for _ in range(6000):
        if holds():
            return
        ended.wait(0.01)
    raise AssertionError("it never came to that")


def test_a_log_that_is_no_longer_configured_is_finished(tmp_path):
    log = make_log()
    log.apply([config("m", tmp_path / "log")])
    follow_fake(log)
    log.apply([ModelConfig("m", "/unused")])
    wait_until(lambda: [path.suffix for path in tmp_path.iterdir()] == [".tfrecord"])
    assert not log.wants(NO_CONTEXT)
    log.stop()


def test_files_end_by_size(tmp_path):
    log = make_log(limits=Limits(file_bytes=1, file_s=3600.0, total_bytes=1 << 20))
    log.apply([config("m", tmp_path / "log")])
    for _ in range(3):
        follow_fake(log)
    log.stop()
    assert len(list(tmp_path.iterdir())) == 3


def test_nothing_is_written_after_the_stop(tmp_path):
    log = make_log()
    log.apply([config("m", tmp_path / "log")])
    log.stop()
    assert not follow_fake(log)


def test_a_record_holds_the_bytes_that_were_sent_and_answered(tmp_path):
    log = make_log()
    log.apply([config("m", tmp_path / "log")])
    follow_fake(log, message=b"\x12\x00", api="MultiInference")
    log.stop()
    (record,) = records(tmp_path)
    assert b"\x12\x00" in record
    assert b"reply" in record
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size == len(record) + tf_records.FRAME_BYTES


def test_flags_log_all_models_but_those_that_say_otherwise(tmp_path):
    options = ServerOptions(request_log=str(tmp_path / "all"), request_log_format="jsonl")
    log = make_request_log(options)
    own = ModelConfig("own", "/unused", logging=RequestLogging(Collector("tfrecord", str(tmp_path / "own")), 1.0))
    log.apply([ModelConfig("any", "/unused"), own])
    follow_fake(log, "any", message=b"", code=Code.INTERNAL)
    follow_fake(log, "own")
    log.stop()
    assert sorted(path.name.split(".")[0] for path in tmp_path.iterdir()) == ["all", "own"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"request_log_format": "csv"}, "request_log_format must be tfrecord or jsonl; was csv."),
        ({"request_log_sampling_rate": 1.5}, "request_log_sampling_rate must be from 0 to 1; was 1.5."),
        ({"request_log_rotate_s": 0.0}, "request_log_rotate_s must be above 0; was 0."),
        ({"request_log_rotate_mb": 0}, "request_log_rotate_mb must be from 1 to half"),
        ({"request_log_rotate_mb": 600}, "request_log_rotate_mb must be from 1 to half of request_log_max_mb"),
    ],
)
def test_flags_with_values_that_cannot_be_are_refused(flags, words):
    with pytest.raises(InvalidArgument, match=words):
        validate(ServerOptions(model_base_path="/m", **flags))


def test_a_store_that_nothing_writes_to_is_refused_and_changes_nothing(tmp_path):
    log = make_log()
    log.apply([config("m", tmp_path / "log")])
    with pytest.raises(InvalidArgument, match="cannot be written to nowhere://"):
        log.apply([config("m", "nowhere://bucket/log")])
    assert follow_fake(log)
    log.stop()
    assert len(records(tmp_path)) == 1
