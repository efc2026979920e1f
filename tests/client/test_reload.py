"""Reloads: the stock stubs' server takes them; servable refuses them in words, as of now."""

import pytest

from servable_client import Client, ModelConfig, errors, wire

MODELS = [ModelConfig("half_plus_two", "/models/a", versions=(1,), labels={"stable": 1})]


def test_a_server_of_the_stock_stubs_takes_a_reload(stock):
    with Client(stock.address) as client:
        assert client.reload_config(MODELS, metrics=["/tensorflow/serving/request_count"]) == {
            "/tensorflow/serving/request_count": 0
        }
        with pytest.raises(errors.InvalidArgument, match="ModelConfigList"):
            client.reload_config(wire.ModelServerConfig())


def test_servable_refuses_a_reload_in_words(servers):
    refused = pytest.raises(errors.Unimplemented, match="cannot change its models")
    with Client(servers("half_plus_two").address) as client, refused:
        client.reload_config(MODELS)
