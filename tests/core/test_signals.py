"""Signals that ask the process to end: raised, or held back until work is whole."""

import os
import signal
import threading

import pytest

from tenfold.core.signals import ENDING, Held, Stopped, raised


def test_a_second_signal_does_not_wait():
    with Held() as held:
        signal.raise_signal(signal.SIGINT)
        assert held.came
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_stays_so_and_other_threads_hold_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raised(), Held() as held:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not held.came
        found = []
        thread = threading.Thread(target=lambda: found.append(Held().__enter__().came))
        thread.start()
        thread.join()
        assert found == [False]
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_raises_while_the_block_runs_and_does_as_before_afterwards(number):
    before = signal.getsignal(number)
    with raised(), pytest.raises(Stopped) as stopped:
        signal.raise_signal(number)
    assert stopped.value.code == 128 + number
    assert signal.getsignal(number) is before


def test_a_held_signal_is_delivered_at_the_end_of_the_block():
    done = []

    def work() -> None:
        with Held() as held:
            assert not held.came
            signal.raise_signal(signal.SIGTERM)
            assert held.came
            done.append("whole")
        done.append("more")

    with raised(), pytest.raises(Stopped):
        work()
    assert done == ["whole"]


def test_without_a_signal_nothing_is_delivered():
    before = [signal.getsignal(number) for number in ENDING]
    with Held() as held:
        pass
    assert not held.came
    assert [signal.getsignal(number) for number in ENDING] == before
