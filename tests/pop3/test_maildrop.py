"""A user's Maildir as the maildrop of a session: locked, seen once, read exactly, changed only at the end."""

from __future__ import annotations

import os
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.internet.threads import deferToThread

from netguard.page_cache import is_local, look_at_hand, open_at_hand
from netguard.pop3 import mail_files
from netguard.pop3.maildrop import MailboxInUse, MailboxTrouble, MaildirOpener, Maildrop, MailGone
from netguard.pop3.reading import IN_A_ROW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Turns:
    """Stands for threads: keeps each turn until the test runs it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def __call__(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Take a turn, and give the Deferred of its result."""
        result: Deferred[Any] = Deferred()
        self.waiting.append((lambda: function(*args), result))
        return result

    def run(self) -> None:
        """Run the oldest turn and give its result."""
        function, result = self.waiting.pop(0)
        maybeDeferred(function).chainDeferred(result)

    def run_all(self) -> None:
        """Run all turns, and those that come of them."""
        while self.waiting:
            self.run()


class Mailbox:
    """The Maildir of alice, and what is reported of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "alice"
        self.reports: list[dict[str, object]] = []
        for folder in ("tmp", "new", "cur"):
            (self.path / folder).mkdir(parents=True)

    def put(self, place: str, stored: bytes = b"Subject: x\n\nbody\n") -> Path:
        """Make a message."""
        file = self.path / place
        file.write_bytes(stored)
        return file

    def opener(self, in_thread: Any = maybeDeferred, **options: Any) -> MaildirOpener:
        """An opener of the directory."""
        return MaildirOpener(
            f"{self.directory}/{{user}}",
            in_thread=in_thread,
            report=lambda _, fields: self.reports.append(fields),
            **options,
        )

    def open(self, in_thread: Any = maybeDeferred, **options: Any) -> Deferred[Maildrop]:
        """Open alice's mailbox."""
        return self.opener(in_thread, **options).open("alice")

    def left(self) -> list[str]:
        """The entries of both folders."""
        return sorted(f"{folder}/{file.name}" for folder in ("new", "cur") for file in (self.path / folder).iterdir())


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    """An empty mailbox."""
    return Mailbox(tmp_path)


async def sent(drop: Maildrop, index: int, top: int | None = None) -> bytes:
    """What a message is on the wire."""
    reading = await drop.read(index, top)
    pieces = []
    while piece := await reading.next():
        pieces.append(piece)
    reading.close()
    return b"".join(pieces)


async def assert_free(mailbox: Mailbox) -> None:
    """The mailbox can be opened, now."""
    (await mailbox.open()).release()


async def test_a_session_with_threads(mailbox: Mailbox) -> None:
    """With Twisted's own threads, a mailbox is opened, read, emptied and given back."""
    mailbox.put("new/1.a", b"Subject: one\n\n.dot\n")
    mailbox.put("cur/2.b,S=9,W=10:2,S", b"A: b\n\nc\n\n")
    drop = await mailbox.open(deferToThread)
    assert [(message.size, message.uid) for message in drop.messages] == [(22, "1.a"), (10, "2.b")]
    assert await sent(drop, 0) == b"Subject: one\r\n\r\n..dot\r\n.\r\n"
    assert await sent(drop, 0, 0) == b"Subject: one\r\n\r\n.\r\n"
    assert await sent(drop, 1, 1) == b"A: b\r\n\r\nc\r\n.\r\n"
    assert await drop.commit([0, 1]) == 0
    drop.release()
    assert mailbox.left() == []


