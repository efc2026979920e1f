"""The environment that `servable serve` sets for gRPC's core before grpc is imported."""

import pytest

from servable.cli import disable_event_engine_listener

OURS = "-event_engine_listener"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (None, OURS),
        ("", OURS),
        ("tcp_frame_size_tuning", f"tcp_frame_size_tuning,{OURS}"),
        ("event_engine_listener", "event_engine_listener"),
        (OURS, OURS),
    ],
)
def test_the_listener_is_left_out_unless_the_operator_has_said_otherwise(said, wanted):
    environment = {} if said is None else {"GRPC_EXPERIMENTS": said}
    disable_event_engine_listener(environment)
    assert environment == {"GRPC_EXPERIMENTS": wanted}
