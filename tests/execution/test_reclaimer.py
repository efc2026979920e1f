"""When memory is given back: after it has grown and grows no more, and seldom while it is used again at once."""

import pytest

from servable.execution import memory
from servable.execution.reclaimer import Reclaimer

MIB = 1 << 20


class Process:
    """Memory and CPU time as a test wants them, looked at once a second."""

    def __init__(self):
        self.resident, self.cpu_s, self.now_s, self.gave_at_s = 500 * MIB, 0.0, 100.0, []
        self.freed = 0
        self.reclaimer = Reclaimer(lambda: self.resident, lambda: self.cpu_s, self.give_back)

    def give_back(self):
        self.gave_at_s.append(self.now_s)
        self.resident -= self.freed
        self.freed = 0

    def grow(self, size, freed):
        self.resident += size
        self.freed += freed

    def look(self, times=1, cpu_share=0.0):
        for _ in range(times):
            self.now_s += 1
            self.cpu_s += cpu_share
            assert self.reclaimer.turn(self.now_s) == self.now_s + 1


@pytest.fixture
def process():
    return Process()


def test_what_a_large_request_took_is_given_back_within_two_looks(process):
    process.grow(1000 * MIB, freed=1000 * MIB)
    process.look(2)
    assert process.resident == 500 * MIB
    process.look(100)
    assert len(process.gave_at_s) == 1


def test_nothing_is_given_back_while_memory_grows(process):
    for _ in range(5):
        process.grow(100 * MIB, freed=0)
        process.look()
    assert process.gave_at_s == []
    process.look()
    assert len(process.gave_at_s) == 1


def test_a_little_is_not_worth_it(process):
    process.grow(63 * MIB, freed=63 * MIB)
    process.look(10)
    assert process.gave_at_s == []


def test_what_stays_in_use_is_tried_a_few_times(process):
    process.grow(1000 * MIB, freed=0)
    process.look(1000)
    assert len(process.gave_at_s) == 6
    process.grow(1000 * MIB, freed=1000 * MIB)
    process.look(2)
    assert process.freed == 0


@pytest.mark.parametrize("call_s", [1, 5, 20])
def test_what_a_long_call_held_is_given_back_soon_after_it(process, call_s):
    process.grow(1000 * MIB, freed=0)
    process.look(call_s)
    process.grow(0, freed=1000 * MIB)
    process.look(7)
    assert process.resident == 500 * MIB


def test_what_is_used_again_at_once_is_given_back_ever_more_seldom_while_the_process_is_busy(process):
    for _ in range(300):
        if not process.freed:
            process.grow(1000 * MIB, freed=1000 * MIB)
        process.look(cpu_share=0.9)
    pauses = [later - earlier for earlier, later in zip(process.gave_at_s, process.gave_at_s[1:], strict=False)]
    assert pauses[:4] == [2, 4, 8, 16]
    assert max(pauses) == 60
    process.look(3, cpu_share=0.0)


def test_a_process_with_little_to_do_gives_back_soon_whatever_was_before(process):
    for _ in range(300):
        if not process.freed:
            process.grow(1000 * MIB, freed=1000 * MIB)
        process.look(cpu_share=0.9)
    process.grow(1000 * MIB, freed=1000 * MIB)
    process.look(8, cpu_share=0.1)
    assert process.resident <= 1500 * MIB
    assert process.freed == 0


def test_after_a_quiet_time_the_pauses_are_short_again(process):
    for _ in range(10):
        process.grow(1000 * MIB, freed=1000 * MIB)
        process.look(2, cpu_share=0.9)
    process.look(300)
    count = len(process.gave_at_s)
    for _ in range(2):
        process.grow(1000 * MIB, freed=1000 * MIB)
        process.look(4, cpu_share=0.9)
    assert len(process.gave_at_s) == count + 2


def test_a_libc_without_the_functions_of_glibc_is_left_alone(monkeypatch):
    class OtherLibc:
        """Has none of them."""

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _name: OtherLibc())
    assert not memory.can_give_back()
    memory.prepare()
    memory.give_back()
