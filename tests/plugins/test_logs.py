"""`--log-format` writes netguard's lines where twistd would have written its own."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING, Any, cast

import pytest
from twisted.application.service import Application, IServiceCollection, MultiService, Service
from twisted.internet.task import Clock, deferLater
from twisted.logger import ILogObserver, LogLevel, formatEventAsClassicLogText
from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from netguard.errors import OptionError
from netguard.events import made
from netguard.plugins import logs
from netguard.plugins.logs import Log, Wanted
from netguard.service import Service as House

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

check: Any = logs.check
EVENT = {"log_format": "hello {who}", "who": "world", "log_level": LogLevel.info, "log_time": 1.0}


def twistd(**options: Any) -> dict[str, Any]:
    """The options of twistd, as they are after parsing."""
    return {"nodaemon": 1, "debug": False, "logfile": None, "logger": None, "syslog": 0, **options}


class Given(dict[str, Any]):
    """The options of a plugin.

    Args:
        parent: those of twistd.
        options: those that were given.
    """

    def __init__(self, parent: Any, **options: Any) -> None:
        defaults = {name: default for name, _, default, _ in logs.PARAMETERS} | {"verbose": 0}
        super().__init__(defaults | {key.replace("_", "-"): value for key, value in options.items()})
        self.parent = parent


@pytest.fixture
def bring() -> Iterator[Any]:
    """Lets a service bring its log to an application; returns the log, and the observer that twistd would find."""
    brought: list[Log] = []

    def join(service: Any, parent: Any = None, form: str | None = "json", **options: Any) -> tuple[Log, Any]:
        wanted = Wanted(form, **{key: options.pop(key) for key in ("most", "keep", "verbose") if key in options})
        brought.append(Log(wanted, twistd(**options)))
        logs.bring(service, brought[-1])
        application: Any = Application("test") if parent is None else parent
        service.setServiceParent(application)
        return brought[-1], application.getComponent(ILogObserver, None)

    yield join
    for log in brought:
        log.close()


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
    check(Given(options, log_format="json"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (None, "works under twistd only"),
        ({"reactor": "default"}, "works under twistd only"),
        (twistd(logger="some.observer"), "twistd's --logger exclude each other"),
        (twistd(nodaemon=0, logfile="-"), "a daemon cannot log to standard output"),
    ],
)
def test_a_format_that_nothing_would_be_written_in_is_refused(options: Any, said: str) -> None:
    """Nobody asks for JSON and gets something else."""
    with pytest.raises(UsageError, match=said):
        check(Given(options, log_format="text"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"log_format": "xml"}, "--log-format is text or json, not 'xml'"),
        ({"log_size": "big"}, "--log-size: .*a number of bytes such as"),
        ({"log_size": "0"}, "--log-size: "),
        ({"log_keep": "0"}, "--log-keep: .*a whole number above 0"),
        ({"log_keep": "off"}, "--log-keep: .*a whole number above 0"),
    ],
)
def test_what_is_no_format_size_or_number_is_refused(options: Any, said: str) -> None:
    """With one line that says what to write."""
    with pytest.raises(UsageError, match=said):
        check(Given(twistd(), **options))


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, Wanted(None, 10 * 2**20, 5, name="netguard-pop")),
        ({"log_size": "off", "log_keep": "9"}, Wanted(None, None, 9, name="netguard-pop")),
        ({"log_format": "json", "verbose": 1}, Wanted("json", 10 * 2**20, 5, verbose=True, name="netguard-pop")),
    ],
)
def test_the_options_say_how_the_log_shall_be(options: Any, wanted: Wanted) -> None:
    """A file is bounded unless somebody says off."""

    class Twistd(dict[str, Any]):
        """As it is under twistd."""

        subCommand = "netguard-pop"

    given = Given(Twistd(twistd()), **options)
    check(given)
    assert logs._wanted(cast("Any", given)) == wanted


@pytest.mark.parametrize("parent", [None, {"reactor": "default"}, twistd(logger="some.observer")])
def test_without_twistd_or_with_another_observer_nothing_is_brought(parent: Any) -> None:
    """Those who log otherwise go on doing so."""
    given = Given(parent)
    check(given)
    service: Any = Service()
    logs.equip(service, House(Clock), cast("Any", given))
    application: Any = Application("test")
    service.setServiceParent(application)
    assert application.getComponent(ILogObserver, None) is None


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("json", '"message": "hello world"'),
        ("text", "1970-01-01T00:00:01.000Z [-#info] hello world"),
    ],
)
def test_in_the_foreground_lines_go_to_standard_output(
    form: str, line: str, capfd: pytest.CaptureFixture[str], bring: Any
) -> None:
    """As twistd -n does it."""
    bring(Service(), form=form)[1](EVENT)
    assert line in capfd.readouterr().out


@pytest.mark.parametrize("verbose", [False, True])
def test_events_of_level_debug_are_written_only_when_asked_for(
    capfd: pytest.CaptureFixture[str], bring: Any, *, verbose: bool
) -> None:
    """With --verbose, a connection's beginning is a line, too."""
    bring(Service(), verbose=verbose)[1]({**EVENT, "log_level": LogLevel.debug})
    assert ("hello world" in capfd.readouterr().out) == verbose


