"""What a server counts of the requests that it answers: on lanes, on the public path, batched or not."""

import threading

import grpc
import pytest
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_management_pb2

from tests.conformance.calls import NOT_FOUND, PREDICTION_SERVICE, TIMEOUT_S, model_spec, predict_request, refused
from tests.conformance.example_calls import classification, multi_inference, regression, task, xs
from tests.metrics_plane.reading import Increase, read

HALF, HEADS = "half_plus_two", "example_heads"
COUNT, LATENCY = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency_count"
RUNTIME = ":tensorflow:serving:runtime_latency_count"
BATCHING = ":tensorflow:serving:batching_session:"
# An unknown field: with it a message has more bytes than a lane parses without knowing how long that takes.
PADDING = b"\xa2\x06\x88\x27" + bytes(5000)


@pytest.fixture(params=["private", "public"])
def runs(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["alone", "batched"])
def served(servers, runs, request):
    return servers(HALF, HEADS, runs=runs, enable_batching=request.param)


def predict(served, *values, name=HALF, **spec):
    return served.prediction.Predict(predict_request(name, {"x": list(values)}, **spec), timeout=TIMEOUT_S)


@pytest.mark.behaviour("10.1", "request_count and request_latency of Predict, Classify and Regress over gRPC")
@pytest.mark.behaviour("10.1", "runtime_latency of successful runs, with the API and TF1")
def test_each_request_is_counted_once(served):
    increase = Increase(served.server)
    for _ in range(5):
        predict(served, 1.0, 2.0)
    served.call(PREDICTION_SERVICE + "Predict", predict_request(HALF, {"x": [1.0]}).SerializeToString() + PADDING)
    served.prediction.Regress(regression(HALF, "regress_x_to_y", xs(1.0)), timeout=TIMEOUT_S)
    for _ in range(2):
        served.prediction.Classify(classification(HALF, "classify_x_to_y", xs(1.0)), timeout=TIMEOUT_S)
    assert increase.of(COUNT, model_name=HALF, status="OK") == increase.of(COUNT) == 9
    for api, count in (("Predict", 6), ("Regress", 1), ("Classify", 2)):
        assert increase.of(LATENCY, model_name=HALF, API=api, entrypoint="GRPC") == count
        assert increase.of(RUNTIME, model_name=HALF, API=api, runtime="TF1") == count
        for histogram in ("request", "queue", "run"):
            assert increase.of(f"servable_{histogram}_seconds_count", model_name=HALF, api=api) == count
    assert increase.of("servable_requests_total", signature_name="serving_default", api="Predict") == 6
    assert increase.of("servable_requests_total", signature_name="classify_x_to_y", api="Classify") == 2


def test_the_bytes_of_requests_and_replies_are_counted(served):
    increase = Increase(served.server)
    request = predict_request(HALF, {"x": [1.0, 2.0, 3.0]})
    reply = served.prediction.Predict(request, timeout=TIMEOUT_S)
    assert increase.of("servable_request_bytes_total", api="Predict") == len(request.SerializeToString())
    assert increase.of("servable_reply_bytes_total", api="Predict") == len(reply.SerializeToString())


def test_a_failure_is_counted_once_by_its_code_and_its_model_s_name(served):
    increase = Increase(served.server)
    stub = served.prediction
    assert refused(stub.Predict, predict_request("nope", {"x": [1.0]}))[0] is NOT_FOUND
    with pytest.raises(grpc.RpcError, match="Latest"):
        served.call(PREDICTION_SERVICE + "Predict", predict_request("nope").SerializeToString() + PADDING)
    refused(stub.Predict, predict_request("", {"x": [1.0]}))
    refused(stub.Classify, classification(HALF, "nope", xs(1.0)))
    refused(stub.Predict, predict_request(HALF, {"x": ["text"]}))
    assert increase.of(COUNT, model_name="nope", status="NOT_FOUND") == 2
    assert increase.of(COUNT, model_name="", status="INVALID_ARGUMENT") == 1
    assert increase.of(COUNT, model_name=HALF, status="INVALID_ARGUMENT") == 2
    assert increase.of(COUNT) == increase.of("servable_requests_total") == 5
    assert increase.of(LATENCY) == 0


@pytest.mark.behaviour("2.4", "the metrics of example counts")
@pytest.mark.behaviour("10.1", "MultiInference counts its examples, and no request")
def test_multi_inference_counts_its_examples(served):
    increase = Increase(served.server)
    tasks = [task(HALF, "regress_x_to_y"), task(HALF, "regress_x_to_y2")]
    served.prediction.MultiInference(multi_inference(*tasks, given=xs(1.0, 2.0, 3.0)), timeout=TIMEOUT_S)
    assert increase.of(COUNT) == 0
    assert increase.of(":tensorflow:serving:request_example_count_total", model=HALF) == 3
    assert increase.of(":tensorflow:serving:request_example_counts_count", model=HALF) == 1
    refused(served.prediction.MultiInference, multi_inference(task("nope"), given=xs(1.0)))
    assert increase.of("servable_requests_total", api="MultiInference", status="NOT_FOUND", model_name="nope") == 1