async def test_the_reactor_waits_for_no_file(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever may wait for a disk is done in threads, from the lock to what is kept for the next session."""
    waiting: list[tuple[str, bool]] = []

    def watched(name: str) -> Any:
        real = getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            waiting.append((name, threading.current_thread() is threading.main_thread()))
            return real(*args, **options)

        return call

    mailbox.put("new/1.a", b"Subject: one\n\nbody\n")
    mailbox.put("cur/2.b:2,S")
    for name in ("open", "scandir", "unlink", "fsync", "rename", "replace"):
        monkeypatch.setattr(os, name, watched(name))
    monkeypatch.setattr(mail_files, "open_at_hand", lambda _: None)  # which never waits
    drop = await mailbox.open(deferToThread)
    await sent(drop, 0)
    assert await drop.commit([0]) == 0
    drop.release()
    assert {"open", "scandir", "unlink", "fsync"} <= {name for name, _ in waiting}
    assert [name for name, in_the_reactor in waiting if in_the_reactor] == []


@pytest.fixture
def settled(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    """The mailbox, with mail, in a time in which every change shows."""
    monkeypatch.setattr("netguard.stamp.GRAIN", -2_000_000_000)
    mailbox.put("new/1.a", b"one\n")
    mailbox.put("cur/2.b,W=99:2,S", b"two\n")
    if look_at_hand(str(mailbox.path)) is None or not is_local(str(mailbox.path)):
        pytest.skip("this kernel, or this file system, does not say what is in memory")
    return mailbox


async def test_who_comes_again_needs_no_thread(settled: Mailbox) -> None:
    """If nothing has changed, all of a session but the removal of messages is done at once."""
    turns = Turns()
    opener = settled.opener(turns)
    first = opener.open("alice")
    turns.run_all()
    (await first).release()
    drop = await opener.open("alice")
    assert await sent(drop, 0) == b"one\r\n.\r\n"
    with pytest.raises(MailboxInUse):
        await opener.open("alice")
    assert turns.waiting == []
    drop.release()
    settled.put("new/3.c")
    later = opener.open("alice")
    turns.run_all()
    assert [message.uid for message in (await later).messages] == ["1.a", "2.b", "3.c"]


async def test_a_true_size_is_told_the_next_time(settled: Mailbox) -> None:
    """A message that was listed with a wrong size is listed with its own when its mailbox is opened at once."""
    opener = settled.opener()
    for listed in (99, 5):
        drop = await opener.open("alice")
        assert (drop.messages[1].size, drop.messages.octets) == (listed, listed + 5)
        await sent(drop, 1)
        assert (drop.messages[1].size, drop.messages.octets) == (listed, listed + 5)
        drop.release()


async def test_what_another_machine_has_is_read_by_threads(settled: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that may have to ask another machine, nothing is taken to be at hand, and all is served."""
    monkeypatch.setattr("netguard.pop3.look.is_local", lambda _: False)
    monkeypatch.setattr("netguard.pop3.look.look_at_hand", None)
    monkeypatch.setattr(mail_files, "open_at_hand", None)
    opener = settled.opener(deferToThread)
    for _ in range(2):
        drop = await opener.open("alice")
        assert await sent(drop, 0) == b"one\r\n.\r\n"
        drop.release()


NUMBERS = count()
STORED = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"a", b"\0", b"\xff"]), max_size=60).map(b"".join),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(stored=STORED, chunk=st.integers(1, 20))
def test_size_and_octets_agree(mailbox: Mailbox, stored: bytes, chunk: int) -> None:
    """Whatever is stored, what is sent is the message with CRLF line ends, and as long as it was said to be."""
    for old in (mailbox.path / "new").iterdir():
        old.unlink()
    # A name of its own: what is in a message never changes, so its size is remembered.
    mailbox.put(f"new/{next(NUMBERS)}.a", stored)
    results: list[bytes] = []

    async def session() -> None:
        drop = await mailbox.open(chunk=chunk)
        wire = await sent(drop, 0)
        lines = wire.removesuffix(b".\r\n").split(b"\r\n")
        results.append(b"\r\n".join(line.removeprefix(b".") for line in lines))
        assert len(results[-1]) == drop.messages[0].size
        drop.release()

    failures: list[object] = []
    Deferred.fromCoroutine(session()).addErrback(failures.append)
    assert failures == []
    unended = stored and not stored.endswith(b"\n")
    assert results == [stored.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + (b"\r\n" if unended else b"")]
    assert mailbox.reports == []


async def test_hostile_entries_are_skipped_and_reported(mailbox: Mailbox) -> None:
    """Entries that are no mail neither block nor leak nor deny service; each is reported, escaped, up to a bound."""
    mailbox.put("cur/1.a")
    os.mkfifo(mailbox.path / "cur" / "2.fifo")
    (mailbox.path / "cur" / "3.link").symlink_to("/etc/passwd")
    (mailbox.path / "cur" / "4.directory").mkdir()
    mailbox.put("cur/5\x1b[31m\n")
    for number in range(30):
        mailbox.put(f"new/.{number}")
    drop = await mailbox.open()
    assert [message.name for message in drop.messages] == ["1.a"]
    drop.release()
    assert len(mailbox.reports) == 11
    assert mailbox.reports[-1] == {
        "mailbox": str(mailbox.path),
        "entry": "",
        "reason": "24 more entries skipped",
    }


async def test_a_name_is_reported_as_it_is(mailbox: Mailbox) -> None:
    """The log escapes the name of a hostile entry, as it does all foreign text."""
    mailbox.put("cur/5\x1b[31m\n")
    (await mailbox.open()).release()
    [report] = mailbox.reports
    assert report == {
        "mailbox": str(mailbox.path),
        "entry": "cur/5\x1b[31m\n",
        "reason": "skipped: its name holds control characters",
    }


