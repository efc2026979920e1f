"""What the monitor does when listeners come and go; what is read of it is in tests/conformance/test_model_status.py."""

from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.states import ServableId, State, VersionState

ONE = ServableId("m", 1)
AVAILABLE, END = VersionState(State.AVAILABLE), VersionState(State.END)


def test_a_listener_that_left_hears_no_more_and_the_others_do():
    monitor, first, second = StateMonitor(), [], []
    leave = monitor.listen(lambda *heard: first.append(heard))
    monitor.listen(lambda *heard: second.append(heard))
    monitor.publish(ONE, AVAILABLE)
    leave()
    monitor.publish(ONE, END)
    assert first == [(ONE, AVAILABLE)]
    assert second == [(ONE, AVAILABLE), (ONE, END)]


def test_a_listener_may_leave_while_it_is_told():
    monitor, heard = StateMonitor(), []

    def hear(servable, known):
        heard.append(known)
        leave()

    leave = monitor.listen(hear)
    monitor.publish(ONE, AVAILABLE)
    monitor.publish(ONE, END)
    assert heard == [AVAILABLE]


def test_a_listener_may_read_and_publish():
    monitor = StateMonitor()

    def hear(servable, known):
        if known == AVAILABLE:
            monitor.publish(servable, END)

    monitor.listen(hear)
    monitor.publish(ONE, AVAILABLE)
    assert monitor.versions("m") == {1: END}
