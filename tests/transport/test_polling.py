"""What is said to gRPC's core before it starts."""

import pytest

from servable.transport.polling import poll_directly

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
    poll_directly(environment)
    assert environment == {"GRPC_EXPERIMENTS": wanted}
