"""Signals call functions, in the reactor's thread, until they do no more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from netguard.process.signals import on_signal
from tests.popserver import environment


class Turns:
    """A reactor's way to be called, for a test that takes the turns itself."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def callFromThread(self, do: Callable[[], object]) -> None:
        """Wait."""
        self.waiting.append(do)


def test_a_signal_calls_in_the_reactors_turn_and_no_longer_than_wanted() -> None:
    """Nothing is done in the middle of something else; at the end the signal does what it did before."""
    done: list[int] = []
    before = signal.getsignal(signal.SIGHUP)
    turns = Turns()
    end = on_signal(signal.SIGHUP, lambda: done.append(1), turns)
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)
    assert done == []
    for each in turns.waiting:
        each()
    assert done == [1, 1]
    end()
    assert signal.getsignal(signal.SIGHUP) is before


def test_an_application_that_has_a_use_for_the_signal_keeps_it() -> None:
    """Both hear it."""
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    turns = Turns()
    end = on_signal(signal.SIGHUP, lambda: heard.append(0), turns)
    os.kill(os.getpid(), signal.SIGHUP)
    end()
    signal.signal(signal.SIGHUP, before)
    assert (heard, len(turns.waiting)) == ([signal.SIGHUP], 1)


async def test_it_wakes_a_reactor_that_sleeps() -> None:
    """With the real reactor."""
    from twisted.internet import reactor

    came: Deferred[Any] = Deferred()
    end = on_signal(signal.SIGHUP, lambda: came.callback("came"), reactor)
    try:
        await deferToThread(os.kill, os.getpid(), signal.SIGHUP)
        assert await came == "came"
    finally:
        end()


async def test_only_the_main_thread_can() -> None:
    """As Python has it."""
    with pytest.raises(ValueError, match="main thread"):
        await deferToThread(on_signal, signal.SIGHUP, lambda: None, Turns())


def test_a_process_dies_by_a_signal_that_it_had_a_use_for() -> None:
    """As if it had none."""
    words = "import signal; from netguard.process.signals import die_by; signal.signal(15, print); die_by(15); print(1)"
    ended = subprocess.run([sys.executable, "-c", words], env=environment(), capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, b"")
