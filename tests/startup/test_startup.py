"""What a server says once it has started."""

from servable import wire
from servable.errors import DataLoss
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import ServableId, State, VersionState
from servable.servables import Handle
from servable.signatures import prepare
from servable.startup import describe_models, suggest_call


class Model:
    """A servable with signatures; each input is a dtype and a shape."""

    queue_limits = None

    def __init__(self, **signatures):
        self.signatures = {key: prepare(key, self._define(inputs)) for key, inputs in signatures.items()}

    @staticmethod
    def _define(inputs):
        definition = wire.SignatureDef()
        for name, (dtype, sizes) in inputs.items():
            info = definition.inputs[name]
            info.name, info.dtype = f"{name}:0", dtype
            if sizes is None:
                info.tensor_shape.unknown_rank = True
            else:
                info.tensor_shape.dim.extend(wire.TensorShapeProto.Dim(size=size) for size in sizes)
        definition.outputs["y"].name = "y:0"
        return definition


FLOATS = {"x": (wire.DT_FLOAT, (-1, 3))}
STRINGS = {"x": (wire.DT_STRING, (-1,))}


def suggest(*models, address="0.0.0.0:8500", has_tls=False):
    handles = [Handle(name, 1, model) for name, model in zip("mno", models, strict=False)]
    call = suggest_call(handles, address, has_tls=has_tls)
    # It may have a path before it, where it is not on the PATH.
    assert call.partition(" ")[0].endswith("servable-client")
    return "servable-client " + call.partition(" ")[2]


def test_the_default_signature_is_suggested_first():
    assert suggest(Model(a=FLOATS, serving_default=FLOATS)) == "servable-client predict -a 127.0.0.1:8500 -m m --zeros"


def test_another_signature_is_named():
    assert suggest(Model(a=FLOATS, serving_default=STRINGS)).endswith("-m m --signature a --zeros")


def test_where_no_zeros_suit_the_metadata_is_suggested():
    assert suggest(Model(serving_default=STRINGS)) == "servable-client metadata -a 127.0.0.1:8500 -m m"
    assert "metadata" in suggest(Model(serving_default={"x": (wire.DT_FLOAT, None)}))


def test_a_model_that_zeros_suit_goes_before_one_that_they_do_not():
    assert suggest(Model(serving_default=STRINGS), Model(serving_default=FLOATS)).endswith("-m n --zeros")


def test_the_address_is_one_that_answers():
    assert "-a unix:/s.sock " in suggest(Model(serving_default=FLOATS), address="unix:/s.sock")
    assert "-a 10.0.0.1:9 --tls --ca FILE -m" in suggest(
        Model(serving_default=FLOATS), address="10.0.0.1:9", has_tls=True
    )


def test_without_a_model_nothing_is_suggested():
    assert suggest_call([], "0.0.0.0:8500", has_tls=False) is None


def test_the_table_says_what_serves_and_what_does_not_and_why():
    monitor = StateMonitor()
    monitor.publish(ServableId("good", 7), VersionState(State.AVAILABLE))
    monitor.publish(ServableId("bad", 1), VersionState(State.END, DataLoss("cut\nin two")))
    assert describe_models(["good", "bad", "none"], monitor) == [
        "model  version  state",
        "good   7        serves",
        "bad    1        END         DATA_LOSS: cut in two",
        "none   -        no version  nothing was found under its base path",
    ]
