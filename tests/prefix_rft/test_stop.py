"""Signals ask for a stop, they do not interrupt."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from prefix_rft.stop import StopFlag

NUMBERS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_raises_the_flag_and_names_itself(number: signal.Signals) -> None:
    stop = StopFlag().listen()
    assert not stop
    os.kill(os.getpid(), number)
    assert stop
    assert stop.signal == number.name
