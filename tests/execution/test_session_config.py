"""The session's ConfigProto: from flags and their file; what assets.extra/saved_model_config.pb of a version overrides.

The file of a version never fails a load.
"""

import shutil

import pytest
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

from servable import wire
from servable.errors import InvalidArgument, NotFound
from servable.execution import session_config
from servable.execution.loader import SavedModelLoader
from servable.options import ServerOptions
from tests.execution.running import floats, run

XLA_VARIABLE = "TF_XLA_FLAGS"
OFF = wire.SavedModelConfig(session_overrides=wire.SessionOverrides(disable_meta_optimizer=True))


@pytest.fixture(autouse=True)
def no_xla_flags(monkeypatch):
    # Set, then deleted, so that monkeypatch also undoes what the code under test sets.
    monkeypatch.setenv(XLA_VARIABLE, "")
    monkeypatch.delenv(XLA_VARIABLE)


def make(**flags):
    return session_config.from_flags(ServerOptions(**flags))


def threads(config):
    return config.intra_op_parallelism_threads, config.inter_op_parallelism_threads


@pytest.fixture
def config_file(tmp_path):
    def write(text):
        (tmp_path / "session.config").write_text(text)
        return str(tmp_path / "session.config")

    return write


def test_no_flag_leaves_all_but_xla_to_tensorflow():
    expected = config_pb2.ConfigProto(gpu_options=config_pb2.GPUOptions())
    expected.graph_options.optimizer_options.global_jit_level = config_pb2.OptimizerOptions.OFF
    assert make() == expected


@pytest.mark.behaviour("5", "--tensorflow_session_parallelism")
@pytest.mark.behaviour("5", "--tensorflow_intra_op_parallelism")
@pytest.mark.behaviour("5", "--tensorflow_inter_op_parallelism")
@pytest.mark.parametrize(
    ("session", "intra", "inter", "expected"),
    [
        (0, 0, 0, (0, 0)),
        (3, 0, 0, (3, 3)),
        (0, 2, 0, (2, 0)),
        (0, 0, 5, (0, 5)),
        (0, 2, 5, (2, 5)),
        (3, 2, 0, (2, 0)),
        (3, 0, 5, (0, 5)),
    ],
)
def test_threads(session, intra, inter, expected):
    config = make(
        tensorflow_session_parallelism=session,
        tensorflow_intra_op_parallelism=intra,
        tensorflow_inter_op_parallelism=inter,
    )
    assert threads(config) == expected


@pytest.mark.behaviour("5", "--per_process_gpu_memory_fraction")
def test_the_share_of_gpu_memory():
    assert make(per_process_gpu_memory_fraction=0.25).gpu_options.per_process_gpu_memory_fraction == 0.25


@pytest.mark.behaviour("5", "--tensorflow_session_config_file")
@pytest.mark.behaviour("5", "--per_process_gpu_memory_fraction")
def test_flags_override_a_file_even_with_their_defaults(config_file):
    path = config_file(
        "intra_op_parallelism_threads: 7 inter_op_parallelism_threads: 8 "
        "gpu_options { per_process_gpu_memory_fraction: 0.5 allow_growth: true } log_device_placement: true"
    )
    config = make(tensorflow_session_config_file=path)
    assert threads(config) == (0, 0)
    assert config.gpu_options == config_pb2.GPUOptions(allow_growth=True)
    assert config.log_device_placement
    assert threads(make(tensorflow_session_config_file=path, tensorflow_session_parallelism=2)) == (2, 2)


@pytest.mark.behaviour("5", "--tensorflow_session_config_file")
def test_a_file_that_is_not_there_is_reported(tmp_path):
    with pytest.raises(NotFound, match=f"{tmp_path}/none; No such file or directory"):
        make(tensorflow_session_config_file=f"{tmp_path}/none")


@pytest.mark.behaviour("5", "--tensorflow_session_config_file")
def test_a_file_that_holds_something_else_is_reported(config_file, capfd):
    path = config_file("no_such_field: 1")
    with pytest.raises(InvalidArgument, match=f"Invalid protobuf file: '{path}'"):
        make(tensorflow_session_config_file=path)
    assert "Error parsing text-format tensorflow.ConfigProto: 1:1: " in capfd.readouterr().err


@pytest.mark.behaviour("5", "--mixed_precision")
def test_bfloat16_rewrites_graphs():
    rewriting = make(mixed_precision="bfloat16").graph_options.rewrite_options
    assert rewriting.auto_mixed_precision_onednn_bfloat16 == rewriter_config_pb2.RewriterConfig.ON


@pytest.mark.behaviour("5", "--mixed_precision")
@pytest.mark.parametrize("precision", ["float16", "BFLOAT16", " "])
def test_another_precision_is_ignored_with_a_warning(precision, caplog):
    assert make(mixed_precision=precision) == make()
    assert f"--mixed_precision={precision} has no effect" in caplog.text


@pytest.mark.behaviour("5", "--xla_cpu_compilation_enabled")
@pytest.mark.behaviour("5", "--xla_gpu_compilation_enabled")
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_xla_is_asked_for(device):
    config = make(**{f"xla_{device}_compilation_enabled": True})
    assert config.graph_options.optimizer_options.global_jit_level == config_pb2.OptimizerOptions.ON_1


def test_xla_is_off_unless_asked_for_even_where_a_file_turns_it_on(config_file):
    path = config_file("graph_options { optimizer_options { global_jit_level: ON_2 } }")
    config = make(tensorflow_session_config_file=path)
    assert config.graph_options.optimizer_options.global_jit_level == config_pb2.OptimizerOptions.OFF


