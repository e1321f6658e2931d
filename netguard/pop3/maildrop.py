"""A user's Maildir as the maildrop of a POP3 session (RFC 1939, sections 4 to 6).

Rules:

- Message numbers, names and unique-ids are those of the moment of login; mail that comes later is not seen.
- A message is known by the base name of its file. If another program has moved or marked it meanwhile, it is
  looked for again, once; if it is not there, it is gone.
- Only :meth:`Maildrop.commit` removes anything, and its answer comes after the folders are on the disk. Each
  removal stands alone, so a crash between two of them loses no message that was not to be removed.
- The mailbox is locked from before it is looked at until :meth:`Maildrop.release`.
- The reactor's thread does no file work that could wait: it closes descriptors, and looks at and reads what is in
  memory.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, DeferredSemaphore, fail, succeed
from twisted.internet.threads import deferToThread

from netguard.events import emit
from netguard.pop3.look import Look
from netguard.pop3.mail_files import MailFiles
from netguard.pop3.mailbox_errors import MailboxInUse, MailboxTrouble, MailGone
from netguard.pop3.mailbox_path import MailboxPath
from netguard.pop3.mailbox_report import Report, tell
from netguard.pop3.maildir import CHUNK
from netguard.pop3.reading import IN_A_ROW, Reading
from netguard.pop3.slices import InThread, Steps, in_slices, shielded
from netguard.pop3.snapshot import Message, Messages, Snapshot
from netguard.wire.multiline import WireLines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from twisted.python.failure import Failure

    from netguard.pop3.listing import Listing
    from netguard.pop3.mailbox_lock import MailboxLock

__all__ = [
    "MailGone",
    "MailboxInUse",
    "MailboxTrouble",
    "MaildirOpener",
    "Maildrop",
    "Message",
    "Messages",
    "Reading",
    "Report",
]

_TURNS_AT_ONCE = 2


class Maildrop:
    """One session's view of a mailbox. Made by :meth:`MaildirOpener.open` only.

    Args:
        path: the Maildir's directory.
        lock: the lock on it, which this object gives back.
        snapshot: what was there at login.
        in_thread: runs file work.
        tell: is told what is wrong with a message: its base name and the reason.
        correct: is told, at the end, the true sizes of messages that were listed with wrong ones, by index.
        chunk: bytes of a message to read at a time.
    """

    def __init__(
        self,
        path: str,
        lock: MailboxLock,
        snapshot: Snapshot,
        in_thread: InThread,
        tell: Callable[[str, str], None],
        correct: Callable[[dict[int, int]], None],
        chunk: int = CHUNK,
    ) -> None:
        self._path = path
        self._lock = lock
        self._messages = snapshot.messages
        self._local = snapshot.local
        self._files = MailFiles(path, snapshot.messages.names, snapshot.listing.places, snapshot.listing.inodes)
        self._in_thread = in_thread
        self._on_trouble = tell
        self._correct = correct
        self._true_sizes: dict[int, int] = {}
        self._chunk = chunk
        self._told: set[int] = set()
        self._released = False
        self._commits = 0
        self._in_a_row = 0

    @property
    def messages(self) -> Messages:
        """The messages, number 1 first, unchanged for the whole session."""
        return self._messages

    def read(self, index: int, top: int | None = None, *, utf8: bool = True) -> Deferred[Reading]:
        """Open a message for sending.

        Args:
            index: position in `messages`.
            top: None for the whole message; a number of body lines for TOP.
            utf8: whether UTF-8 in its header may stay as it is.

        Returns:
            the Reading, which the caller closes. Fails with MailGone when the message has vanished or is not
            a file that may be sent, with MailboxTrouble when the mailbox cannot be read. Cancelling it is
            safe.

        Raises:
            IndexError: there is no such message.
        """
        self._check([index])
        if self._released:
            return fail(MailboxTrouble(f"{self._path}: read after the mailbox was given back"))

        form = WireLines(top, utf8=utf8)
        at_hand = self._at_hand(index, form)
        if at_hand is not None:
            return succeed(at_hand)

        def opened(reading: Reading) -> Reading:
            reading.settle()
            return reading

        def refused(failure: Failure) -> Failure:
            if failure.check(MailGone):
                self._tell(index, f"cannot be sent: {failure.value}")
            return failure

        reading = in_slices(self._in_thread, self._start(index, form), Reading.close)
        return reading.addCallbacks(opened, refused)

    def commit(self, deleted: Collection[int]) -> Deferred[int]:
        """Remove messages for good: the UPDATE state (RFC 1939, section 6).

        Args:
            deleted: positions in `messages`.

        Returns:
            how many could not be removed; one that has vanished counts as removed. It comes after ``new`` and
            ``cur`` were written to the disk. Fails with MailboxTrouble when that was impossible. Cancelling
            it is safe, and does not stop the removal.

        Raises:
            IndexError: there is no such message; nothing is removed.
        """
        self._check(deleted)
        if self._released:
            return fail(MailboxTrouble(f"{self._path}: removal after the mailbox was given back"))

        def removed(refused: dict[int, str]) -> int:
            for index, reason in refused.items():
                self._tell(index, f"cannot be removed: {reason}")
            return len(refused)

        def over(result: int | Failure) -> int | Failure:
            self._commits -= 1
            if self._released:
                self._lock.release()
            return result

        self._commits += 1
        removal = in_slices(self._in_thread, self._files.remove(sorted(set(deleted))))
        return shielded(removal.addCallback(removed).addBoth(over))

    def release(self) -> None:
        """Give the mailbox back. Later calls do nothing. During a commit it waits for its end."""
        if self._true_sizes and not self._released:
            self._correct(self._true_sizes)
        self._released = True
        if not self._commits:
            self._lock.release()

    def _check(self, indexes: Iterable[int]) -> None:
        """Refuse what is no index; Python would take -1 for the last message."""
        for index in indexes:
            if not 0 <= index < len(self._messages):
                raise IndexError(f"no message {index}: the session has {len(self._messages)}")

    def _start(self, index: int, form: WireLines) -> Steps[Reading]:
        """Open a message and read its first piece; runs in a thread."""
        reading = self._reading(index, form, *(yield from self._files.open(index)))
        reading.prefetch()
        return reading

    def _at_hand(self, index: int, form: WireLines) -> Reading | None:
        """Open a message without a thread, if that needs no waiting and it is not others' turn."""
        self._in_a_row = (self._in_a_row + 1) % (IN_A_ROW + 1)
        opened = self._files.open_at_hand(index) if self._local and self._in_a_row else None
        return None if opened is None else self._reading(index, form, *opened)

    def _reading(self, index: int, form: WireLines, descriptor: int, length: int) -> Reading:
        def whole(octets: int) -> None:
            message = self._messages[index]
            if message.size != octets:
                self._tell(index, f"listed with {message.size} octets on the wire, but it has {octets}")
                self._true_sizes[index] = octets

        return Reading(descriptor, length, form, self._in_thread, whole, self._chunk)

    def _tell(self, index: int, reason: str) -> None:
        """Report what is wrong with a message, once a session."""
        if index not in self._told:
            self._told.add(index)
            self._on_trouble(self._messages[index].name, reason)


