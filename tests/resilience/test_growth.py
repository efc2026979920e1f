"""What a caller cannot make grow by messages that are none, method by method."""

import dataclasses

import pytest

from benchmarks.resilience.mutant_senders import send_grpc
from benchmarks.resilience.seeds import make_models, make_seeds, write_config
from benchmarks.resilience.servers import Server

MANY = 2_000
# What grpcio kept of each message that its own services could not parse was 16 KB: 32 MB of so many.
MOST_GROWTH_MB = 8


@pytest.fixture(scope="module")
def seeds():
    return make_seeds()


@pytest.fixture(scope="module")
def server(lab):
    folder = lab.new_folder()
    config = folder / "models.config"
    config.write_text(write_config(make_models(lab.folder / "mutated")))
    with Server(folder / "log", f"--model_config_file={config}") as server:
        yield server


@pytest.mark.parametrize("name", ["Predict", "ModelInfer", "GetModelMetadata", "Check"])
def test_mutants_of_one_method_take_no_memory_for_good(server, seeds, name):
    ((path, messages),) = [each for each in seeds.messages.items() if each[0].endswith(f"/{name}")]
    one = dataclasses.replace(seeds, messages={path: messages})
    # Templates, runners and buffers are made for the first of them.
    send_grpc(server.address, one, MANY, seed=1)
    before_mb = server.resident_mb()
    outcomes = send_grpc(server.address, one, MANY, seed=2)
    assert [outcome for outcome in outcomes if outcome.startswith("fault")] == []
    assert server.resident_mb() - before_mb < MOST_GROWTH_MB