@pytest.mark.parametrize(("name", "written"), [("own.log", "own.log"), (None, "twistd.log")])
def test_a_daemon_writes_into_twistds_file(
    name: str | None, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bring: Any
) -> None:
    """The file that was named, or twistd's default."""
    monkeypatch.chdir(tmp_path)
    bring(Service(), nodaemon=0, logfile=name)[1](EVENT)
    assert json.loads((tmp_path / written).read_text())["message"] == "hello world"


def test_without_a_format_twistds_lines_are_in_the_file(tmp_path: Path, bring: Any) -> None:
    """Those for debugging too, as twistd has them; an event without a text is no line."""
    _, observe = bring(Service(), form=None, logfile=str(tmp_path / "a.log"))
    observe(EVENT)
    observe({**EVENT, "log_level": LogLevel.debug, "log_namespace": "x"})
    observe({})
    lines = (tmp_path / "a.log").read_text().splitlines()
    assert [each.partition(" ")[2] for each in lines] == ["[-#info] hello world", "[x#debug] hello world"]


@pytest.mark.parametrize("second", [1.0, 1_700_000_000.999_4, 1_700_000_001.0, 4_000_000_000.5])
def test_our_events_look_as_twistd_would_write_them(second: float) -> None:
    """They are written by a shorter way, since there are many; whatever stands in them."""
    kinds: dict[str, dict[str, object]] = {
        "closed": {"client.address": "192.0.2.7", "duration": 0.017, "reason": "it is\n[over]\tnow {netguard}"},
        "cut": {"client.address": b"\xff\x00{", "observed": None},
        "accepted": {},
    }
    for name, fields in kinds.items():
        event = {**made(name, fields), "log_time": second}
        assert logs._classic(event) == cast("str", formatEventAsClassicLogText(event)).rstrip("\n")
    broken = {**made("closed", {}), "log_failure": Failure(LookupError("why")), "log_time": second}
    assert "LookupError" in cast("str", logs._classic(broken))


def test_without_a_format_or_a_file_twistd_does_it(bring: Any) -> None:
    """On the terminal."""
    assert bring(Service(), form=None)[1] is None
    assert bring(Service(), form=None, nodaemon=0, logfile=None, debug=True)[1] is None


def test_under_systemd_the_journal_is_the_place(monkeypatch: pytest.MonkeyPatch, bring: Any) -> None:
    """Standard output is a stream to it, which the environment says."""
    ours, theirs = socket.socketpair()
    about = os.fstat(ours.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino}")
    monkeypatch.setattr(logs, "OUT", ours.fileno())
    monkeypatch.setattr(logs, "JOURNAL", "/nonexistent")
    with ours, theirs:
        log, observe = bring(Service(), form=None)
        observe(EVENT)
        assert theirs.recv(1000) == b"<6>[-#info] hello world\n"
        log.writer.place.close()
        assert bring(Service(), form=None, logfile="-", nodaemon=0)[1] is None


