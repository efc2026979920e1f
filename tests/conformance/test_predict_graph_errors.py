"""What TensorFlow refuses once a request has passed all checks: the texts of its C++ sessions, undecorated."""

import functools

import numpy as np
import pytest

from tests.conformance.calls import (
    INVALID_ARGUMENT,
    OUT_OF_RANGE,
    RUNS,
    predict,
    predict_request,
    refused,
    refused_predict,
    values,
)
from tests.conformance.served import MADE, serve_graph
from tests.conformance.tensors import KINDS, tensor
from tests.models.exporting import placeholder, signature, tf

X = np.array([2.0], np.float32)
WHOLE = np.array([2], np.int32)


@pytest.fixture(params=RUNS)
def serve(servers, request):
    return functools.partial(servers, runs=request.param)


@pytest.fixture(params=RUNS)
def serve_made(tmp_path, request):
    return functools.partial(serve_graph, tmp_path, runs=request.param)


@pytest.mark.behaviour("1.4", "another dtype than the graph's, counted by tensor name")
@pytest.mark.behaviour("12", "Predict: wrong dtype")
@pytest.mark.behaviour("13.2", "34 PredictionInvalidTensor")
@pytest.mark.behaviour("13.3", "44 to 52, the rows of 13.2 through the service, and an unknown model")
@pytest.mark.parametrize("dtype", sorted(KINDS.keys() - {"float"}))
def test_another_dtype_than_the_graph_s_is_named(serve, dtype):
    reported = refused_predict(serve("half_plus_two"), "half_plus_two", {"x": tensor(dtype, [1])})
    assert reported == (INVALID_ARGUMENT, f"Expects arg[0] to be float but {dtype} is provided")


@pytest.mark.behaviour("1.4", "another dtype than the graph's, counted by tensor name")
@pytest.mark.parametrize("dtype", sorted(KINDS.keys() - {"float"}))
def test_the_dtype_of_the_graph_is_named(serve, dtype):
    reported = refused_predict(serve("dtypes"), "dtypes", {"x": tensor("float", [1])}, f"identity_{dtype}")
    assert reported == (INVALID_ARGUMENT, f"Expects arg[0] to be {dtype} but float is provided")


@pytest.mark.behaviour("1.4", "another dtype than the graph's, counted by tensor name")
@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"count": np.float32(1), "values": X}, "Expects arg[0] to be int32 but float is provided"),
        ({"count": np.int32(1), "values": WHOLE}, "Expects arg[1] to be float but int32 is provided"),
        ({"count": np.int64(1), "values": WHOLE}, "Expects arg[0] to be int32 but int64 is provided"),
    ],
    ids=["first", "second", "both"],
)
def test_inputs_are_counted_in_the_order_of_their_tensors_names(serve, inputs, text):
    reported = refused_predict(serve("scalar_beside_vector"), "scalar_beside_vector", inputs)
    assert reported == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.4", "another dtype than the graph's, counted by tensor name")
def test_inputs_that_take_their_default_are_counted_too(serve):
    """The tensors are serving_default_offset, serving_default_scale and serving_default_x."""
    reported = refused_predict(serve("default_values"), "default_values", {"x": WHOLE})
    assert reported == (INVALID_ARGUMENT, "Expects arg[2] to be float but int32 is provided")


def swapped_names():
    """The alias first feeds the tensor z, the alias last feeds the tensor a."""
    z, a = placeholder(tf.float32, [None], "z"), placeholder(tf.int32, [None], "a")
    return {"serving_default": signature({"first": z, "last": a}, {"y": z + tf.cast(a, tf.float32)})}


@pytest.mark.behaviour("1.4", "another dtype than the graph's, counted by tensor name")
def test_aliases_do_not_count_but_tensors_do(serve_made):
    with serve_made(swapped_names) as running:
        reported = refused_predict(running, MADE, {"first": WHOLE, "last": WHOLE})
    assert reported == (INVALID_ARGUMENT, "Expects arg[1] to be float but int32 is provided")


FED_TWICE = 'Endpoint "x:0" fed more than once.'
NOT_IN_GRAPH = "Tensor nope:0, specified in either feed_devices or fetch_devices was not found in the Graph"
NOTHING_TO_DO = "Must specify at least one target to fetch or execute."


@pytest.mark.behaviour(
    "1.4", "two aliases on one feed, an unfed placeholder, a tensor that is not in the graph, nothing to fetch"
)
@pytest.mark.parametrize(
    ("key", "inputs", "text"),
    [
        ("twice_fed", {"a": X, "b": X}, FED_TWICE),
        ("missing_feed", {"x": X}, NOT_IN_GRAPH),
        ("missing_fetch", {"x": X}, NOT_IN_GRAPH),
        (
            "unfed",
            {"x": X},
            "You must feed a value for placeholder tensor 'forgotten' with dtype float and shape [?]\n"
            "\t [[{{node forgotten}}]]",
        ),
        ("nothing_out", {"x": X}, NOTHING_TO_DO),
        ("empty", {}, NOTHING_TO_DO),
    ],
)
def test_wiring_that_no_check_of_names_finds(serve, key, inputs, text):
    reported = refused_predict(serve("odd_wiring"), "odd_wiring", inputs, key)
    assert reported == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.4", "another dtype than the graph's, counted by tensor name")
@pytest.mark.parametrize(
    ("key", "inputs", "text"),
    [
        ("twice_fed", {"a": WHOLE, "b": WHOLE}, FED_TWICE),
        ("missing_feed", {"x": WHOLE}, NOT_IN_GRAPH),
        ("missing_fetch", {"x": WHOLE}, NOT_IN_GRAPH),
        ("nothing_out", {"x": WHOLE}, NOTHING_TO_DO),
    ],
)
def test_a_fault_of_the_wiring_is_reported_before_a_wrong_dtype(serve, key, inputs, text):
    reported = refused_predict(serve("odd_wiring"), "odd_wiring", inputs, key)
    assert reported == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.4", "one tensor fed twice is refused, as DirectSession does")
