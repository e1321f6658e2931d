"""``--workers``: several processes that serve the same ports, each on a processor of its own."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.python.usage import UsageError

from netguard.one_line import end_in_one_line
from netguard.options import is_off
from netguard.plugins.concerns import Given
from netguard.plugins.explaining import Explainer
from netguard.plugins.listening import CannotServeError
from netguard.process.log_writer import cry
from netguard.units import Prefix, count, duration
from netguard.workers.assignment import Assignment
from netguard.workers.crew import Crew
from netguard.workers.member import Member
from netguard.workers.summing import sum_up
from netguard.workers.worker import Program

if TYPE_CHECKING:
    from netguard.policy import Policy
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = [
    [
        "workers",
        None,
        "1",
        "serve by so many processes, each on a processor of its own; the limits of a peer stay exact (default: 1)",
    ],
    [
        "worker-timeout",
        None,
        "30s",
        "kill and replace a worker that has not answered its parent for so long, since its event loop hangs, or off",
    ],
]
FLAGS: list[list[Any]] = []

MOST = 64
"""Workers at most."""

SHORTEST = 2.0
"""Seconds of ``--worker-timeout`` at least: workers are asked every second."""

_PARENTS: dict[str, str | int | None] = {
    **dict.fromkeys(("control", "take-over", "admin", "admin-token", "admin-tls", "admin-tls-ca", "admin-may-cut")),
    "lock": "none",
    "heartbeat": "off",
    "log-size": "off",
}
"""What the parent alone has, and what a worker is given instead."""

_MANAGERS = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_")
"""What a service manager says to the parent alone."""

PROXIED = (
    "--proxy-from: who is behind a proxy is known only when a worker has read the header, so the proxy's address steers"
)


def check(given: Given) -> None:
    """Be a worker, or see whether there can be some; before anything is looked at that is the parent's."""
    try:
        assignment = Assignment.taken_from(os.environ)
        workers = int(count(given["workers"]))
    except ValueError as why:
        raise UsageError(f"--workers: {why}") from None
    if assignment is not None:
        _become(given, assignment)
        return
    given.patience = _patience(given["worker-timeout"])
    if workers > MOST:
        raise UsageError(f"--workers: {workers} are too many, {MOST} at most")
    if workers > 1:
        given.crew = _program(given), workers


def _patience(text: str) -> float:
    if is_off(text):
        return inf
    try:
        seconds = float(duration(text))
    except ValueError as why:
        raise UsageError(f"--worker-timeout: {why}, nor off") from None
    if seconds < SHORTEST:
        raise UsageError(f"--worker-timeout: {text} is too short, at least {duration.text(SHORTEST)}")
    return seconds


def _become(given: Any, assignment: Assignment) -> None:
    given.member = Member(assignment)
    for name, value in _PARENTS.items():
        given[name] = value
    twistd = given.parent
    if not (twistd["nodaemon"] or twistd["debug"]) and not twistd["logfile"]:
        twistd["logfile"] = "twistd.log"
    twistd.update({"nodaemon": True, "pidfile": "", "uid": None, "gid": None})


def _program(given: Any) -> Program:
    twistd = given.parent
    if twistd is None or "nodaemon" not in twistd:
        raise UsageError("--workers works under twistd only")
    if twistd.get("chroot") is not None:
        raise UsageError("--workers: no worker could be started inside of twistd's --chroot")
    if given.get("demo"):
        raise UsageError("--workers: a demonstration has one process")
    if not hasattr(os, "memfd_create"):
        raise UsageError("--workers needs Linux")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(_MANAGERS)}
    return Program((sys.executable, *sys.orig_argv[1:]), str(Path.cwd()), environment)


def equip(_service: Any, _house: House, _given: Given) -> None:
    """There is nothing that would join the service: see :func:`staffed`."""


def staffed(service: Any, house: House, given: Any) -> Any:
    """The service that is returned to twistd: the application's own, or in its place the crew that serves it.

    Args:
        service: what ``makeService`` has made.
        house: what its guarded factories have in common.
        given: the options.
    """
    from twisted.internet import reactor

    if given.member is not None:
        given.member.serve(service, house, reactor, [Explainer(given.policy, house).command])
        return service
    if given.crew is None:
        return service
    start, workers = given.crew
    policies = [given.policy, *map(given.policy_of, getattr(given, "listens", ()))]
    crew = _Crew(service, house, reactor, start, workers, _widest(policies), given.inherited, given.patience)
    crew.proxied = PROXIED if any(each.before_tls for each in policies) else None
    crew.failed = _Failing(reactor)
    sum_up(house, crew)
    given.looks.append(crew.reload)
    return crew


def _widest(policies: list[Policy]) -> Prefix:
    """The fewest bits that make one peer, wherever: who is a peer by more bits, is one worker's then, too."""
    found = [*_prefixes(policies)] or [Prefix()]
    return Prefix(min(each.ipv4 for each in found), min(each.ipv6 for each in found))


def _prefixes(policies: list[Policy]) -> Iterator[Prefix]:
    for policy in policies:
        for guard in policy.guards:
            prefix = getattr(guard, "prefix", None)
            if isinstance(prefix, Prefix):
                yield prefix


class _Crew(Crew):
    """Ends the start with one line where a port cannot be had."""

    def privilegedStartService(self) -> None:
        """Open the ports.

        Raises:
            CannotServeError: one cannot be had. If nobody catches it, it ends the program with its one line.
        """
        try:
            super().privilegedStartService()
        except CannotListenError as why:
            reason = getattr(why.socketError, "strerror", None) or str(why.socketError)
            place = ":".join(str(each) for each in (why.interface, why.port) if each is not None)
            error = CannotServeError(f"{reason}: cannot listen on {place}")
            end_in_one_line(error)
            raise error from None


class _Failing:
    """Ends the service, with status 1, when a worker cannot start for the first time.

    Args:
        reactor: the reactor.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._failed = False

    def __call__(self, why: str) -> None:
        """End it."""
        if not self._failed:
            self._failed = True
            atexit.register(_end)
            cry(f"netguard: a worker cannot start: {why}\n")
            try:
                self._reactor.stop()
            except ReactorNotRunning:  # it stops already
                return


def _end() -> None:
    sys.stdout.flush()
    os._exit(1)
