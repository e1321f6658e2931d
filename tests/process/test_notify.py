"""What a service manager is told: whole messages, in order, without waiting for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.task import Clock

from netguard.process.notify import AGAIN, MOST, Manager, Notifier
from tests.managers import managing

if TYPE_CHECKING:
    from tests.conftest import Logged


@pytest.mark.parametrize(
    ("environment", "manager"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, None),
        ({"NOTIFY_SOCKET": "/run/s"}, Manager("/run/s")),
        ({"NOTIFY_SOCKET": "@s"}, Manager("\0s")),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "3000000"}, Manager("/s", 3.0)),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, Manager("/s", 0.5)),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, Manager("/s")),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "0"}, Manager("/s")),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "-3"}, Manager("/s")),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "soon"}, Manager("/s")),
    ],
)
def test_the_environment_says_who_listens_and_is_kept_from_others(
    environment: dict[str, str], manager: Manager | None
) -> None:
    """Programs that we start shall not tell anything in our name."""
    environment["PATH"] = "/bin"
    assert Manager.taken_from(environment, 7) == manager
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize("abstract", [False, True])
def test_it_is_told_in_messages_of_lines(abstract: bool, tmp_path: Path) -> None:
    """Nothing that is told can forge another word."""
    path = f"@{tmp_path}" if abstract else str(tmp_path / "notify")
    with managing(path) as manager:
        found = Manager.taken_from({"NOTIFY_SOCKET": path}, 7)
        assert found is not None
        notifier = Notifier(found, Clock(), lambda: 2.5)
        notifier.tell(READY=1, STATUS="a\nMAINPID=1")
        notifier.reloading(STATUS="again")
        assert manager.next() == {"READY": "1", "STATUS": "a MAINPID=1"}
        assert manager.next() == {"RELOADING": "1", "MONOTONIC_USEC": "2500000", "STATUS": "again"}
        notifier.close()


def test_a_manager_that_is_slow_hears_it_later_and_in_order(tmp_path: Path) -> None:
    """And nobody waits; who never listens costs a bounded amount of memory."""
    path, clock = str(tmp_path / "notify"), Clock()
    with managing(path) as manager:
        notifier = Notifier(Manager(path), clock)
        for number in range(200):
            notifier.tell(STATUS=number)
        waiting = len(notifier._waiting)
        assert waiting == MOST
        heard = [int(manager.next()["STATUS"]) for _ in range(5)]
        assert heard == [0, 1, 2, 3, 4]
        manager.heard.setblocking(False)
        for _ in range(200):
            clock.advance(AGAIN)
            try:
                heard.append(int(manager.next()["STATUS"]))
            except BlockingIOError:
                break
        assert heard == sorted(heard)
        assert heard[-1] == 199
        assert clock.getDelayedCalls() == []
        notifier.close()


def test_a_manager_that_is_gone_is_told_of_in_the_log(tmp_path: Path, logged: Logged) -> None:
    """The service goes on; and there is none at the beginning is an error at the beginning."""
    path = str(tmp_path / "notify")
    with pytest.raises(FileNotFoundError):
        Notifier(Manager(path), Clock())
    with managing(path):
        notifier = Notifier(Manager(path), Clock())
    notifier.tell(READY=1)
    told: Any = [each for each in logged.events if "manager" in str(each.get("log_format"))]
    assert [each["why"] for each in told] == ["Connection refused"]
    notifier.close()


def test_what_waits_at_the_end_is_lost(tmp_path: Path) -> None:
    """No timer stays behind."""
    path, clock = str(tmp_path / "notify"), Clock()
    with managing(path):
        notifier = Notifier(Manager(path), clock)
        for number in range(100):
            notifier.tell(STATUS=number)
        notifier.close()
        assert clock.getDelayedCalls() == []