@pytest.mark.behaviour("5", "--xla_cpu_compilation_enabled")
def test_xla_on_the_cpu_needs_tensorflows_own_flag_beside_those_that_are_set(monkeypatch):
    monkeypatch.setenv(XLA_VARIABLE, "--tf_xla_min_cluster_size=2")
    make(xla_gpu_compilation_enabled=True)
    assert session_config.os.environ[XLA_VARIABLE] == "--tf_xla_min_cluster_size=2"
    make(xla_cpu_compilation_enabled=True)
    assert session_config.os.environ[XLA_VARIABLE] == "--tf_xla_min_cluster_size=2 --tf_xla_cpu_global_jit"


@pytest.mark.behaviour("5", "--xla_gpu_compilation_enabled")
@pytest.mark.parametrize(
    "flags",
    [
        {"tensorflow_session_parallelism": 1},
        {"mixed_precision": "bfloat16"},
        {"xla_gpu_compilation_enabled": True},
        {"per_process_gpu_memory_fraction": 0.5},
    ],
)
def test_tensorflow_takes_the_config(models, flags):
    model = SavedModelLoader(config=make(**flags))(models.version_path("half_plus_two"))
    assert run(model, "serving_default", {"x": floats(2.0)}) == {"y": [[3.0]]}
    model.close()


@pytest.fixture
def version(tmp_path):
    """Writes a version directory's file, and returns the directory."""

    def write(content):
        path = tmp_path / session_config.OVERRIDES_FILE
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
        return tmp_path

    return write


def is_off(config):
    return config.graph_options.rewrite_options.disable_meta_optimizer


def field(number, content=b""):
    """A message field on the wire."""
    return bytes([number << 3 | 2, len(content)]) + content


@pytest.mark.behaviour("7.3", "saved_model_config.pb: session_overrides set disable_meta_optimizer for that model")
def test_the_meta_optimizer_goes_off_for_that_model_only(version):
    base = config_pb2.ConfigProto(inter_op_parallelism_threads=3)
    config = session_config.for_version(base, version(OFF))
    assert is_off(config)
    assert config.inter_op_parallelism_threads == 3
    assert not is_off(base)


def test_without_a_base_the_rest_is_tensorflow_s_own(version):
    expected = config_pb2.ConfigProto()
    expected.graph_options.rewrite_options.disable_meta_optimizer = True
    assert session_config.for_version(None, version(OFF)) == expected


@pytest.mark.behaviour("7.3", "saved_model_config.pb: session_overrides set disable_meta_optimizer for that model")
def test_overrides_that_do_not_mention_it_turn_it_on(version):
    base = config_pb2.ConfigProto()
    base.graph_options.rewrite_options.disable_meta_optimizer = True
    assert not is_off(session_config.for_version(base, version(wire.SavedModelConfig(session_overrides={}))))


@pytest.mark.behaviour(
    "7.3",
    "saved_model_config.pb: other fields are passed over; rewriters that TensorFlow's Python package "
    "lacks are warned of",
)
@pytest.mark.parametrize("content", [b"", wire.SavedModelConfig(critical=True), field(2, b"tfrt")])
def test_a_file_without_overrides_changes_nothing(version, content, caplog):
    base = config_pb2.ConfigProto()
    assert session_config.for_version(base, version(content)) is base
    assert caplog.records == []


def test_no_file_changes_nothing(tmp_path, caplog):
    assert session_config.for_version(None, tmp_path) is None
    assert caplog.records == []


@pytest.mark.behaviour("7.3", "saved_model_config.pb: a file that does not parse is only warned of")
def test_a_file_that_does_not_parse_is_logged_and_ignored(version, caplog):
    base = config_pb2.ConfigProto()
    directory = version(b"\xff\xff\xff")
    assert session_config.for_version(base, directory) is base
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"{directory / session_config.OVERRIDES_FILE} is ignored: " in record.getMessage()


@pytest.mark.behaviour("7.3", "saved_model_config.pb: a file that does not parse is only warned of")
def test_a_file_that_cannot_be_read_is_logged_and_ignored(tmp_path, caplog):
    (tmp_path / session_config.OVERRIDES_FILE).mkdir(parents=True)
    assert session_config.for_version(None, tmp_path) is None
    assert "saved_model_config.pb is ignored: " in caplog.text


@pytest.mark.behaviour(
    "7.3",
    "saved_model_config.pb: other fields are passed over; rewriters that TensorFlow's Python package "
    "lacks are warned of",
)
def test_rewriters_that_tensorflow_s_python_package_lacks_are_logged(version, caplog):
    overrides = field(1) + field(2, b"\x0a\x00") + bytes([3 << 3, 1])
    assert is_off(session_config.for_version(None, version(field(1, overrides))))
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        f"session_overrides.{name} has no effect; TensorFlow's Python package lacks this rewriter"
        for name in ("remote_op_remap_config", "batch_op_rewriter_config")
    ]


@pytest.mark.behaviour("7.3", "saved_model_config.pb: session_overrides set disable_meta_optimizer for that model")
@pytest.mark.parametrize(("content", "off"), [(OFF.SerializeToString(), True), (b"\xff\xff\xff", False)])
def test_a_load_applies_the_overrides_and_ignores_a_file_that_does_not_parse(models, tmp_path, content, off):
    directory = shutil.copytree(models.version_path("half_plus_two"), tmp_path / "1")
    (directory / session_config.OVERRIDES_FILE).parent.mkdir(exist_ok=True)
    (directory / session_config.OVERRIDES_FILE).write_bytes(content)
    model = SavedModelLoader(config=config_pb2.ConfigProto())(directory)
    assert is_off(model._session._session._config) is off
    assert run(model, "serving_default", {"x": floats(2.0)}) == {"y": [[3.0]]}
    model.close()
