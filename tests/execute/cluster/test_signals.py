"""A signal to stop is heard also where Python loses what its handler raised."""

from __future__ import annotations

import os
import signal

import pytest

from maineffect.execute.cluster.signals import raise_if_told, stop_on_signals


class Closing:
    """Python ignores what is raised while an object is destroyed."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_was_lost_in_a_destructor_is_raised_later() -> None:
    restore = stop_on_signals()
    try:
        closing = Closing()
        del closing
        with pytest.raises(KeyboardInterrupt):
            raise_if_told()
        raise_if_told()  # once
    finally:
        restore()


def test_what_was_heard_does_not_end_the_next_sweep() -> None:
    restore = stop_on_signals()
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        restore()
    raise_if_told()