async def test_later_mail_is_not_seen(mailbox: Mailbox) -> None:
    """Messages keep their numbers for the session; mail that is delivered meanwhile comes in the next one."""
    mailbox.put("new/2.b", b"two\n")
    drop = await mailbox.open()
    mailbox.put("new/1.a", b"one\n")
    assert [message.name for message in drop.messages] == ["2.b"]
    assert await sent(drop, 0) == b"two\r\n.\r\n"
    assert await drop.commit([0]) == 0
    drop.release()
    assert mailbox.left() == ["new/1.a"]


async def test_a_marked_message_is_still_served(mailbox: Mailbox) -> None:
    """Another program may mark and move mail during the session: it is read and removed all the same."""
    file = mailbox.put("new/1.a", b"one\n")
    drop = await mailbox.open()
    file = file.rename(mailbox.path / "cur" / "1.a:2,S")
    assert await sent(drop, 0) == b"one\r\n.\r\n"
    file.rename(mailbox.path / "cur" / "1.a:2,RS")
    assert await drop.commit([0]) == 0
    drop.release()
    assert mailbox.left() == []


async def test_a_vanished_message_is_gone(mailbox: Mailbox) -> None:
    """A message that another program removed fails alone, is reported once, and counts as removed at the end."""
    mailbox.put("new/1.a")
    mailbox.put("new/2.b", b"two\n")
    drop = await mailbox.open()
    (mailbox.path / "new" / "1.a").unlink()
    for _ in range(2):
        with pytest.raises(MailGone):
            await drop.read(0)
    assert [report["reason"] for report in mailbox.reports] == ["cannot be sent: vanished since the session began"]
    assert await sent(drop, 1) == b"two\r\n.\r\n"
    assert await drop.commit([0]) == 0
    drop.release()
    assert mailbox.left() == ["new/2.b"]


async def test_a_message_that_cannot_be_removed_is_counted(mailbox: Mailbox) -> None:
    """What could not be removed is counted and reported; the others are removed."""
    file = mailbox.put("new/1.a")
    mailbox.put("new/2.b")
    drop = await mailbox.open()
    file.unlink()
    file.mkdir()
    assert await drop.commit([0, 1]) == 1
    drop.release()
    assert mailbox.left() == ["new/1.a"]
    assert [report["entry"] for report in mailbox.reports] == ["1.a"]


async def test_a_size_that_lies_is_put_right(mailbox: Mailbox) -> None:
    """A wrong size in a file's name is found when the message is read, reported, and right in later sessions."""
    mailbox.put("cur/1.a,S=4,W=99:2,S", b"a\nb\n")
    opener = mailbox.opener()
    drop = await opener.open("alice")
    assert drop.messages[0].size == 99
    assert await sent(drop, 0, 5) == b"a\r\nb\r\n.\r\n"
    assert mailbox.reports == []
    assert await sent(drop, 0) == b"a\r\nb\r\n.\r\n"
    assert drop.messages[0].size == 99
    drop.release()
    [report] = mailbox.reports
    assert report["reason"] == "listed with 99 octets on the wire, but it has 6"
    drop = await opener.open("alice")
    assert (drop.messages[0].size, drop.messages.octets) == (6, 6)
    drop.release()


async def test_one_session_at_a_time(mailbox: Mailbox) -> None:
    """A mailbox in use is refused, from any opener, until it is given back; other mailboxes are not concerned."""
    (mailbox.directory / "bob").mkdir()
    for folder in ("new", "cur"):
        (mailbox.directory / "bob" / folder).mkdir()
    drop = await mailbox.open()
    with pytest.raises(MailboxInUse):
        await mailbox.open()
    (await mailbox.opener().open("bob")).release()
    drop.release()
    drop.release()
    await assert_free(mailbox)


@pytest.mark.parametrize("missing", ["alice", "alice/new", "alice/cur"])
async def test_a_mailbox_that_is_not_whole_is_trouble(mailbox: Mailbox, missing: str) -> None:
    """Without its directories a mailbox cannot be opened; once it is mended, it can: nothing was left locked."""
    path = mailbox.directory / missing
    path.rename(mailbox.directory / "away")
    with pytest.raises(MailboxTrouble, match="cannot be opened as a Maildir"):
        await mailbox.open()
    (mailbox.directory / "away").rename(path)
    await assert_free(mailbox)


