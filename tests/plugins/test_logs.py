"""`--log-format` writes netguard's lines where twistd would have written its own."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from twisted.application.service import Application, MultiService, Service
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogLevel
from twisted.python.logfile import LogFile
from twisted.python.usage import UsageError

from netguard.plugins import logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

check: Any = logs.check
EVENT = {"log_format": "hello {who}", "who": "world", "log_level": LogLevel.info, "log_time": 1.0}


def twistd(**options: Any) -> dict[str, Any]:
    """The options of twistd, as they are after parsing."""
    return {"nodaemon": 1, "debug": False, "logfile": None, "logger": None, "syslog": 0, **options}


class Given(dict[str, Any]):
    """The options of a plugin that asks for a format.

    Args:
        parent: those of twistd.
    """

    def __init__(self, parent: Any) -> None:
        super().__init__({"log-format": "json"})
        self.parent = parent


def observer_of(service: Any, **options: Any) -> Any:
    """The observer that a service brings to its application."""
    verbose = options.pop("verbose", False)
    logs.bring(service, options.pop("format", "json"), twistd(**options), verbose=verbose)
    application: Any = Application("test")
    service.setServiceParent(application)
    return application.getComponent(ILogObserver)


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A daemon has its log open until it ends; a test must not."""
    opened: list[Any] = []
    original = LogFile.fromFullPath

    def remember(name: str) -> Any:
        opened.append(original(name))
        return opened[-1]

    monkeypatch.setattr(LogFile, "fromFullPath", remember)
    yield
    for file in opened:
        file.close()


@pytest.fixture(autouse=True)
def _rotation() -> Iterator[None]:
    """Give SIGUSR1 back."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(
    "options",
    [twistd(), twistd(logfile="-"), twistd(nodaemon=0, debug=True, logfile="-"), twistd(nodaemon=0, logfile="a.log")],
)
def test_a_format_is_taken_wherever_twistd_writes_lines(options: dict[str, Any]) -> None:
    """In the foreground, and into a file."""
    check(Given(options))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (None, "works under twistd only"),
        ({"reactor": "default"}, "works under twistd only"),
        (twistd(logger="some.observer"), "twistd's --logger exclude each other"),
        (twistd(syslog=1), "twistd's --syslog exclude each other"),
        (twistd(nodaemon=0, logfile="-"), "a daemon cannot log to standard output"),
    ],
)
def test_a_format_that_nothing_would_be_written_in_is_refused(options: Any, said: str) -> None:
    """Nobody asks for JSON and gets something else."""
    with pytest.raises(UsageError, match=said):
        check(Given(options))


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("json", '"message": "hello world"'),
        ("text", "1970-01-01T00:00:01.000Z [-#info] hello world"),
    ],
)
def test_in_the_foreground_lines_go_to_standard_output(
    form: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As twistd -n does it."""
    observer_of(Service(), format=form)(EVENT)
    assert line in capsys.readouterr().out


@pytest.mark.parametrize("verbose", [False, True])
def test_events_of_level_debug_are_written_only_when_asked_for(
    verbose: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --verbose, a connection's beginning is a line, too."""
    observer_of(Service(), verbose=verbose)({**EVENT, "log_level": LogLevel.debug})
    assert ("hello world" in capsys.readouterr().out) == verbose


@pytest.mark.parametrize(("name", "written"), [("own.log", "own.log"), (None, "twistd.log")])
def test_a_daemon_writes_into_twistds_file(
    name: str | None, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that was named, or twistd's default."""
    monkeypatch.chdir(tmp_path)
    observer_of(Service(), nodaemon=0, logfile=name)(EVENT)
    assert json.loads((tmp_path / written).read_text())["message"] == "hello world"


async def test_sigusr1_rotates_the_file_as_under_twistd(tmp_path: Path) -> None:
    """Without a handler, the signal would end the daemon."""
    from twisted.internet import reactor

    observe = observer_of(Service(), logfile=str(tmp_path / "a.log"))
    observe(EVENT)
    os.kill(os.getpid(), signal.SIGUSR1)
    for _ in range(500):
        if (tmp_path / "a.log.1").exists():
            break
        await deferLater(reactor, 0.01)
    assert (tmp_path / "a.log.1").read_text().count("hello world") == 1
    assert (tmp_path / "a.log").read_text() == ""


def test_a_handler_that_is_there_stays(tmp_path: Path) -> None:
    """Another service's use of the signal comes first, as under twistd."""

    def handler(*_: object) -> None:
        """Do nothing."""

    signal.signal(signal.SIGUSR1, handler)
    observer_of(Service(), logfile=str(tmp_path / "a.log"))
    assert signal.getsignal(signal.SIGUSR1) is handler


def test_the_chosen_format_wins_over_one_that_the_service_brings_itself() -> None:
    """Carbon sets an observer of its own when it joins its application."""

    class Carbonlike(MultiService):
        """A service with an observer."""

        def setServiceParent(self, parent: Any) -> None:
            """Join, and bring the observer."""
            super().setServiceParent(parent)
            parent.setComponent(ILogObserver, print)

    assert observer_of(Carbonlike()) is not print


def test_a_service_within_another_brings_nothing() -> None:
    """Only an application has a log."""
    service: Any = Service()
    logs.bring(service, "json", twistd())
    parent: Any = MultiService()
    service.setServiceParent(parent)
    assert service.parent is parent
