"""Looking at a mailbox for a session: locked, and with what was kept of it from the last look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from netguard.pop3 import mailbox_cache
from netguard.pop3.foreign_lists import FOREIGN, ForeignList, kinds
from netguard.pop3.mailbox_errors import MailboxTrouble
from netguard.pop3.mailbox_lock import MailboxLock
from netguard.pop3.mailbox_report import Report, tell
from netguard.pop3.slices import InThread, Steps, in_slices
from netguard.pop3.snapshot import Snapshot, Taking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.python.failure import Failure


@frozen
class Look:
    """How mailboxes are looked at.

    Args:
        in_turn: runs a turn of file work outside the reactor.
        report: is told when what was seen cannot be kept.
        uidl: whose unique-ids are used.
        make: makes a mailbox that is missing; None where that is trouble.

    Raises:
        ValueError: there is no such `uidl`.
    """

    in_turn: InThread
    report: Report
    uidl: str = "native"
    make: Callable[[str], None] | None = None

    def __attrs_post_init__(self) -> None:
        if self.uidl not in kinds():
            raise ValueError(f"--uidl {self.uidl!r}: none of {', '.join(kinds())}")

    @property
    def _foreign(self) -> ForeignList | None:
        return FOREIGN.get(self.uidl)

    def at(self, path: str) -> Steps[tuple[MailboxLock, Snapshot]]:
        """Lock the mailbox at `path` and see what is there; runs in a thread.

        If it is given up, the mailbox is unlocked, and sizes that were counted so far are kept: a client that never
        has the patience for a first look at a huge mailbox gets in after a few attempts.

        Raises:
            MailboxInUse: another session holds it.
            MailboxTrouble: it cannot be opened.
        """
        try:
            if self.make is not None:
                self.make(path)
            lock = MailboxLock.acquire(path)
            try:
                return lock, (yield from self._see(path))
            except BaseException:
                lock.release()
                raise
        except OSError as error:
            raise MailboxTrouble(f"{path} cannot be opened as a Maildir: {error}") from error

    def keep(self, path: str, snapshot: Snapshot, corrected: Mapping[int, int] | None = None) -> None:
        """Keep what was seen for the next session, in the background.

        Args:
            path: the mailbox.
            snapshot: what was seen.
            corrected: true sizes, by index, of messages whose sizes were wrong.
        """

        def failed(failure: Failure) -> None:
            failure.trap(OSError)
            tell(self.report, path, mailbox_cache.NAME, f"cannot be written: {failure.value}")

        saving = mailbox_cache.save(path, snapshot, dict(corrected or {}), self.uidl)
        in_slices(self.in_turn, saving).addErrback(failed)

    def _see(self, path: str) -> Steps[Snapshot]:
        before, broken = yield from self._before(path)
        if before is not None and mailbox_cache.is_current(path, before, self._foreign):
            return before
        taking = Taking(path, before, self._foreign)
        try:
            snapshot = yield from taking.run()
        except GeneratorExit:
            partial = taking.partial()
            if partial is not None and (before is None or len(before.messages) < len(partial.messages)):
                self.keep(path, partial)
            raise
        if broken is not None:
            snapshot.listing.skip(mailbox_cache.NAME, f"broken, and made anew: {broken}")
        return snapshot

    def _before(self, path: str) -> Steps[tuple[Snapshot | None, str | None]]:
        """What was kept of the mailbox, and what is wrong with that."""
        try:
            return (yield from mailbox_cache.load(path, self.uidl)), None
        except (mailbox_cache.CacheBroken, OSError) as why:
            try:
                mailbox_cache.drop(path)
            except OSError as further:
                return None, f"{why}, and {further}"
            return None, str(why)
