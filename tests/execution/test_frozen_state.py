"""Whatever kind of state a model has, it answers the same frozen or not, in each mode, call after call."""

import itertools
import logging

import numpy as np
import pytest

from servable.config.batching import BatchingConfig
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import PrivateRuns, PublicRuns
from tests.execution.kinds_of_state import KINDS

MANY_BYTES = 1 << 20
RUNS = {"private": PrivateRuns(), "public": PublicRuns()}
MODES = list(itertools.product(["batched", "unbatched"], ["frozen", "stored"], RUNS))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The directory of a kind's model, written at first use."""
    root, directories = tmp_path_factory.mktemp("kinds"), {}

    def export(name):
        if name not in directories:
            directories[name] = KINDS[name].build(root / str(len(directories)) / "1")
        return directories[name]

    return export


def answers(model, calls):
    (signature,) = [found for key, found in model.signatures.items() if key == "serving_default"]
    (feed,) = signature.inputs.values()
    runner = model.runner((feed,), tuple(signature.outputs.values()))
    return [runner.run([call], None) for call in calls]


def answers_of_rows(model, calls):
    """The answers of several calls whose rows are run together, as batching does."""
    together = answers(model, [np.concatenate(calls)])[0]
    ends = np.cumsum([len(call) for call in calls])[:-1]
    return list(zip(*(np.split(output, ends) for output in together), strict=True))


def assert_same(got, wanted):
    for outputs, others in zip(got, wanted, strict=True):
        for output, other in zip(outputs, others, strict=True):
            assert output.dtype == other.dtype
            np.testing.assert_allclose(output, other, rtol=1e-5)


@pytest.mark.parametrize("mode", MODES, ids=" ".join)
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_state_answers_as_it_does_unfrozen(exported, caplog, name, mode):
    kind, directory = KINDS[name], exported(name)
    runs, most_bytes = mode[2], MANY_BYTES if "frozen" in mode else 0
    batching = BatchingConfig() if "batched" in mode else None
    plain = SavedModelLoader(runs=RUNS["private"])(directory)
    caplog.set_level(logging.DEBUG, "servable.execution")
    model = SavedModelLoader(runs=RUNS[runs], batching=batching, freeze_up_to_bytes=most_bytes)(directory)
    is_kept = any("keeps its variables" in record.getMessage() for record in caplog.records)
    assert is_kept is (most_bytes > 0 and not kind.is_frozen)
    wanted = answers(plain, kind.calls)
    assert_same(answers(model, kind.calls), wanted)
    if batching is not None and kind.in_rows:
        assert_same(answers_of_rows(model, kind.calls), wanted)
    model.close()
    plain.close()