@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"runs": "public"},
        {"grpc_lanes": 0},
        {"enable_batching": True},
        {"enable_batching": True, "grpc_lanes": 0},
        {"freeze_variables_up_to_mb": 64},
    ],
    ids=str,
)
@pytest.mark.parametrize("timeout_s", [None, 5.0])
def test_one_tensor_that_is_no_placeholder_is_not_fed_twice_in_any_mode(servers, flags, timeout_s):
    running = servers("fed_twice", **flags)
    request = predict_request("fed_twice", {"a": X, "b": X, "x": X}, "fed_twice")
    for _ in range(2):
        reported = refused(running.prediction.Predict, request, timeout_s=timeout_s)
        assert reported == (INVALID_ARGUMENT, 'Endpoint "sp:1" fed more than once.')
    reply = predict(running, "fed_twice", {"x": X})
    assert values(reply.outputs["y"]) == [4.0]


@pytest.mark.behaviour("1.4", "the initialiser's signature")
@pytest.mark.parametrize("name", ["half_plus_two_tf2", "keras_regression"])
def test_the_initialiser_is_a_signature_without_an_output(serve, name):
    reported = refused_predict(serve(name), name, signature="__saved_model_init_op")
    assert reported == (OUT_OF_RANGE, "Node 'NoOp' (type: 'NoOp', num of outputs: 0) does not have output 0")


def names_of_every_form():
    """Signatures with tensor names that no export writes but a hand may."""
    x = placeholder(tf.float32, [None], "x")
    good = signature({"x": x}, {"y": tf.multiply(x, 2.0, name="y")})
    keys = ("bare", "second_output", "echo")
    made = {key: type(good).FromString(good.SerializeToString()) for key in keys}
    made["bare"].inputs["x"].name, made["bare"].outputs["y"].name = "x", "y"
    made["second_output"].outputs["y"].name = "y:1"
    made["echo"].outputs["y"].name = "x:0"
    return made


@pytest.mark.behaviour(
    "1.4", "tensor names that no exporter writes: no such output, fed and fetched at once, a bare operation"
)
@pytest.mark.parametrize(
    ("key", "reported"),
    [
        ("second_output", (OUT_OF_RANGE, "Node 'y' (type: 'Mul', num of outputs: 1) does not have output 1")),
        ("echo", (INVALID_ARGUMENT, "x:0 is both fed and fetched.")),
    ],
)
def test_a_tensor_name_that_cannot_be_run(serve_made, key, reported):
    with serve_made(names_of_every_form) as running:
        assert refused_predict(running, MADE, {"x": X}, key) == reported


@pytest.mark.behaviour(
    "1.4", "tensor names that no exporter writes: no such output, fed and fetched at once, a bare operation"
)
def test_a_bare_operation_s_name_means_its_first_output(serve_made):
    with serve_made(names_of_every_form) as running:
        assert list(predict(running, MADE, {"x": X}, "bare").outputs["y"].float_val) == [4.0]
        reported = refused_predict(running, MADE, {"x": WHOLE}, "bare")
    assert reported == (INVALID_ARGUMENT, "Expects arg[0] to be float but int32 is provided")


@pytest.mark.behaviour("1.4", "errors of kernels carry their node, undecorated")
@pytest.mark.behaviour("12", "Predict: wrong shape")
@pytest.mark.parametrize(
    ("x", "text"),
    [
        (
            np.zeros((2, 3), np.float32),
            "Matrix size-incompatible: In[0]: [2,3], In[1]: [1,2]\n\t [[{{node z}}]]",
        ),
        (np.float32(1), "In[0] ndims must be >= 2\n\t [[{{node z}}]]"),
    ],
    ids=["columns", "scalar"],
)
def test_a_shape_is_refused_by_the_kernel_that_it_does_not_fit(serve, x, text):
    assert refused_predict(serve("matmul"), "matmul", {"x": x}) == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.4", "errors of kernels carry their node, undecorated")
def test_a_kernel_inside_a_function_is_named_with_the_function(serve):
    """Which names stand in the brackets depends on how far TensorFlow took the function apart."""
    code, text = refused_predict(serve("matmul_tf2"), "matmul_tf2", {"x": np.zeros((2, 3), np.float32)})
    assert code is INVALID_ARGUMENT
    assert text.startswith("Matrix size-incompatible: In[0]: [2,3], In[1]: [1,2]\n\t [[{{")
    assert text.endswith("z}}]]")
    assert "Original stack trace" not in text


@pytest.mark.behaviour("1.4", "errors of kernels carry their node, undecorated")
@pytest.mark.behaviour("12", "Predict: bad Example bytes inside a string tensor")
def test_bytes_that_are_no_example_are_quoted(serve):
    reported = refused_predict(serve("half_plus_two"), "half_plus_two", {"inputs": [b"garbage"]}, "regress_x_to_y")
    assert reported == (
        INVALID_ARGUMENT,
        "Could not parse example input, value: 'garbage'\n\t [[{{node ParseExample/ParseExample}}]]",
    )


@pytest.mark.behaviour("1.4", "errors of kernels carry their node, undecorated")
def test_an_error_leaves_the_model_as_it_was(serve):
    running = serve("matmul")
    refused_predict(running, "matmul", {"x": np.zeros((2, 3), np.float32)})
    assert list(predict(running, "matmul", {"x": np.ones((1, 1), np.float32)}).outputs["z"].float_val) == [1.0, 2.0]
