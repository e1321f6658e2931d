"""Looking at a mailbox for a session: locked, and with what was kept of it from the last look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from netguard.page_cache import is_local, look_at_hand
from netguard.pop3 import mailbox_cache
from netguard.pop3.foreign_lists import FOREIGN, ForeignList, kinds
from netguard.pop3.mailbox_errors import MailboxTrouble
from netguard.pop3.mailbox_lock import MailboxLock
from netguard.pop3.mailbox_memory import MailboxMemory
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
        memory: what is remembered of small mailboxes.

    Raises:
        ValueError: there is no such `uidl`.
    """

    in_turn: InThread
    report: Report
    uidl: str = "native"
    make: Callable[[str], None] | None = None
    memory: MailboxMemory = field(factory=MailboxMemory)

    def __attrs_post_init__(self) -> None:
        if self.uidl not in kinds():
            raise ValueError(f"--uidl {self.uidl!r}: none of {', '.join(kinds())}")

    @property
    def _foreign(self) -> ForeignList | None:
        return FOREIGN.get(self.uidl)

    def at_hand(self, path: str) -> tuple[MailboxLock, Snapshot] | None:
        """Lock the mailbox at `path` and recall what was there, if nothing has changed since and nothing needs waiting.

        Returns:
            None where it takes a thread to look, by :meth:`at`.

        Raises:
            MailboxInUse: another session holds it.
            MailboxTrouble: it cannot be opened.
        """
        snapshot = self.memory.recall(path)
        if snapshot is None:
            return None
        try:
            lock = MailboxLock.at_hand(path)
        except OSError as error:
            raise _cannot_be_opened(path, error) from error
        if lock is not None:
            if mailbox_cache.is_current(path, snapshot, self._foreign, look_at_hand):
                return lock, snapshot
            lock.release()
        return None

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
                snapshot = yield from self._see(path)
                snapshot.local = is_local(path)
            except BaseException:
                lock.release()
                raise
        except OSError as error:
            raise _cannot_be_opened(path, error) from error
        return lock, snapshot

    def learn(self, path: str, snapshot: Snapshot) -> None:
        """Let the next session be spared the work of this one, as far as it may be.

        Args:
            path: the mailbox.
            snapshot: what was seen.
        """
        self.memory.note(path, snapshot)
        if mailbox_cache.worth_keeping(snapshot):
            self.keep(path, snapshot)

    def correct(self, path: str, snapshot: Snapshot, sizes: Mapping[int, int]) -> None:
        """Let the next session know what this one has found out.

        Args:
            path: the mailbox.
            snapshot: what was seen.
            sizes: true sizes, by index, of messages whose sizes were wrong.
        """
        known = evolve(snapshot, messages=snapshot.messages.corrected(sizes))
        self.memory.note(path, known)
        self.keep(path, known)

    def keep(self, path: str, snapshot: Snapshot) -> None:
        """Keep what was seen on the disk, in the background.

        Args:
            path: the mailbox.
            snapshot: what was seen.
        """

        def failed(failure: Failure) -> None:
            failure.trap(OSError)
            tell(self.report, path, mailbox_cache.NAME, f"cannot be written: {failure.value}")

        in_slices(self.in_turn, mailbox_cache.save(path, snapshot, self.uidl)).addErrback(failed)

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


def _cannot_be_opened(path: str, error: OSError) -> MailboxTrouble:
    return MailboxTrouble(f"{path} cannot be opened as a Maildir: {error}")
