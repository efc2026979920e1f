"""What is asked of each model: its request, and the loads under which it is asked. It knows no server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exports import FEATURES
from messages import CLASSIFY, PREDICT, classify_example, predict_floats, predict_strings

FIXED_RATE = "rate"
_LOADS = ("1x1", "8x8", "64x4", FIXED_RATE)
_VARIANTS = 2
_BIG_LOADS = ("1x1", "4x2", "8x8", FIXED_RATE)


@dataclass(frozen=True)
class Model:
    """A model and its load.

    Attributes:
        name: As it is served and chosen.
        title: As tables show it.
        export: Its folder among the exports.
        make_request: Makes a variant of the serialized request of a name.
        loads: Connections x streams, closed loop, or FIXED_RATE.
        rate: Calls a second at the fixed rate; what every server can keep up with.
        method: The path of the call.
        run_s: A rough guess at what a call takes: a load needs so many of them until it is steady.
        stretch: How many times longer than others it is measured, since it answers less often.
        floats_only: Whether it is a Predict of floats, which is all that the C++ reference answers.
    """

    name: str
    title: str
    export: str
    make_request: Callable[[str, int], bytes]
    loads: tuple[str, ...] = _LOADS
    rate: float = 200.0
    method: str = PREDICT
    run_s: float = 0.0005
    stretch: float = 1.0
    floats_only: bool = True

    @property
    def request(self) -> bytes:
        """The serialized request of the closed loop."""
        return self.make_request(self.name, 0)

    def make_requests(self) -> tuple[bytes, ...]:
        """It and another, of the same size."""
        return tuple(self.make_request(self.name, variant) for variant in range(_VARIANTS))

    @property
    def busiest_common_load(self) -> str:
        """8x8, or what stands in for it."""
        return "8x8" if "8x8" in self.loads else "4x2"


def _floats(*shape: int) -> Callable[[str, int], bytes]:
    return lambda name, variant: predict_floats(name, shape, variant)


_ALL = (
    Model("half_plus_two", "half_plus_two", "half_plus_two", _floats(1)),
    Model("mlp", "MLP 64-256-256-10", "mlp", _floats(1, 64)),
    Model("cnn", "CNN 28x28", "cnn", _floats(1, 28, 28, 1), run_s=0.002),
    Model("mobilenet_v2", "MobileNetV2", "mobilenet_v2", _floats(1, 224, 224, 3), rate=20, run_s=0.016, stretch=2),
    Model(
        "classify",
        "Classify, one tf.Example",
        "classify",
        lambda name, variant: classify_example(name, FEATURES, variant),
        method=CLASSIFY,
        floats_only=False,
    ),
    Model(
        "strings",
        "8 strings in and out",
        "strings",
        lambda name, variant: predict_strings(name, 8, variant),
        floats_only=False,
    ),
    Model("sum_600KB", "sum of 600 KB", "sum", _floats(1, 150_000), loads=_BIG_LOADS, rate=50, run_s=0.001),
    Model("sum_4MB", "sum of 4 MB", "sum", _floats(1, 1_000_000), loads=_BIG_LOADS, rate=20, run_s=0.006),
    Model(
        "sum_64MB",
        "sum of 64 MB",
        "sum",
        _floats(1, 16_000_000),
        # 8x8 of these would be 4 GB in flight.
        loads=("1x1", "4x2", FIXED_RATE),
        rate=1,
        run_s=0.3,
        stretch=4,
    ),
)
MODELS = {model.name: model for model in _ALL}
