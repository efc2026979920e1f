"""Models from a file, a message or two flags: which configs are refused, in which words and order."""

import logging

import pytest

from servable import wire
from servable.config import models
from servable.config.models import All, Collector, Latest, ModelConfig, RequestLogging, Specific
from servable.errors import FailedPrecondition, InvalidArgument, NotFound, Unimplemented


def model(name="m", base_path="/m", model_platform="tensorflow", **fields):
    return wire.ModelConfig(name=name, base_path=base_path, model_platform=model_platform, **fields)


def read(*configs):
    return models.from_message(wire.ModelServerConfig(model_config_list=wire.ModelConfigList(config=configs)))


def refusal(*configs):
    with pytest.raises(InvalidArgument) as caught:
        read(*configs)
    return caught.value.message


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "models"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.behaviour("6.1", "a ModelServerConfig of models in their order")
def test_a_file_of_models_is_read_in_its_order(write):
    path = write("""
        model_config_list {
          config {
            name: "half"  base_path: "/models/half"  model_platform: "tensorflow"
            model_version_policy { specific { versions: 2  versions: 1 } }
            version_labels { key: "stable"  value: 1 }
            version_labels { key: "canary"  value: 2 }
          }
          config { name: "double"  base_path: "gs://bucket/double/"  model_platform: "tensorflow" }
        }
    """)
    assert models.read(path) == (
        ModelConfig("half", "/models/half", Specific((2, 1)), {"stable": 1, "canary": 2}),
        ModelConfig("double", "gs://bucket/double/", Latest(1), {}),
    )


def test_a_missing_file_is_not_found():
    with pytest.raises(NotFound):
        models.read("/no/such/file")


@pytest.mark.behaviour("6.1", "--model_name and --model_base_path are a list of one model of the platform tensorflow")
def test_flags_make_one_model_of_the_latest_version():
    assert models.from_flags("default", "/m") == (ModelConfig("default", "/m", Latest(1), {}),)


@pytest.mark.behaviour("13.14", "252 to 257, rules for absolute and relative paths")
def test_flags_with_a_relative_path_are_refused_as_in_a_file():
    with pytest.raises(InvalidArgument) as caught:
        models.from_flags("default", "m")
    assert caught.value.message == ("Expected model default to have an absolute path or URI; got base_path()=m")


def test_a_config_without_models_is_no_models(write):
    assert models.read(write("model_config_list {}")) == ()


@pytest.mark.behaviour("6.1", "a config that sets neither is taken, and the first reload is then like a start")
@pytest.mark.behaviour("6.1", "a config that is not set asks for no change")
def test_a_file_that_sets_no_config_asks_for_no_change(write):
    assert models.read(write("# nothing")) is None


@pytest.mark.behaviour("6.1", "a config that sets neither is taken, and the first reload is then like a start")
@pytest.mark.behaviour("6.1", "a config that is not set asks for no change")
def test_a_config_that_is_not_set_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        assert models.from_message(wire.ModelServerConfig()) is None
    assert caplog.messages == ["Taking no action for empty config."]


@pytest.mark.behaviour("6.1", "a custom_model_config at the start; ours: an error, not an abort")
def test_a_custom_config_is_refused(write):
    with pytest.raises(Unimplemented) as caught:
        models.read(write("custom_model_config {}"))
    assert caught.value.message == "ModelServer does not yet support custom model config."


@pytest.mark.behaviour("6.2", "a list does not give way to a custom config")
@pytest.mark.behaviour("6.2", "list to custom transition")
@pytest.mark.behaviour("13.14", "259 and 260, a list to a custom config and back")
def test_models_that_are_served_cannot_be_replaced_by_a_custom_config(write):
    with pytest.raises(FailedPrecondition) as caught:
        models.read(write("custom_model_config {}"), served=["m"])
    assert caught.value.message == (
        "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to another."
    )


@pytest.mark.behaviour("6.2", "a name twice, bad paths, type and platform, the platform that changes")
@pytest.mark.behaviour("6.2", "platform changed on reload")
def test_a_model_that_is_served_keeps_its_platform():
    changed = wire.ModelConfigList(config=[model("new", model_platform="pytorch"), model("m", model_platform="caffe")])
    with pytest.raises(InvalidArgument) as caught:
        models.from_list(changed, served=["m"])
    assert caught.value.message == (
        "Illegal to change a model's platform. For model m platform was tensorflow and new platform requested is caffe"
    )


POLICY = wire.FileSystemStoragePathSourceConfig.ServableVersionPolicy


@pytest.mark.behaviour("6.1", "the version policies")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (POLICY(), Latest(1)),
        (POLICY(latest=POLICY.Latest()), Latest(1)),
        (POLICY(latest=POLICY.Latest(num_versions=0)), Latest(1)),
        (POLICY(latest=POLICY.Latest(num_versions=3)), Latest(3)),
        (POLICY(all=POLICY.All()), All()),
        (POLICY(specific=POLICY.Specific()), Specific(())),
        (POLICY(specific=POLICY.Specific(versions=[5, -1, 5])), Specific((5, -1, 5))),
    ],
)
def test_a_version_policy(policy, expected):
    assert read(model(model_version_policy=policy))[0].version_policy == expected


@pytest.mark.behaviour("6.2", "models may share a base path, and a slash at its end is fine")
def test_several_models_may_share_a_path_and_labels_a_version():
    first, second = read(model("a", version_labels={"x": 1, "y": 1}), model("b"))
    assert first.base_path == second.base_path
    assert first.labels == {"x": 1, "y": 1}


def test_a_model_cannot_be_changed_and_is_hashable():
    [made] = read(model(version_labels={"x": 1}))
    with pytest.raises(TypeError):
        made.labels["x"] = 2
    assert {made, made} == {made}


