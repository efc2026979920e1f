"""A served model as its caller sees it: arrays in and out through the stock tensorflow-serving-api, over a socket."""

import dataclasses

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    input_pb2,
    predict_pb2,
    regression_pb2,
)

from servable import wire
from tests.serving import TIMEOUT_S, Running


@dataclasses.dataclass
class Model:
    """One model of a running server."""

    running: Running
    name: str

    def predict(self, inputs, signature="", outputs=()):
        """The output arrays by alias, all of them or those that `outputs` names."""
        request = predict_pb2.PredictRequest(output_filter=outputs)
        self._fill(request.model_spec, signature)
        for alias, value in inputs.items():
            request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
        response = self.running.prediction.Predict(request, timeout=TIMEOUT_S)
        assert response.model_spec.signature_name == (signature or "serving_default")
        return {alias: tf.make_ndarray(tensor) for alias, tensor in response.outputs.items()}

    def classify(self, examples, signature=""):
        """For each tf.Example its (label, score) pairs."""
        request = classification_pb2.ClassificationRequest(input=_examples(examples))
        self._fill(request.model_spec, signature)
        result = self.running.prediction.Classify(request, timeout=TIMEOUT_S).result
        return [[(each.label, each.score) for each in row.classes] for row in result.classifications]

    def regress(self, examples, signature=""):
        """The value of each tf.Example."""
        request = regression_pb2.RegressionRequest(input=_examples(examples))
        self._fill(request.model_spec, signature)
        result = self.running.prediction.Regress(request, timeout=TIMEOUT_S).result
        return [each.value for each in result.regressions]

    def signatures(self):
        """The SignatureDefs by key, as GetModelMetadata returns them."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._fill(request.model_spec)
        response = self.running.prediction.GetModelMetadata(request, timeout=TIMEOUT_S)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert response.metadata["signature_def"].Unpack(signatures)
        return dict(signatures.signature_def)

    def inputs(self, signature="serving_default"):
        """What the metadata says of a signature's inputs: `float32[?,3]` by alias."""
        return _describe(self.signatures()[signature].inputs)

    def outputs(self, signature="serving_default"):
        """What the metadata says of a signature's outputs: `float32[?,3]` by alias."""
        return _describe(self.signatures()[signature].outputs)

    def state(self):
        """The state of version 1."""
        request = get_model_status_pb2.GetModelStatusRequest()
        self._fill(request.model_spec)
        (status,) = self.running.model.GetModelStatus(request, timeout=TIMEOUT_S).model_version_status
        return get_model_status_pb2.ModelVersionStatus.State.Name(status.state)

    def _fill(self, spec, signature=""):
        spec.name = self.name
        spec.signature_name = signature


def refusal(call, *arguments, **options):
    """The code, the text and the hints of the error that a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return caught.value.code(), caught.value.details(), _hints(caught.value)


def example(**features):
    """A tf.Example of float features."""
    made = tf.train.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def floats(*shape):
    """Values from -1 to 1 that no two places share, the same in every run."""
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def assert_same(answer, expected):
    """The same aliases, and for each the same dtype, shape and values."""
    assert answer.keys() == expected.keys()
    for alias, value in expected.items():
        wanted = np.asarray(value)
        assert (answer[alias].dtype, answer[alias].shape) == (wanted.dtype, wanted.shape), alias
        if wanted.dtype == object:
            assert answer[alias].tolist() == wanted.tolist(), alias
        else:
            np.testing.assert_allclose(answer[alias], wanted, rtol=1e-5, atol=1e-6, err_msg=alias)


def _examples(examples):
    return input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples))


def _describe(infos):
    return {alias: f"{tf.as_dtype(info.dtype).name}[{_dims(info.tensor_shape)}]" for alias, info in infos.items()}


def _dims(shape):
    return "..." if shape.unknown_rank else ",".join("?" if dim.size < 0 else str(dim.size) for dim in shape.dim)


def _hints(error):
    """The metadata of the ErrorInfo among the error's details."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            info = wire.ErrorInfo()
            assert wire.Status.FromString(value).details[0].Unpack(info)
            return dict(info.metadata)
    return {}
