"""Logs to replay, a servable that counts, and TFRecord files that are lists."""

import contextlib
import dataclasses

from servable import wire
from servable.signatures import CLASSIFY_METHOD, REGRESS_METHOD
from tests.conformance.fakes import FakeServable, define, floats


class CountingServable(FakeServable):
    """Answers every head; remembers its runs, and whether it was closed."""

    def __init__(self, error=None):
        super().__init__(
            define("serving_default", {"x": "x:0"}, {"y": "y:0"}),
            define("classify", {"inputs": "examples:0"}, {"scores": "scores:0"}, CLASSIFY_METHOD),
            define("regress", {"inputs": "examples:0"}, {"outputs": "values:0"}, REGRESS_METHOD),
            define("mute", {"inputs": "examples:0"}, {"outputs": "values:0"}),
            outputs={"y:0": floats([1]), "scores:0": floats([[0.5]]), "values:0": floats([0.5])},
            error=error,
        )
        self.closed = 0

    @property
    def fetched(self):
        """What each run fetched."""
        return [run.fetches for run in self.runs]

    def close(self):
        self.closed += 1


def predict_log(signature="serving_default", name="somebody", alias="x"):
    log = wire.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = name, signature
    request.inputs[alias].dtype = wire.DT_FLOAT
    request.inputs[alias].tensor_shape.SetInParent()
    return log


def example_input():
    return wire.Input(example_list=wire.ExampleList(examples=[wire.Example()]))


def spec(signature, name="somebody"):
    return wire.ModelSpec(name=name, signature_name=signature)


def classify_log(signature="classify"):
    request = wire.ClassificationRequest(model_spec=spec(signature), input=example_input())
    return wire.PredictionLog(classify_log=wire.ClassifyLog(request=request))


def regress_log(signature="regress"):
    request = wire.RegressionRequest(model_spec=spec(signature), input=example_input())
    return wire.PredictionLog(regress_log=wire.RegressLog(request=request))


def multi_inference_log(*names):
    """A task for each name of a model, at most two."""
    heads = (("classify", CLASSIFY_METHOD), ("regress", REGRESS_METHOD))
    tasks = [
        wire.InferenceTask(model_spec=spec(key, name), method_name=method)
        for name, (key, method) in zip(names, heads, strict=False)
    ]
    request = wire.MultiInferenceRequest(tasks=tasks, input=example_input())
    return wire.PredictionLog(multi_inference_log=wire.MultiInferenceLog(request=request))


MIXED = (predict_log(), classify_log(), regress_log(), multi_inference_log("somebody", "somebody"))


@dataclasses.dataclass
class RecordFile:
    """A TFRecord file that may break off; a reader of records by itself."""

    records: list
    failure: Exception | None = None
    read_count: int = 0

    def __call__(self, path):
        for record in self.records:
            self.read_count += 1
            yield record if isinstance(record, bytes) else record.SerializeToString()
        if self.failure is not None:
            raise self.failure


@contextlib.contextmanager
def writing_lines(path):
    """A file of records that a test reads as lines."""
    with path.open("wb") as file:
        yield lambda record: file.write(record + b"\n")