def test_syslog_gets_our_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bring: Any) -> None:
    """With twistd's --prefix, where one was given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "SYSLOG", "s")
    with pytest.raises(SystemExit, match=r"^twistd netguard: syslog cannot be reached: No such file"):
        bring(Service(), syslog=1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslogd:
        syslogd.bind("s")
        for prefix, tag in ((None, b"netguard["), ("twisted", b"netguard["), ("mail", b"mail[")):
            for form, said in (
                (None, b": [-#info] hello world"),
                ("text", b": [-#info] hello"),
                ("json", b': {"time"'),
            ):
                log, observe = bring(Service(), form=form, syslog=1, prefix=prefix)
                observe(EVENT)
                message = syslogd.recv(1000)
                assert message.startswith(b"<30>")
                assert tag in message
                assert said in message
                log.writer.place.close()


@pytest.mark.parametrize("by", ["signal", "reload"])
async def test_the_file_is_reopened_by_sigusr1_and_when_files_are_read_again(
    by: str, tmp_path: Path, bring: Any
) -> None:
    """As logrotate does it; without a handler, the signal would end the daemon."""
    from twisted.internet import reactor

    path = tmp_path / "a.log"
    log, observe = bring(Service(), logfile=str(path))
    observe(EVENT)
    path.rename(tmp_path / "a.log.1")
    if by == "signal":
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(500):
            if path.exists():
                break
            await deferLater(reactor, 0.01)
    else:
        log.reopen()
    observe(EVENT)
    assert [each.read_text().count("hello world") for each in (path, tmp_path / "a.log.1")] == [1, 1]


def test_a_reload_hears_when_the_log_cannot_be_reopened(tmp_path: Path, bring: Any) -> None:
    """As of any other file that is read again."""
    path = tmp_path / "a.log"
    log, observe = bring(Service(), logfile=str(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(OptionError, match=f"the log {path}: Is a directory"):
        log.reopen()
    observe(EVENT)


def test_what_is_no_file_has_nothing_to_be_reopened(bring: Any) -> None:
    """Nobody fails for it."""
    log, _ = bring(Service())
    log.reopen()
    log._follow()


def test_equip_lets_a_reload_reopen_the_log(tmp_path: Path, logged: Any) -> None:
    """The whole way: options, service, application, reload."""
    path = tmp_path / "a.log"
    service: Any = Service()
    house = House(Clock)
    made: list[Log] = []
    original = logs.bring

    def remember(service: Any, log: Log) -> None:
        made.append(log)
        original(service, log)

    logs.bring = remember
    try:
        logs.equip(service, house, cast("Any", Given(twistd(logfile=str(path)))))
    finally:
        logs.bring = original
    service.setServiceParent(cast("Any", Application("test")))
    path.unlink()
    assert house.reload()
    assert path.exists()
    made[0].close()
    assert logged.named("reloaded")


def test_a_handler_that_is_there_hears_the_signal_too(tmp_path: Path, bring: Any) -> None:
    """Another service's use of the signal."""
    heard: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    bring(Service(), logfile=str(tmp_path / "a.log"))
    os.kill(os.getpid(), signal.SIGUSR1)
    assert heard == [signal.SIGUSR1]


def test_a_log_that_cannot_be_opened_is_one_line(tmp_path: Path, bring: Any) -> None:
    """Before anything begins."""
    (tmp_path / "a.log").symlink_to("b.log")
    with pytest.raises(SystemExit, match=r"^twistd netguard: the log .*a\.log cannot be opened: it is a symbolic"):
        bring(Service(), logfile=str(tmp_path / "a.log"))


def test_the_log_is_rotated_at_its_size(tmp_path: Path, bring: Any) -> None:
    """--log-size and --log-keep."""
    _, observe = bring(Service(), logfile=str(tmp_path / "a.log"), most=300, keep=1)
    for _ in range(20):
        observe(EVENT)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.log", "a.log.1"]


def test_trouble_with_the_file_is_an_event(tmp_path: Path, bring: Any, logged: Any) -> None:
    """What its keeper finds when the service starts: in this case, a root that does not have it."""
    service: Any = Service()
    application: Any = Application("test")
    options = {"logfile": str(tmp_path / "a.log"), "chroot": str(tmp_path / "jail"), "uid": os.getuid(), "gid": None}
    bring(service, application, **options)
    for child in IServiceCollection(application):
        child.privilegedStartService()
        child.startService()
    (event,) = logged.named("log_stuck")
    assert event["reason"].endswith(f"it lies outside of --chroot {tmp_path}/jail")


@pytest.mark.parametrize("name", [None, "a.log"])
def test_a_service_without_a_file_or_another_user_starts_as_well(name: str | None, tmp_path: Path, bring: Any) -> None:
    """Its keeper has nothing to do."""
    service: Any = Service()
    application: Any = Application("test")
    bring(service, application, logfile=None if name is None else str(tmp_path / name))
    for child in IServiceCollection(application):
        child.privilegedStartService()
        child.startService()


class Carbonlike(MultiService):
    """A service with an observer, such as Carbon's."""

    def setServiceParent(self, parent: Any) -> None:
        """Join, and bring the observer."""
        super().setServiceParent(parent)
        parent.setComponent(ILogObserver, print)


def test_the_chosen_format_wins_over_one_that_the_service_brings_itself(bring: Any) -> None:
    """An operator's word counts; without one, the service's observer stays."""
    assert bring(Carbonlike())[1] is not print
    assert bring(Carbonlike(), form=None)[1] is print


def test_a_service_within_another_brings_nothing(tmp_path: Path) -> None:
    """Only an application has a log."""
    service: Any = Service()
    logs.bring(service, Log(Wanted("json"), twistd(logfile=str(tmp_path / "a.log"))))
    parent: Any = MultiService()
    service.setServiceParent(parent)
    assert service.parent is parent
    assert not (tmp_path / "a.log").exists()