class MaildirOpener:
    """Opens users' Maildirs as maildrops.

    Args:
        template: path of a Maildir, with ``{user}`` in the user's place; a leading ``~`` is a home directory.
        in_thread: runs file work outside the reactor.
        create: make a Maildir that is missing (mode 0700); otherwise that is trouble.
        single: allow a template without ``{user}``: then every user opens the same mailbox.
        uidl: whose unique-ids are used: ``native``, or those of ``dovecot`` or ``courier`` for mail that they knew.
        report: is told of entries that are no mail, wrong sizes, and files that cannot be sent or removed.
        chunk: bytes of a message to read at a time.
        at_once: how many threads may look through mailboxes at one moment. They run Python code, so more
            would only keep each other, and the reactor, waiting.

    Raises:
        ValueError: there is no ``{user}`` and `single` was not given, ``~`` stands for no known home directory,
        or nobody else's unique-ids are known as `uidl`.
    """

    def __init__(
        self,
        template: str,
        *,
        in_thread: InThread = deferToThread,
        create: bool = False,
        single: bool = False,
        uidl: str = "native",
        report: Report = emit,
        chunk: int = CHUNK,
        at_once: int = _TURNS_AT_ONCE,
    ) -> None:
        self._paths = MailboxPath(template, single=single)
        self._in_thread = in_thread
        in_turn = partial(DeferredSemaphore(at_once).run, in_thread)
        self._look = Look(in_turn, report, uidl, self._paths.make if create else None)
        self._report = report
        self._chunk = chunk

    def open(self, user: str, where: str | None = None) -> Deferred[Maildrop]:
        """Lock the mailbox of `user` and look at it.

        Args:
            user: the name of an account that has proved who it is.
            where: the path of its Maildir, where the account has one of its own.

        Returns:
            the Maildrop, which the caller must release. Fails with MailboxInUse when another session holds
            it, with MailboxTrouble when it cannot be opened or the name cannot be part of a path. Cancelling
            it is safe: the mailbox is given back.
        """
        try:
            path = self._paths.of(user) if where is None else where
            at_hand = self._look.at_hand(path)
        except (MailboxInUse, MailboxTrouble):
            return fail()
        if at_hand is not None:
            return succeed(self._drop(path, *at_hand))

        def opened(found: tuple[MailboxLock, Snapshot]) -> Maildrop:
            lock, snapshot = found
            self._tell_skips(path, snapshot.listing)
            self._look.learn(path, snapshot)
            return self._drop(path, lock, snapshot)

        def discard(found: tuple[MailboxLock, Snapshot]) -> None:
            found[0].release()

        return in_slices(self._look.in_turn, self._look.at(path), discard).addCallback(opened)

    def _drop(self, path: str, lock: MailboxLock, snapshot: Snapshot) -> Maildrop:
        correct = partial(self._look.correct, path, snapshot)
        return Maildrop(path, lock, snapshot, self._in_thread, partial(tell, self._report, path), correct, self._chunk)

    def _tell_skips(self, path: str, listing: Listing) -> None:
        """Report what lies in the mailbox and is no mail."""
        for place, reason in listing.skipped:
            tell(self._report, path, place, f"skipped: {reason}")
        more = listing.skips - len(listing.skipped)
        if more:
            tell(self._report, path, "", f"{more} more entries skipped")
