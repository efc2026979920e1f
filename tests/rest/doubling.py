"""A model that JSON can carry, and that only pretends to run."""

from servable import wire
from servable.signatures import prepare
from tests.inference.running_models import RunningModel


class Doubling(RunningModel):
    """Takes x, and gives twice of it as y: float32 of any shape."""

    def __init__(self, limits=None):
        super().__init__(limits)
        definition = wire.SignatureDef()
        info = wire.TensorInfo(name="x:0", dtype=wire.DT_FLOAT)
        definition.inputs["x"].CopyFrom(info)
        definition.outputs["y"].CopyFrom(info)
        self.signatures = {"serving_default": prepare("serving_default", definition)}