@pytest.mark.behaviour("6.2", "a name twice, bad paths, type and platform, the platform that changes")
def test_a_name_listed_twice_is_refused():
    assert refusal(model("a"), model("b"), model("a")) == ("Illegal to list model a multiple times in config list")


@pytest.mark.behaviour("6.2", "a name twice, bad paths, type and platform, the platform that changes")
@pytest.mark.behaviour("13.14", "252 to 257, rules for absolute and relative paths")
@pytest.mark.parametrize("path", ["", "m", "./m", "~/m", "file:/m", ":m", "1a://m", "C://m", "g+s://m"])
def test_a_path_that_is_neither_absolute_nor_a_uri_is_refused(path):
    assert refusal(model(base_path=path)) == (
        f"Expected model m to have an absolute path or URI; got base_path()={path}"
    )


@pytest.mark.behaviour("13.14", "252 to 257, rules for absolute and relative paths")
@pytest.mark.parametrize("path", ["/", "/m", "//m", "/m/", "gs://bucket/m", "s3://", "hdfs://host:1/m", "a.1://m"])
def test_an_absolute_path_or_a_uri_is_kept_as_it_is(path):
    assert read(model(base_path=path))[0].base_path == path


@pytest.mark.behaviour("6.2", "a name twice, bad paths, type and platform, the platform that changes")
@pytest.mark.parametrize("model_type", [wire.TENSORFLOW, wire.OTHER, 7])
def test_type_and_platform_together_are_refused(model_type):
    assert refusal(model(model_type=model_type)) == (
        "Illegal setting both ModelServerConfig::model_type (deprecated) and "
        "ModelServerConfig::model_platform, model name is m"
    )


@pytest.mark.behaviour("6.2", "a name twice, bad paths, type and platform, the platform that changes")
@pytest.mark.parametrize("model_type", [wire.OTHER, 7])
def test_a_type_other_than_tensorflow_is_refused(model_type):
    assert refusal(model(model_platform="", model_type=model_type)) == (
        f"ModelServerConfig::model_type choice {model_type} not supported."
    )


@pytest.mark.behaviour("6.2", "a name twice, bad paths, type and platform, the platform that changes")
def test_neither_type_nor_platform_is_refused():
    assert refusal(model(model_platform="")) == (
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
        "ModelServerConfig::model_platform, model name is m"
    )


@pytest.mark.behaviour("6.2", "a name twice, bad paths, type and platform, the platform that changes")
@pytest.mark.parametrize("platform", ["pytorch", "TensorFlow", " tensorflow"])
def test_another_platform_is_refused(platform):
    assert refusal(model(model_platform=platform)) == f"Model m requests unsupported platform {platform}"


@pytest.mark.behaviour("6.2", "model_type TENSORFLOW still works")
def test_the_deprecated_type_tensorflow_still_works_and_is_warned_of(caplog):
    assert read(model(model_platform="", model_type=wire.TENSORFLOW))[0].name == "m"
    assert caplog.messages == [
        "Deprecated ModelServerConfig::model_type field used. Prefer ModelServerConfig::model_platform."
    ]


def logged(kind="tfrecord", prefix="/logs/m", rate=0.25):
    config = wire.LoggingConfig()
    config.log_collector_config.type, config.log_collector_config.filename_prefix = kind, prefix
    config.sampling_config.sampling_rate = rate
    return model(logging_config=config)


def test_a_model_may_be_logged():
    assert read(logged())[0].logging == RequestLogging(Collector("tfrecord", "/logs/m"), 0.25)
    assert read(model())[0].logging is None


def test_a_sampling_rate_of_zero_is_warned_of(caplog):
    assert read(logged(rate=0.0))[0].logging.sampling_rate == 0
    assert caplog.messages == ["The sampling_rate of model m is 0: none of its requests will be logged."]


@pytest.mark.parametrize(
    "config", [model(logging_config=wire.LoggingConfig()), logged(kind="kafka"), logged(prefix="")]
)
def test_request_logs_that_are_not_written_are_refused_with_the_words_of_the_original(config):
    assert refusal(config) == "No request-logger-creator provided."


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_a_sampling_rate_that_is_no_share_is_refused(rate):
    assert refusal(logged(rate=rate)) == f"The sampling_rate of model m must be from 0 to 1; was {rate:g}."


def test_request_logs_are_refused_where_the_config_may_not_ask_for_them():
    with pytest.raises(InvalidArgument, match=r"No request-logger-creator provided\."):
        models.from_list(wire.ModelConfigList(config=[logged()]), may_log=False)
    assert models.from_list(wire.ModelConfigList(config=[model()]), may_log=False)


# Each is wrong in its own way, in the order of the checks.
FAULTS = [
    (model("twice", logging_config=wire.LoggingConfig()), "Illegal to list model twice"),
    (model("relative", base_path="m"), "Expected model relative"),
    (model("unknown", model_platform="pytorch"), "Model unknown requests"),
    (model("logged", logging_config=wire.LoggingConfig()), "No request-logger-creator"),
]


@pytest.mark.behaviour("6.2", "the order of the checks")
@pytest.mark.parametrize("first", range(len(FAULTS)))
def test_names_are_checked_before_paths_and_paths_before_platforms_over_all_models(first):
    configs = [config for config, _ in reversed(FAULTS[first:])]
    if first == 0:
        configs.append(FAULTS[0][0])
    assert refusal(*configs).startswith(FAULTS[first][1])


@pytest.mark.behaviour("6.2", "the order of the checks")
def test_platforms_are_checked_model_by_model():
    configs = [model("a", model_platform="pytorch"), model("b", model_platform="")]
    assert refusal(*configs) == "Model a requests unsupported platform pytorch"
    assert refusal(*reversed(configs)).endswith("model name is b")