async def test_an_account_may_have_a_mailbox_elsewhere(mailbox: Mailbox) -> None:
    """Its path comes with the user, and is locked and looked at as any other."""
    mailbox.put("new/1.a")
    opener = mailbox.opener()
    drop = await opener.open("carol", str(mailbox.path))
    assert len(drop.messages) == 1
    with pytest.raises(MailboxInUse):
        await opener.open("alice")
    drop.release()


async def test_a_missing_mailbox_is_made_on_request(mailbox: Mailbox) -> None:
    """With `create`, a user without mail finds an empty mailbox."""
    drop = await mailbox.opener(create=True).open("carol")
    assert list(drop.messages) == []
    assert await drop.commit([]) == 0
    drop.release()
    assert (mailbox.directory / "carol" / "tmp").is_dir()


async def test_a_name_that_is_no_directory_name_is_trouble(mailbox: Mailbox) -> None:
    """A user whose name reaches elsewhere has no mailbox, and the text does not repeat the name."""
    for user in ("../alice", ".", "al\0ice", "alice/cur", ""):
        with pytest.raises(MailboxTrouble, match=r"^this user name cannot be part of a path"):
            await mailbox.opener().open(user)


def test_a_template_for_all_users_must_be_meant(tmp_path: Path) -> None:
    """A template without the placeholder is refused when the opener is made, not when a user comes."""
    with pytest.raises(ValueError, match="share one mailbox"):
        MaildirOpener(str(tmp_path))


async def test_a_single_users_maildir(mailbox: Mailbox) -> None:
    """With `single`, a template is the path of the one mailbox."""
    opener = MaildirOpener(str(mailbox.path), single=True, in_thread=maybeDeferred)
    (await opener.open("whoever")).release()


@pytest.mark.parametrize("index", [-1, 1, 2**70])
async def test_an_index_that_is_none_is_refused(mailbox: Mailbox, index: int) -> None:
    """No number outside the session's reaches a message, and a commit that holds one removes nothing."""
    mailbox.put("new/1.a")
    drop = await mailbox.open()
    with pytest.raises(IndexError, match="the session has 1"):
        drop.read(index)
    with pytest.raises(IndexError):
        drop.commit([0, index])
    drop.release()
    assert mailbox.left() == ["new/1.a"]


async def test_nothing_is_done_after_release(mailbox: Mailbox) -> None:
    """Without the lock nothing is read and nothing is removed."""
    mailbox.put("new/1.a")
    drop = await mailbox.open()
    drop.release()
    with pytest.raises(MailboxTrouble, match="given back"):
        await drop.read(0)
    with pytest.raises(MailboxTrouble, match="given back"):
        await drop.commit([0])
    assert mailbox.left() == ["new/1.a"]


async def test_release_without_commit_removes_nothing(mailbox: Mailbox) -> None:
    """A session that ends without commit leaves the mailbox as it was, bytes and names."""
    mailbox.put("new/1.a")
    mailbox.put("cur/2.b:2,S")
    drop = await mailbox.open()
    await sent(drop, 0)
    drop.release()
    assert mailbox.left() == ["cur/2.b:2,S", "new/1.a"]


async def test_the_mailbox_is_held_until_the_commit_is_over(mailbox: Mailbox) -> None:
    """A release during a commit waits for its end, so that no other session sees half of it."""
    mailbox.put("new/1.a,W=20")
    turns = Turns()
    opening = mailbox.open(turns)
    while not opening.called:  # a turn is a time, so a slow machine needs several
        turns.run()
    drop = await opening
    failures: list[object] = []
    commit = drop.commit([0])
    commit.addErrback(lambda failure: failures.append(failure.type))
    drop.release()
    commit.cancel()
    assert failures == [CancelledError]
    with pytest.raises(MailboxInUse):
        await mailbox.open()
    while turns.waiting:
        turns.run()
    assert mailbox.left() == []
    await assert_free(mailbox)


async def test_a_commit_that_fails_gives_the_mailbox_back(mailbox: Mailbox) -> None:
    """When removing is impossible, the failure is told and the mailbox can still be released."""
    mailbox.put("new/1.a")
    drop = await mailbox.open()
    (mailbox.path / "cur").rename(mailbox.path / "away")
    with pytest.raises(MailboxTrouble):
        await drop.commit([0])
    drop.release()
    (mailbox.path / "away").rename(mailbox.path / "cur")
    assert mailbox.left() == ["new/1.a"]
    await assert_free(mailbox)


async def test_a_cancelled_opening_gives_the_mailbox_back(mailbox: Mailbox) -> None:
    """Who goes away while the mailbox is opened leaves no lock behind."""
    turns = Turns()
    failures: list[object] = []
    opening = mailbox.open(turns)
    opening.addErrback(lambda failure: failures.append(failure.type))
    opening.cancel()
    assert failures == [CancelledError]
    turns.run()
    await assert_free(mailbox)


