"""How the fake server misbehaves on order, as a client sees it."""

from __future__ import annotations

import os
import threading
import time

import pytest

from servable_client import Client, Health, errors
from servable_client.testing import Cut, Delay, Hang, Malformed, WrongShape


def test_unavailable_so_often_is_outlasted_by_retries(server):
    server.misbehave(errors.Unavailable("starting"), times=2, method="Predict")
    with Client(server.address, model="half", retries=3) as patient:
        assert patient.predict([1.0]).value.tolist() == [2.5]
    assert len(server.asked("Predict")) == 3


def test_any_status_comes_with_its_hints(server, client):
    server.misbehave(errors.ResourceExhausted("full", {"retry_after": "5"}), method="Predict")
    with pytest.raises(errors.ResourceExhausted, match="full") as caught:
        client.predict([1.0])
    assert caught.value.hints == {"retry_after": "5"}
    assert client.predict([1.0]).value.tolist() == [2.5]


def test_a_delay_answers_late(server, client):
    server.misbehave(Delay(0.2), method="Predict")
    start = time.monotonic()
    assert client.predict([1.0]).value.tolist() == [2.5]
    assert time.monotonic() - start >= 0.2


def test_a_call_that_is_never_answered_ends_with_its_deadline(server, client):
    server.misbehave(Hang(), method="Predict")
    with pytest.raises(errors.DeadlineExceeded):
        client.predict([1.0], timeout_s=0.2)
    assert client.predict([1.0]).value.tolist() == [2.5]


def test_a_server_that_stops_ends_calls_that_hang(server, client):
    server.misbehave(Hang(), method="Predict")
    failed = []

    def call():
        with pytest.raises(errors.ServingError) as caught:
            client.predict([1.0], timeout_s=30)
        failed.append(caught.value)

    caller = threading.Thread(target=call)
    caller.start()
    server.wait_for(1)
    server.stop()
    caller.join(10)
    assert isinstance(failed[0], (errors.Unavailable, errors.Cancelled))


def test_a_cut_connection_is_unavailable_and_a_new_one_works(server):
    server.misbehave(Cut(), method="Predict")
    with Client(server.address, model="half", retries=0) as first, pytest.raises(errors.Unavailable):
        first.predict([1.0])
    with Client(server.address, model="half") as second:
        assert second.predict([1.0]).value.tolist() == [2.5]


def test_cut_connections_leave_no_files_open(server):
    def cut():
        server.misbehave(Cut(), method="Predict")
        with Client(server.address, model="half", retries=0) as caller, pytest.raises(errors.Unavailable):
            caller.predict([1.0])
        return len(os.listdir("/dev/fd"))

    before = cut()
    for _ in range(5):
        after = cut()
    # gRPC closes its sockets later, on threads of its own.
    assert after < before + 15


def test_only_the_callers_connection_is_cut(server, client):
    client.predict([1.0])
    server.misbehave(Cut(), method="Predict")
    with Client(server.address, model="half", retries=0) as other, pytest.raises(errors.Unavailable):
        other.predict([1.0])
    assert client.predict([1.0]).value.tolist() == [2.5]


def test_bytes_that_are_no_message_are_a_malformed_reply(server, client):
    server.misbehave(Malformed(), method="Predict")
    with pytest.raises(errors.MalformedReply):
        client.predict([1.0])


@pytest.mark.parametrize("answer", [1.0, [1.0, 2.0], "text", ["a", "b"], []])
def test_a_tensor_of_a_wrong_shape_is_a_malformed_reply(server, client, answer):
    server.model("any").predict({"y": answer}, inputs={"x": "float32"})
    server.misbehave(WrongShape(), method="Predict")
    with pytest.raises(errors.MalformedReply, match="output 'y'"):
        client.predict([1.0], model="any")


def test_heads_of_a_wrong_shape_answer_one_result_too_few(server, client):
    server.model("heads").regress([1.0, 2.0])
    server.misbehave(WrongShape())
    with pytest.raises(errors.MalformedReply, match="the reply has 1 results; 2 examples were sent"):
        client.regress([{"n": 1}, {"n": 2}], model="heads")


def test_orders_are_carried_out_one_after_the_other(server, client):
    server.misbehave(errors.Aborted("first"), method="Predict")
    server.misbehave(errors.DataLoss("second"), method="Predict")
    with pytest.raises(errors.Aborted):
        client.predict([1.0])
    with pytest.raises(errors.DataLoss):
        client.predict([1.0])


def test_an_order_for_all_calls_holds_until_it_is_taken_back(server, client):
    server.misbehave(errors.Aborted("always"), times=None)
    for _ in range(3):
        with pytest.raises(errors.Aborted):
            client.status()
    assert client.health() is Health.SERVING
    server.behave()
    assert client.status()


def test_an_order_can_be_for_one_model_or_for_health(server, client):
    server.model("other").predict(lambda x: {"y": x})
    server.misbehave(errors.Aborted("other"), model="other", times=None)
    server.misbehave(errors.Unimplemented("no health"), method="Check")
    assert client.predict([1.0]).value.tolist() == [2.5]
    with pytest.raises(errors.Aborted):
        client.predict([1.0], model="other")
    with pytest.raises(errors.Unimplemented):
        client.health()


@pytest.mark.parametrize("wrong", [{"method": "Predct"}, {"times": 0}])
def test_an_order_that_means_nothing_is_refused(server, wrong):
    with pytest.raises(ValueError, match=r"no method 'Predct'|times is 0"):
        server.misbehave(Delay(1), **wrong)
