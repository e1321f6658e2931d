"""What a service tells the manager that started it: systemd's protocol of datagrams, sd_notify(3).

The rules of this file:

* What names the manager's socket is taken out of the environment: it is not meant for the programs that we start.
* Nobody waits for the manager. What it cannot take at the moment is told again a little later, in order.
* A manager that is gone is no reason to stop serving.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.logger import Logger

from netguard.process.datagrams import Datagrams

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

SOCKET, WATCHDOG, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"

AGAIN = 0.1
"""Seconds after which what the manager could not take is told again."""

MOST = 64
"""So many messages wait at most; the oldest make place."""

_MICRO = 1_000_000
_log = Logger(namespace="netguard")


@frozen
class Manager:
    """What the environment says about a manager.

    Args:
        path: its socket; an abstract one begins with NUL.
        watchdog: seconds within which it wants to hear from us again and again; None where it does not watch.
    """

    path: str
    watchdog: float | None = None

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str], pid: int) -> Manager | None:
        """Take what stands there out of the environment.

        Args:
            environment: as ``os.environ``.
            pid: this process: a watchdog may be meant for another.

        Returns:
            None where no manager listens, or on a socket of a kind that is unknown here.
        """
        path, usec, whose = (environment.pop(name, "") for name in (SOCKET, WATCHDOG, WATCHDOG_PID))
        if path[:1] not in ("/", "@"):
            return None
        watched = usec.isdecimal() and int(usec) > 0 and whose in ("", str(pid))
        return cls("\0" + path[1:] if path[0] == "@" else path, int(usec) / _MICRO if watched else None)


class Notifier:
    """Tells a manager.

    Args:
        manager: which.
        reactor: the clock.
        monotonic: CLOCK_MONOTONIC, in seconds.

    Raises:
        OSError: it does not listen.
    """

    def __init__(
        self, manager: Manager, reactor: IReactorTime, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._datagrams = Datagrams(manager.path)
        self._reactor = reactor
        self._monotonic = monotonic
        self._waiting: deque[bytes] = deque(maxlen=MOST)
        self._again: IDelayedCall | None = None

    def tell(self, **words: object) -> None:
        """Tell it in one message, as ``tell(READY=1, STATUS="serving")``; no word has more than one line."""
        self._waiting.append("\n".join(f"{name}={_on_one_line(word)}" for name, word in words.items()).encode())
        if self._again is None:
            self._send()

    def reloading(self, **words: object) -> None:
        """Tell that files are being read again; ``READY=1`` tells that they were.

        Args:
            words: what else to tell.
        """
        self.tell(RELOADING=1, MONOTONIC_USEC=int(self._monotonic() * _MICRO), **words)

    def _send(self) -> None:
        self._again = None
        while self._waiting:
            try:
                self._datagrams.send(self._waiting[0])
            except BlockingIOError:
                self._again = self._reactor.callLater(AGAIN, self._send)
                return
            except OSError as why:
                _log.warn("the service manager cannot be told: {why}", why=why.strerror)
            self._waiting.popleft()

    def close(self) -> None:
        """Tell nothing more; what waits is lost."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._datagrams.close()


def _on_one_line(word: Any) -> str:
    return " ".join(str(word).split())
