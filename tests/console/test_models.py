"""What the page is told of models."""

import dataclasses
import json

import pytest

from servable import wire
from servable.console.models import MOST_MODELS, Models
from servable.errors import InvalidArgument
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import ServableId, State, VersionState
from servable.routing import Router
from servable.servables import Handle
from servable.signatures import prepare


class Loaded:
    """A version of some signatures."""

    def __init__(self, **signatures):
        self.signatures = {key: prepare(key, definition) for key, definition in signatures.items()}


@dataclasses.dataclass
class Took:
    seconds: float
    resident_bytes: int


def info(dtype, *sizes):
    shape = wire.TensorShapeProto(dim=[wire.TensorShapeProto.Dim(size=size) for size in sizes])
    return wire.TensorInfo(name="t:0", dtype=dtype, tensor_shape=shape)


def definition(inputs, outputs, method="predict"):
    return wire.SignatureDef(inputs=inputs, outputs=outputs, method_name=f"tensorflow/serving/{method}")


IMAGE = {"image": info(wire.DT_FLOAT, -1, 8, 8)}
DIGIT = {"digit": info(wire.DT_INT64, -1)}
EXAMPLES = {"inputs": info(wire.DT_STRING, -1)}
SCORES = {"scores": info(wire.DT_FLOAT, -1, 10)}


@pytest.fixture
def router():
    return Router()


@pytest.fixture
def monitor():
    return StateMonitor()


@pytest.fixture
def models(router, monitor):
    return Models(router, monitor, lambda _version: Took(1.5, 2**20))


def publish(monitor, name, version, state, error=None):
    monitor.publish(ServableId(name, version), VersionState(state, error))


def described(models, name="m"):
    return next(model for model in models.describe()["models"] if model["name"] == name)


def test_a_version_that_serves_has_its_load_and_labels(models, router, monitor):
    router.add(Handle("m", 3, Loaded(serving_default=definition(IMAGE, DIGIT))))
    router.relabel({"m": {"stable": 3}})
    publish(monitor, "m", 3, State.AVAILABLE)
    model = described(models)
    assert model["labels"] == {"stable": 3}
    assert model["versions"] == [
        {"version": "3", "state": "available", "error": None, "load_seconds": 1.5, "memory_bytes": 2**20}
    ]


def test_a_version_that_failed_says_why(models, monitor):
    publish(monitor, "m", 1, State.END, InvalidArgument("cut off"))
    (version,) = described(models)["versions"]
    assert (version["state"], version["error"], version["load_seconds"]) == ("failed", "cut off", None)


def test_all_versions_are_told_that_have_not_ended_and_a_few_that_have(models, monitor):
    for version in range(100):
        publish(monitor, "m", version, State.END)
    publish(monitor, "m", 2, State.AVAILABLE)
    model = described(models)
    assert [version["version"] for version in model["versions"]] == ["99", "98", "97", "96", "95", "2"]
    assert model["version_count"] == 100


def test_a_version_of_64_bits_keeps_all_its_digits(models, monitor):
    publish(monitor, "m", 2**63 - 1, State.AVAILABLE)
    assert described(models)["versions"][0]["version"] == "9223372036854775807"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("a/b", "v1/models/a%2Fb"),
        ("<script>", "v1/models/%3Cscript%3E"),
        ("größe", "v1/models/gr%C3%B6%C3%9Fe"),
        ("\udcff", "v1/models/%FF"),
        ("..", None),
        ("", None),
    ],
)
def test_a_model_of_any_name_has_its_url_and_can_be_told_in_json(models, monitor, name, url):
    publish(monitor, name, 1, State.AVAILABLE)
    assert described(models, name)["url"] == url
    assert json.loads(json.dumps(models.describe()))


def test_the_number_of_models_is_bounded_and_the_others_are_counted(models, monitor):
    for number in range(MOST_MODELS + 3):
        publish(monitor, f"m{number}", 1, State.START)
    everything = models.describe()
    assert (len(everything["models"]), everything["not_shown"]) == (MOST_MODELS, 3)


def test_the_revision_changes_with_states_and_labels_and_not_without(models, router, monitor):
    revisions = [models.revision(), models.revision()]
    publish(monitor, "m", 1, State.LOADING)
    revisions += [models.revision(), models.revision()]
    router.relabel({"m": {"stable": 1}})
    revisions += [models.revision(), models.revision()]
    assert [revisions.index(each) for each in revisions] == [0, 0, 2, 2, 4, 4]


def signatures_of(router, models, **signatures):
    router.add(Handle("m", 1, Loaded(**signatures)))
    return {each["key"]: each for each in models.describe_signatures("m", 1)}


def test_a_signature_has_its_inputs_and_outputs(models, router):
    (signature,) = signatures_of(router, models, serving_default=definition(IMAGE, DIGIT)).values()
    assert signature["inputs"] == [{"name": "image", "dtype": "float", "shape": [None, 8, 8]}]
    assert signature["outputs"] == [{"name": "digit", "dtype": "int64", "shape": [None]}]
    assert signature["apis"] == ["predict"]


def test_a_shape_of_an_open_rank_is_none(models, router):
    tensor = wire.TensorInfo(name="t:0", dtype=wire.DT_FLOAT, tensor_shape=wire.TensorShapeProto(unknown_rank=True))
    (signature,) = signatures_of(router, models, s=definition({"x": tensor}, DIGIT)).values()
    assert signature["inputs"][0]["shape"] is None


def test_the_api_comes_first_for_which_a_signature_was_made(models, router):
    found = signatures_of(
        router,
        models,
        made_for_classify=definition(EXAMPLES, SCORES, "classify"),
        made_for_predict=definition(EXAMPLES, SCORES),
        made_for_regress=definition(EXAMPLES, {"outputs": info(wire.DT_FLOAT, -1)}, "regress"),
    )
    assert {key: each["apis"] for key, each in found.items()} == {
        "made_for_classify": ["classify", "predict"],
        "made_for_predict": ["predict", "classify"],
        "made_for_regress": ["regress", "predict"],
    }


def test_where_method_names_are_checked_only_the_named_api_remains(router, monitor):
    models = Models(router, monitor, lambda _version: None, check_method_name=True)
    found = signatures_of(router, models, s=definition(EXAMPLES, SCORES))
    assert found["s"]["apis"] == ["predict"]


def test_what_json_cannot_carry_has_no_api(models, router):
    (signature,) = signatures_of(router, models, s=definition({"x": info(wire.DT_HALF, -1)}, DIGIT)).values()
    assert signature["apis"] == []
    assert signature["inputs"][0]["dtype"] == "half"


def test_a_version_that_is_not_loaded_has_no_signatures(models):
    assert models.describe_signatures("m", 1) is None
