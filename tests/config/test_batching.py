"""BatchingParameters files: every field, its default and its errors, in the original's words."""

import dataclasses

import pytest

from servable import wire
from servable.config import batching
from servable.config.batching import BatchingConfig, QueueLimits
from servable.errors import InvalidArgument, NotFound


def read(tmp_path, text):
    path = tmp_path / "parameters.txt"
    path.write_text(text)
    return batching.read(str(path))


def refused(tmp_path, text):
    with pytest.raises(InvalidArgument) as error:
        read(tmp_path, text)
    return error.value.message


@pytest.mark.behaviour("8.1", "every field of BatchingParameters is heeded")
def test_every_field_counts(tmp_path):
    config = read(
        tmp_path,
        """
        max_batch_size { value: 128 }
        batch_timeout_micros { value: 2500 }
        max_enqueued_batches { value: 7 }
        num_batch_threads { value: 3 }
        thread_pool_name { value: "mine" }
        allowed_batch_sizes: 8
        allowed_batch_sizes: 128
        pad_variable_length_inputs: true
        enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 64 }
        """,
    )
    limits = dataclasses.replace(config.limits, timeout_s=round(config.limits.timeout_s, 9))
    assert limits == QueueLimits(128, 64, 0.0025, 7, (8, 128), True, True, None)
    assert (config.threads, config.thread_name) == (3, "mine")


@pytest.mark.behaviour("8.1", "defaults of a file, and of no file")
def test_defaults_are_the_original_s():
    config = batching.from_message(wire.BatchingParameters())
    assert config == BatchingConfig(QueueLimits(1000, 1000, 0.0, 10, (), False, False, None), None, "batch_threads")


@pytest.mark.behaviour("8.1", "defaults of a file, and of no file")
def test_without_a_file_one_batch_of_a_queue_runs_at_a_time():
    config = BatchingConfig()
    assert config.limits == QueueLimits(1000, 1000, 0.0, 10, (), False, False, 1, 0.03)
    assert (config.threads, config.thread_name) == (None, "model_server_batch_threads")


@pytest.mark.behaviour("8.1", "max_execution_batch_size counts only with splitting, and is max_batch_size if absent")
def test_the_largest_batch_follows_from_the_largest_request_without_splitting(tmp_path):
    limits = read(tmp_path, "max_batch_size { value: 6 } max_execution_batch_size { value: 2 }").limits
    assert (limits.max_task_rows, limits.max_batch_rows, limits.splits) == (6, 6, False)


@pytest.mark.behaviour("8.1", "max_execution_batch_size counts only with splitting, and is max_batch_size if absent")
def test_splitting_without_an_execution_size_has_batches_of_the_largest_request(tmp_path):
    limits = read(tmp_path, "max_batch_size { value: 6 } enable_large_batch_splitting { value: true }").limits
    assert (limits.max_task_rows, limits.max_batch_rows) == (6, 6)


@pytest.mark.behaviour("8.1", "max_enqueued_batches of 0 is 1 without splitting")
def test_no_enqueued_batches_mean_one_without_splitting(tmp_path):
    assert read(tmp_path, "max_enqueued_batches { value: 0 }").limits.max_batches == 1


@pytest.mark.behaviour("8.1", "numbers out of range are refused in the original's words")
@pytest.mark.behaviour("8.3", "the last allowed size must be max_batch_size, sortedness is not checked")
@pytest.mark.behaviour(
    "13.12", "192 FinalAllowedBatchSizeLargerThanMaxBatchSizeRejected, 206 WrapSessionForBatchingConfigError"
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("num_batch_threads { value: -2 }", "num_batch_threads must be positive; was -2"),
        ("max_batch_size { value: 0 }", "input_batch_size_limit must be positive; was 0"),
        ("batch_timeout_micros { value: -5 }", "batch_timeout_micros must be non-negative; was -5"),
        (
            "max_enqueued_batches { value: 0 } enable_large_batch_splitting { value: true }",
            "max_enqueued_batches must be positive; was 0",
        ),
        (
            "max_batch_size { value: 2 } max_execution_batch_size { value: 4 } "
            "enable_large_batch_splitting { value: true }",
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
            "max_execution_batch_size; they were 2 and 4",
        ),
        (
            "allowed_batch_sizes: 2 allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 1000",
        ),
        (
            "max_batch_size { value: 8 } max_execution_batch_size { value: 4 } "
            "enable_large_batch_splitting { value: true } allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
    ],
)
def test_numbers_out_of_range_are_refused_in_the_original_s_words(tmp_path, text, message):
    assert refused(tmp_path, text) == message


@pytest.mark.behaviour("8.3", "the last allowed size must be max_batch_size, sortedness is not checked")
def test_allowed_sizes_need_not_be_sorted(tmp_path):
    text = "max_batch_size { value: 8 } allowed_batch_sizes: 4 allowed_batch_sizes: 2 allowed_batch_sizes: 8"
    assert read(tmp_path, text).limits.allowed_rows == (4, 2, 8)


@pytest.mark.behaviour("8.1", "a file that does not parse or is not there")
def test_a_file_that_does_not_parse_is_refused(tmp_path, capfd):
    assert refused(tmp_path, "nonsense") == f"Invalid protobuf file: '{tmp_path / 'parameters.txt'}'"


@pytest.mark.behaviour("8.1", "a file that does not parse or is not there")
def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        batching.read(str(tmp_path / "nowhere"))


@pytest.mark.behaviour("8.6", "a version's batching_params.pbtxt has its limits; without one it is not batched")
@pytest.mark.behaviour("13.12", "207 GetPerModelBatchingParams")
def test_a_version_without_a_file_of_its_own_is_not_batched(tmp_path):
    assert batching.read_per_model(tmp_path) is None
    assert batching.read_per_model(tmp_path / "nowhere") is None


@pytest.mark.behaviour("8.6", "a version's batching_params.pbtxt has its limits; without one it is not batched")
@pytest.mark.behaviour("13.12", "207 GetPerModelBatchingParams")
def test_a_version_s_file_sets_its_limits_and_its_threads_are_ignored(tmp_path):
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 5 } num_batch_threads { value: 0 }")
    assert batching.read_per_model(tmp_path) == QueueLimits(5, 5, batches_at_once=None)


@pytest.mark.behaviour("8.6", "a version's file that does not parse fails its load")
def test_a_version_s_file_that_does_not_parse_fails_it(tmp_path, capfd):
    path = tmp_path / "batching_params.pbtxt"
    path.write_text("max_batch_size: many")
    with pytest.raises(InvalidArgument) as error:
        batching.read_per_model(tmp_path)
    assert error.value.message == f"Invalid protobuf file: '{path}'"


@pytest.mark.behaviour("8.6", "threads come from the common file only, whose limits are ignored")
def test_where_versions_have_files_only_the_threads_of_the_common_one_count(tmp_path):
    path = tmp_path / "parameters.txt"
    path.write_text('max_batch_size { value: 0 } num_batch_threads { value: 3 } thread_pool_name { value: "mine" }')
    config = batching.read_threads(str(path))
    assert (config.threads, config.thread_name) == (3, "mine")
