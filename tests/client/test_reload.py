"""Reloads by the client, against a server of the stock stubs and against servable."""

import pytest

from servable_client import Client, ModelConfig, errors, wire
from tests import serving

LOADS = "/tensorflow/cc/saved_model/load_attempt_count"


def test_a_server_of_the_stock_stubs_takes_a_reload(stock):
    models = [ModelConfig("half_plus_two", "/models/a", versions=(1,), labels={"stable": 1})]
    with Client(stock.address) as client:
        assert client.reload_config(models, metrics=["/tensorflow/serving/request_count"]) == {
            "/tensorflow/serving/request_count": 0
        }
        with pytest.raises(errors.InvalidArgument, match="ModelConfigList"):
            client.reload_config(wire.ModelServerConfig())


@pytest.fixture
def client(models):
    """A client of a servable of its own, which serves half_plus_two."""
    running = serving.start(models, "half_plus_two")
    with Client(running.address) as client:
        yield client
    running.close()


def test_servable_serves_what_a_reload_says_with_versions_and_labels(client, models):
    served = ModelConfig("half_plus_two", str(models.base_path("half_plus_two")), versions=(1,), labels={"stable": 1})
    other = ModelConfig("three", str(models.base_path("half_plus_three")), versions="all")
    assert client.reload_config([served, other], metrics=[LOADS, "nobody's"]).keys() == {LOADS, "nobody's"}
    assert client.predict({"x": [[2.0]]}, model="half_plus_two", label="stable")["y"].tolist() == [[3.0]]
    assert client.predict({"x": [[2.0]]}, model="three")["y"].tolist() == [[4.0]]


def test_servable_reports_what_keeps_a_model_from_serving(client, tmp_path):
    with pytest.raises(errors.Unknown, match=f"new due to error: NOT_FOUND: .* {tmp_path}/new for servable new"):
        client.reload_config({"new": str(tmp_path / "new")})


def test_servable_unloads_everything_at_an_empty_list(client):
    assert client.reload_config([]) == {}
    with pytest.raises(errors.NotFound):
        client.predict({"x": [[2.0]]}, model="half_plus_two")
