"""What every test gets: a quiet log that forgets no traceback, and a reactor left as clean as it was found.

pytest-twisted notices neither a leaked timer nor a leaked socket, and Twisted logs an unhandled error where
nobody looks. Both would hide defects, so both fail the test here. A test that provokes a traceback on purpose
takes it with the `logged` fixture.
"""

from __future__ import annotations

import gc
import os
import signal
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from attrs import define, field
from hypothesis import settings
from pytest_twisted import blockon
from twisted.internet.base import DelayedCall
from twisted.internet.error import ConnectionAborted
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogLevel, globalLogBeginner, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from twisted.internet.base import ReactorBase
    from twisted.logger import LogEvent

# Turns of the reactor, 10 ms each, in which closing sockets may finish before they count as leaked.
_SETTLING_TURNS = 50

_INTEROP = Path(__file__).parent / "interop"

# How long an example takes says how busy the machine is.
settings.register_profile("netguard", deadline=None)
settings.load_profile("netguard")


def pytest_configure() -> None:
    """Begin logging: until then Twisted keeps every event, and so the frames and sockets of failures.

    And let the programs that tests start hear Ctrl-C: a shell that runs us in the background has told us to ignore it,
    and what is ignored is inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in tests/interop as such, and what runs in this process's reactor, whichever that is."""
    for item in items:
        if iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.reactor)
        if item.path.is_relative_to(_INTEROP):
            item.add_marker(pytest.mark.interop)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where all peers are promised to be there (`.ci/run`), a skipped interop test is a failed one."""
    report = yield
    if report.skipped and item.get_closest_marker("interop") and os.environ.get("NETGUARD_PEERS") == "required":
        report.outcome = "failed"
        report.longrepr = f"NETGUARD_PEERS=required, but the test was skipped: {report.longrepr}"
    return report


@implementer(ILogObserver)
@define
class Logged:
    """What Twisted's log received during one test.

    Attributes:
        events: every event, oldest first.
    """

    events: list[LogEvent] = field(factory=list)
    _taken: list[LogEvent] = field(factory=list)

    def __call__(self, event: LogEvent) -> None:
        """Keep one event (ILogObserver)."""
        self.events.append(event)

    def named(self, name: str) -> list[LogEvent]:
        """The events whose `event` field is `name`."""
        return [event for event in self.events if event.get("event") == name]

    def take_failures(self, *kinds: type[BaseException]) -> list[Failure]:
        """Expect tracebacks: return those of the given kinds (default: all) and do not fail for them."""
        found = [e for e in self._untaken() if not kinds or _failure(e).check(*kinds)]
        self._taken.extend(found)
        return [_failure(event) for event in found]

    def unexpected(self) -> list[str]:
        """The tracebacks, and critical messages, that nobody took."""
        return [
            _failure(event).getTraceback() if _failure(event) else str(event.get("log_format"))
            for event in self.events
            if event not in self._taken and (_failure(event) or event.get("log_level") is LogLevel.critical)
        ]

    def _untaken(self) -> list[LogEvent]:
        return [event for event in self.events if _failure(event) and event not in self._taken]


def _failure(event: LogEvent) -> Any:
    """The failure in an event, also of the older kind that reactors log; else None."""
    return event.get("log_failure") or event.get("failure")


@pytest.fixture(autouse=True)
def logged() -> Iterator[Logged]:
    """The log of this test; a traceback in it that the test does not take fails the test."""
    log = Logged()
    globalLogPublisher.addObserver(log)
    yield log
    globalLogPublisher.removeObserver(log)
    unexpected = log.unexpected()
    if unexpected:
        pytest.fail("tracebacks in the log:\n" + "\n".join(unexpected), pytrace=False)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Without the garbage collector: what is in a cycle stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def _clean_reactor() -> Iterator[None]:
    """Fail a test that leaves a timer, a connection or a listening port behind in the real reactor."""
    from twisted.internet import reactor as installed

    reactor = cast("ReactorBase", installed)
    before = _busy(reactor)
    yield
    for _ in range(_SETTLING_TURNS):
        left = [thing for thing in _busy(reactor) if thing not in before]
        if not left:
            return
        blockon(deferLater(cast("Any", reactor), 0.01))
    names = ", ".join(map(repr, left))
    for thing in left:
        _discard(thing)
    pytest.fail(f"left in the reactor: {names}", pytrace=False)


def _busy(reactor: ReactorBase) -> list[object]:
    """The timers and descriptors that somebody other than the reactor itself owns."""
    own: set[object] = reactor._internalReaders
    selectables: list[object] = [*cast("Any", reactor).getReaders(), *cast("Any", reactor).getWriters()]
    timers = [call for call in reactor.getDelayedCalls() if call.active()]
    return [*timers, *(thing for thing in selectables if thing not in own)]


def _discard(thing: Any) -> None:
    """Take one leaked thing away, so that it fails only the test that leaked it."""
    if isinstance(thing, DelayedCall):
        thing.cancel()
    elif hasattr(thing, "connectionLost"):
        thing.connectionLost(Failure(ConnectionAborted()))
