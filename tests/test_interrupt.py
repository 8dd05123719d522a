from __future__ import annotations

import os
import signal

import pytest

from align_cli.interrupt import listening


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_request_is_remembered_and_the_second_stops(number: signal.Signals):
    said: list[str] = []

    with listening(said.append) as stop:
        os.kill(os.getpid(), number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)

    assert len(said) == 1


def test_the_usual_handlers_come_back():
    before = signal.getsignal(signal.SIGINT)

    with listening(lambda line: None):
        pass

    assert signal.getsignal(signal.SIGINT) is before


def test_a_request_in_the_middle_of_a_written_line_is_remembered():
    def say(line: str) -> None:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter>")  # what Python's streams say then

    with listening(say) as stop:
        signal.raise_signal(signal.SIGTERM)

    assert stop.asked