@pytest.mark.behaviour("3", "nothing is recorded in the metrics")
@pytest.mark.behaviour("10.1", "status, metadata and reloads over gRPC are not counted")
def test_other_methods_are_not_counted(served):
    increase = Increase(served.server)
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=model_spec(HALF))
    metadata.metadata_field.append("signature_def")
    served.prediction.GetModelMetadata(metadata, timeout=TIMEOUT_S)
    served.model.GetModelStatus(get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec(HALF)))
    assert increase.of(COUNT) == increase.of("servable_requests_total") == 0


def test_of_requests_of_one_form_all_but_the_first_are_template_hits(served):
    increase = Increase(served.server)
    for value in range(4):
        request = predict_request(HALF, {"x": [float(value)] * 7})
        tensor = request.inputs["x"]
        tensor.tensor_content = bytes(28)
        tensor.ClearField("float_val")
        served.prediction.Predict(request, timeout=TIMEOUT_S)
    hits = increase.of("servable_template_cache_requests_total", result="hit")
    assert (hits, increase.of("servable_template_cache_requests_total", result="miss")) in {(3, 1), (4, 0)}


@pytest.mark.behaviour("10.1", "batching_session metrics: runs, sizes by input tensor, padding, waits")
def test_batches_are_counted_by_model_and_as_the_original_does(servers, runs, tmp_path):
    file = tmp_path / "batching"
    file.write_text("max_batch_size { value: 4 } allowed_batch_sizes: 4 batch_timeout_micros { value: 1000 }")
    served = servers(HALF, runs=runs, enable_batching=True, batching_parameters_file=str(file))
    increase = Increase(served.server)
    predict(served, 1.0, 2.0, 3.0)
    assert increase.of(f"{BATCHING}wrapped_run_count") == 1
    assert increase.of(f"{BATCHING}input_batch_size_bucket", le="4") == 1
    assert increase.of(f"{BATCHING}input_batch_size_bucket", le="2") == 0
    assert increase.of(f"{BATCHING}input_batch_size_sum") == 3
    assert increase.of(f"{BATCHING}processed_batch_size_sum") == 4
    assert increase.of(f"{BATCHING}padding_size_sum", execution_batch_size="4") == 1
    assert increase.of(f"{BATCHING}queuing_latency_count", thread_pool_name="") == 1
    assert increase.of("servable_padding_rows_total", model_name=HALF) == 1
    assert increase.of("servable_batches_total", model_name=HALF, cut="timeout") == 1
    assert increase.of("servable_queue_seconds_sum", model_name=HALF) >= 0.001


def test_what_serves_is_told(served):
    samples = read(served.server)
    for model in (HALF, HEADS):
        assert samples["servable_versions", frozenset({("model_name", model), ("state", "available")})] == 1
        loaded = {dict(have)["model_name"] for name, have in samples if name == "servable_version_load_seconds"}
        assert model in loaded
    (build,) = [dict(have) for name, have in samples if name == "servable_build_info"]
    assert all(build.values())
    assert any(name == "process_resident_memory_bytes" and value > 0 for (name, _), value in samples.items())
    assert any(name == "python_gc_collections_total" for name, _ in samples)


def test_requests_on_threads_at_once_are_all_counted(served):
    increase = Increase(served.server)
    threads = [threading.Thread(target=lambda: [predict(served, 1.0) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert increase.of(COUNT, model_name=HALF, status="OK") == 200
    assert increase.of(LATENCY, model_name=HALF) == 200


def test_a_lane_tells_how_long_it_was_busy(servers):
    served = servers(HALF, HEADS, runs="private", enable_batching=False)
    increase = Increase(served.server)
    for _ in range(2):
        # What the lane was busy with one call is counted before it takes the next.
        predict(served, 1.0)
    assert [labels["lane"] for labels in increase.labels("servable_lane_busy_seconds_total")] == ["lane 0"]
    assert 0 < increase.of("servable_lane_busy_seconds_total", lane="lane 0") < TIMEOUT_S


@pytest.mark.behaviour("4.2", "metric_names are answered with their increase, each once, an unknown one with 0")
def test_a_reload_reads_what_is_counted(served):
    predict(served, 1.0)
    names = ["/tensorflow/serving/request_count", "/tensorflow/cc/saved_model/load_attempt_count", "/nope"]
    assert served.server._metrics.read(names)[names[0]] > 0
    request = model_management_pb2.ReloadConfigRequest(metric_names=names)
    request.config.model_config_list.SetInParent()
    for config in served.server._configuration.models:
        request.config.model_config_list.config.add(
            name=config.name, base_path=config.base_path, model_platform="tensorflow"
        )
    reply = served.model.HandleReloadConfigRequest(request, timeout=TIMEOUT_S)
    assert {metric.name for metric in reply.metric} == set(names)
