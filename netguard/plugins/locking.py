"""``--lock``: one instance of a service, decided before twistd looks at its pidfile and before any log is opened.

twistd reads a pidfile, decides, and writes it later: two starts at once both run, and a pid that another program has by
now stops a start for ever. Who holds the lock knows that no other instance lives, so whatever the pidfile says is old.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.logger import Logger
from twisted.python import usage

from netguard.plugins.concerns import Given, join
from netguard.process.instance import InstanceError, SingleInstance

if TYPE_CHECKING:
    from netguard.process.inheritance import Inheritance
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = [
    ["lock", None, None, "lock this file, so that one instance runs; or none (default: the pidfile and .lock)"],
]
FLAGS: list[list[Any]] = []

NONE = "none"
SUFFIX = ".lock"

_Service: Any = Service  # it is not annotated
_log = Logger(namespace="netguard")


def take(
    wanted: str | None, twistd: MutableMapping[str, Any] | None, inherited: Inheritance | None = None
) -> SingleInstance | None:
    """Take the lock of a service that is about to start.

    Args:
        wanted: a path, ``none`` for no lock, or None for the pidfile's name with ``.lock`` behind it.
        twistd: the options of twistd itself, whose pidfile is removed when it says that somebody runs; None where the
            options are not twistd's.
        inherited: what another instance has handed over. Where its lock is the same, its pidfile is left alone, too:
            it is that instance's until everything is taken over.

    Returns:
        The lock, held; None when none is wanted, or no pidfile is there that it could be beside.

    Raises:
        InstanceError: another instance runs, or the lock cannot be had.
    """
    if wanted == NONE or twistd is None or "pidfile" not in twistd:
        return None
    pidfile = _final(twistd) if twistd["pidfile"] else None
    if wanted is None and pidfile is None:
        return None
    path = Path(f"{pidfile}{SUFFIX}") if wanted is None else Path(wanted)
    lock = SingleInstance(path, twistd.get("uid"))
    passed = None if inherited is None else inherited.take_lock()
    if inherited is not None and passed is not None and lock.inherit(passed):
        inherited.held = lock
        if pidfile is not None:
            inherited.pidfile, twistd["pidfile"] = str(pidfile), ""
        return lock
    lock.acquire()
    if pidfile is not None:
        if twistd.get("chroot") is None:
            twistd["pidfile"] = str(pidfile)  # twistd looks in one directory, and writes in another (--rundir)
        _remove(pidfile)
    return lock


def _final(twistd: Mapping[str, Any]) -> Path:
    """Where the pidfile will be, as this process sees it now: --chroot and --rundir come later."""
    chroot, rundir, pidfile = twistd.get("chroot"), twistd.get("rundir") or ".", twistd["pidfile"]
    if chroot is None:
        return Path(rundir, pidfile).absolute()
    return Path(chroot, rundir.lstrip("/"), pidfile.lstrip("/")).absolute()


def _remove(pidfile: Path) -> None:
    try:
        before = pidfile.read_bytes()[:20]
        pidfile.unlink()
    except FileNotFoundError:
        return
    except OSError as why:
        raise InstanceError(f"the pidfile {pidfile} is in the way: {why.strerror}") from None
    _log.warn("{pidfile} was left behind, by process {pid!r}", pidfile=str(pidfile), pid=before)


def check(given: Given) -> None:
    """Take the lock."""
    try:
        given.instance = take(given["lock"], given.parent, given.inherited)
    except InstanceError as why:
        raise usage.UsageError(str(why)) from None


def equip(service: Any, _house: House, given: Given) -> None:
    """Let the lock say who holds it, once the process is the one that stays."""
    if given.instance is not None and given.parent is not None:
        claims = given.inherited is None or given.inherited.held is None
        join(service, _Holder(given.instance, given.parent, claims=claims), before=True)


class _Holder(_Service):  # type: ignore[misc]
    """Starts first of all: by now twistd has become a daemon, and is still who it was.

    Args:
        lock: the lock.
        twistd: the options of twistd itself.
        claims: whether the lock says from the start that this is the process; it is another's to say that otherwise.
    """

    def __init__(self, lock: SingleInstance, twistd: Mapping[str, Any], *, claims: bool = True) -> None:
        self.lock = lock
        self.claims = claims
        self.twistd = twistd

    def privilegedStartService(self) -> None:
        """Say who holds the lock, and let the files belong to the user who has to remove them."""
        super().privilegedStartService()
        if self.claims:
            self.lock.claim()
        uid, gid = self.twistd.get("uid"), self.twistd.get("gid")
        if uid is not None:
            with suppress(OSError):  # not root: then nobody changes who it is, either
                self.lock.give_to(uid, gid)
            for name in (self.twistd["pidfile"], self.twistd["logfile"]):
                with suppress(OSError):
                    os.chown(name or "twistd.log", uid, -1 if gid is None else gid, follow_symlinks=False)