async def test_a_long_opening_that_is_cancelled_gives_the_mailbox_back(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same while the mailbox is looked through."""
    monkeypatch.setattr("netguard.pop3.slices.TURN", 0.0)
    for number in range(100):
        mailbox.put(f"new/{number}")
    turns = Turns()
    opening = mailbox.open(turns).addErrback(lambda failure: failure.trap(CancelledError))
    turns.run()
    with pytest.raises(MailboxInUse):
        await mailbox.open()
    opening.cancel()
    turns.run()
    assert turns.waiting == []
    await assert_free(mailbox)


def open_files() -> set[str]:
    """What this process has open."""
    links = set()
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names, and some are gone at once
        try:
            links.add(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - the same
        except FileNotFoundError:
            continue
    return links


@pytest.fixture
def nothing_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file has to be waited for."""
    monkeypatch.setattr(mail_files, "open_at_hand", lambda _: None)


@pytest.mark.usefixtures("nothing_at_hand")
async def test_a_cancelled_read_leaves_no_file_open(mailbox: Mailbox) -> None:
    """Who goes away while a message is opened leaves no descriptor behind."""
    file = mailbox.put("new/1.a,W=200002", b"x" * 200_000)
    turns = Turns()
    opening = mailbox.open(turns)
    while not opening.called:
        turns.run()
    drop = await opening
    reading = drop.read(0).addErrback(lambda failure: failure.trap(CancelledError))
    reading.cancel()
    turns.run()
    assert str(file) not in open_files()
    reading = drop.read(0)
    turns.run()
    assert str(file) in open_files()
    (await reading).close()
    assert str(file) not in open_files()
    drop.release()


async def test_what_is_in_memory_is_sent_without_a_thread_and_others_get_their_turn(mailbox: Mailbox) -> None:
    """To hand a small message's work over costs more than the work; but a client that asks for many lets others in."""
    file = mailbox.put("new/1.a,W=3", b"a\n")
    descriptor = open_at_hand(str(file))
    if descriptor is None:
        pytest.skip("this file system does not say what is in memory")
    os.close(descriptor)
    turns = Turns()
    opening = mailbox.open(turns)
    while not opening.called:
        turns.run()
    drop = await opening
    for _ in range(IN_A_ROW):
        assert await sent(drop, 0) == b"a\r\n.\r\n"
    assert turns.waiting == []
    reading = drop.read(0)
    assert not reading.called
    turns.run()
    (await reading).close()
    assert await sent(drop, 0) == b"a\r\n.\r\n"
    drop.release()
    assert str(file) not in open_files()


async def test_what_lies_in_memory_with_a_wrong_size_is_told(mailbox: Mailbox) -> None:
    """As when a thread has read it."""
    mailbox.put("new/1.a,W=9", b"a\n")
    drop = await mailbox.open()
    for _ in range(IN_A_ROW + 1):
        assert await sent(drop, 0) == b"a\r\n.\r\n"
    (report,) = mailbox.reports
    assert "listed with 9 octets on the wire, but it has 3" in str(report)
    drop.release()


@pytest.mark.usefixtures("nothing_at_hand")
async def test_a_read_that_fails_is_trouble(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot be read is trouble, not a missing message."""
    mailbox.put("new/1.a,W=3", b"a\n")
    drop = await mailbox.open()

    def failing(_fd: int, _length: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "read", failing)
    with pytest.raises(MailboxTrouble, match="Input/output error"):
        await drop.read(0)
    monkeypatch.undo()
    drop.release()


async def test_few_threads_look_through_mailboxes_at_once(mailbox: Mailbox) -> None:
    """However many users come at once, only so many turns run together; all are served."""
    turns = Turns()
    users = [f"user{number}" for number in range(5)]
    opener = mailbox.opener(turns, create=True, at_once=2)
    opening = gatherResults([opener.open(user) for user in users])
    most = 0
    while turns.waiting:
        most = max(most, len(turns.waiting))
        turns.run()
    assert most == 2
    for drop in await opening:
        drop.release()


async def test_the_log_is_the_default_for_reports(mailbox: Mailbox, logged: Any) -> None:
    """Without a hook, what is wrong in a mailbox is logged."""
    mailbox.put("cur/.hidden")
    drop = await MaildirOpener(f"{mailbox.directory}/{{user}}").open("alice")
    drop.release()
    [event] = logged.named("mailbox")
    assert (event["entry"], event["reason"]) == ("cur/.hidden", "skipped: its name begins with a dot")
