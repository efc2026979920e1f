"""assets.extra/saved_model_config.pb: what it changes in a session's options, and that it never fails a load."""

import shutil

import pytest
from tensorflow.core.protobuf import config_pb2

from servable import wire
from servable.execution import session_overrides
from servable.execution.loader import SavedModelLoader
from tests.execution.running import floats, run

OFF = wire.SavedModelConfig(session_overrides=wire.SessionOverrides(disable_meta_optimizer=True))


@pytest.fixture
def version(tmp_path):
    """Writes a version directory's file, and gives the directory."""

    def write(content):
        path = tmp_path / session_overrides.CONFIG_FILE
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
    config = session_overrides.config_for(base, version(OFF))
    assert is_off(config)
    assert config.inter_op_parallelism_threads == 3
    assert not is_off(base)


def test_without_a_base_the_rest_is_tensorflow_s_own(version):
    expected = config_pb2.ConfigProto()
    expected.graph_options.rewrite_options.disable_meta_optimizer = True
    assert session_overrides.config_for(None, version(OFF)) == expected


@pytest.mark.behaviour("7.3", "saved_model_config.pb: session_overrides set disable_meta_optimizer for that model")
def test_overrides_that_do_not_mention_it_turn_it_on(version):
    base = config_pb2.ConfigProto()
    base.graph_options.rewrite_options.disable_meta_optimizer = True
    assert not is_off(session_overrides.config_for(base, version(wire.SavedModelConfig(session_overrides={}))))


@pytest.mark.behaviour(
    "7.3",
    "saved_model_config.pb: other fields are passed over; rewriters that TensorFlow's Python package "
    "lacks are warned of",
)
@pytest.mark.parametrize("content", [b"", wire.SavedModelConfig(critical=True), field(2, b"tfrt")])
def test_a_file_without_overrides_changes_nothing(version, content, caplog):
    base = config_pb2.ConfigProto()
    assert session_overrides.config_for(base, version(content)) is base
    assert caplog.records == []


def test_no_file_changes_nothing(tmp_path, caplog):
    assert session_overrides.config_for(None, tmp_path) is None
    assert caplog.records == []


@pytest.mark.behaviour("7.3", "saved_model_config.pb: a file that does not parse is only warned of")
def test_a_file_that_does_not_parse_is_told_and_passed_over(version, caplog):
    base = config_pb2.ConfigProto()
    directory = version(b"\xff\xff\xff")
    assert session_overrides.config_for(base, directory) is base
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"{directory / session_overrides.CONFIG_FILE} is passed over: " in record.getMessage()


@pytest.mark.behaviour("7.3", "saved_model_config.pb: a file that does not parse is only warned of")
def test_a_file_that_cannot_be_read_is_told_and_passed_over(tmp_path, caplog):
    (tmp_path / session_overrides.CONFIG_FILE).mkdir(parents=True)
    assert session_overrides.config_for(None, tmp_path) is None
    assert "saved_model_config.pb is passed over: " in caplog.text


@pytest.mark.behaviour(
    "7.3",
    "saved_model_config.pb: other fields are passed over; rewriters that TensorFlow's Python package "
    "lacks are warned of",
)
def test_rewriters_that_tensorflow_s_python_package_lacks_are_told(version, caplog):
    overrides = field(1) + field(2, b"\x0a\x00") + bytes([3 << 3, 1])
    assert is_off(session_overrides.config_for(None, version(field(1, overrides))))
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        f"session_overrides.{name} has no effect; TensorFlow's Python package lacks this rewriter"
        for name in ("remote_op_remap_config", "batch_op_rewriter_config")
    ]


@pytest.mark.behaviour("7.3", "saved_model_config.pb: session_overrides set disable_meta_optimizer for that model")
@pytest.mark.parametrize(("content", "off"), [(OFF.SerializeToString(), True), (b"\xff\xff\xff", False)])
def test_a_load_takes_the_overrides_and_goes_on_past_a_file_that_does_not_parse(models, tmp_path, content, off):
    directory = shutil.copytree(models.version_path("half_plus_two"), tmp_path / "1")
    (directory / session_overrides.CONFIG_FILE).parent.mkdir(exist_ok=True)
    (directory / session_overrides.CONFIG_FILE).write_bytes(content)
    model = SavedModelLoader(config=config_pb2.ConfigProto())(directory)
    assert is_off(model._session._session._config) is off
    assert run(model, "serving_default", {"x": floats(2.0)}) == {"y": [[3.0]]}
    model.close()
