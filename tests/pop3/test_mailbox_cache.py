"""What a session saw, kept for the next ones."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, TypeVar
from zlib import crc32

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netguard.pop3 import mailbox_cache
from netguard.pop3.foreign_lists import FOREIGN
from netguard.pop3.listing import Listing
from netguard.pop3.mailbox_cache import NAME, CacheBroken, drop, is_current, load, save, worth_keeping
from netguard.pop3.snapshot import Messages, Snapshot, Taking
from netguard.stamp import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netguard.pop3.slices import Steps

T = TypeVar("T")


def run(steps: Steps[T]) -> T:
    """Run `steps` to the end."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


@pytest.fixture
def maildir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Maildir with messages of all sorts, in a time in which every change shows."""
    monkeypatch.setattr("netguard.stamp.GRAIN", -2_000_000_000)
    for folder in ("tmp", "new", "cur"):
        (tmp_path / folder).mkdir()
    for place in ("new/1.a", "cur/2.b,W=5:2,S", "cur/a b:2,", "cur/raw\udcff:2,S", "new/" + "x" * 99):
        (tmp_path / place).write_bytes(b"abc\n")
    return tmp_path


def seen(maildir: Path, kind: str = "native") -> Snapshot:
    """What a session sees."""
    return run(Taking(str(maildir), foreign=FOREIGN.get(kind)).run())


def rows(snapshot: Snapshot) -> list[tuple[object, ...]]:
    """All that matters of a snapshot, in rows."""
    columns = snapshot.listing.places, snapshot.listing.inodes, snapshot.listing.names
    return list(zip(snapshot.messages, *columns, strict=True))


def kept(maildir: Path, kind: str = "native") -> Snapshot:
    """What was kept."""
    found = run(load(str(maildir), kind))
    assert found is not None
    return found


def test_what_was_kept_is_what_was_seen(maildir: Path) -> None:
    """Names, places, sizes and unique-ids come back, and prove that nothing changed."""
    before = seen(maildir)
    run(save(str(maildir), before))
    after = kept(maildir)
    assert rows(after) == rows(before)
    assert after.messages.octets == before.messages.octets
    assert after.remembered
    assert is_current(str(maildir), after)
    assert (maildir / NAME).stat().st_mode & 0o777 == 0o600


def test_a_big_mailbox_is_kept_in_blocks(maildir: Path) -> None:
    """Thousands of messages are written and read in steps."""
    for number in range(2100):
        (maildir / "cur" / f"{number},W=5:2,S").touch()
    before = seen(maildir)
    assert len(list(save(str(maildir), before))) == 3
    assert rows(kept(maildir)) == rows(before)


def test_an_empty_mailbox_can_be_kept(maildir: Path) -> None:
    """Nothing is kept of nothing, without fault."""
    run(save(str(maildir), Snapshot()))
    assert rows(kept(maildir)) == []
    assert not is_current(str(maildir), kept(maildir))


def test_true_sizes_are_kept(maildir: Path) -> None:
    """A size that turned out to be wrong is right the next time."""
    known = seen(maildir)
    run(save(str(maildir), evolve(known, messages=known.messages.corrected({1: 99}))))
    assert kept(maildir).messages[1].size == 99


CHANGES: dict[str, Callable[[Path], object]] = {
    "delivered": lambda maildir: (maildir / "new" / "9.z").touch(),
    "marked": lambda maildir: (maildir / "cur" / "a b:2,").rename(maildir / "cur" / "a b:2,S"),
    "moved": lambda maildir: (maildir / "new" / "1.a").rename(maildir / "cur" / "1.a:2,"),
    "removed": lambda maildir: (maildir / "new" / "1.a").unlink(),
    "replaced": lambda maildir: (maildir / "tmp").rename((maildir / "new").rename(maildir / "old").with_name("new")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_shows(maildir: Path, change: str) -> None:
    """After any change, what was kept proves nothing, even if the folders' times of modification are set back."""
    run(save(str(maildir), seen(maildir)))
    times = {folder: (maildir / folder).stat() for folder in ("new", "cur")}
    CHANGES[change](maildir)
    for folder, status in times.items():
        os.utime(maildir / folder, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not is_current(str(maildir), kept(maildir))


def test_nothing_is_proved_of_a_young_folder(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen just after a change may be out of date without a sign of it."""
    monkeypatch.setattr("netguard.stamp.GRAIN", 2_000_000_000)
    run(save(str(maildir), seen(maildir)))
    assert not is_current(str(maildir), kept(maildir))


def test_ids_are_those_of_one_list(maildir: Path) -> None:
    """Ids of Dovecot are used as long as its list is the same, and never where others were asked for."""
    (maildir / "dovecot-uidlist").write_bytes(b"3 V255 N9\n7 :1.a\n")
    run(save(str(maildir), seen(maildir, "dovecot"), kind="dovecot"))
    assert "00000007000000ff" in kept(maildir, "dovecot").messages.uids
    assert is_current(str(maildir), kept(maildir, "dovecot"), FOREIGN["dovecot"])
    assert not is_current(str(maildir), kept(maildir), None)
    with (maildir / "dovecot-uidlist").open("ab") as file:
        file.write(b"8 :2.b\n")
    assert not is_current(str(maildir), kept(maildir, "dovecot"), FOREIGN["dovecot"])


def test_what_is_worth_keeping() -> None:
    """What cost a reading, or a long listing that proves something; not what was only remembered."""
    few, many = Messages(["a"], [1], ["a"]), Messages(map(str, range(64)), range(64), map(str, range(64)))
    proved = seen_stamps()
    assert not worth_keeping(Snapshot(few))
    assert worth_keeping(Snapshot(few, counted=1))
    assert not worth_keeping(Snapshot(few, proved))
    assert worth_keeping(Snapshot(many, proved))
    assert not worth_keeping(Snapshot(many))
    assert not worth_keeping(Snapshot(many, proved, counted=1, remembered=True))


def seen_stamps() -> Listing:
    """A listing that proves something."""
    return Listing(stamps={"new": Stamp(1, 2, 0, 3, 4)})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_a_file_that_was_damaged_is_not_believed(maildir: Path, data: st.DataObject) -> None:
    """Cut off, or with any byte changed, it is broken; no other exception comes."""
    run(save(str(maildir), seen(maildir)))
    content = bytearray((maildir / NAME).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    (maildir / NAME).write_bytes(content)
    with pytest.raises(CacheBroken):
        run(load(str(maildir)))


def forged(maildir: Path, places: bytes, sizes: bytes = b"5", uids: bytes = b"", count: object = 1) -> None:
    """Write a file as a user could who wants to fool the server."""
    header = {"netguard-pop3-cache": 1, "messages": count, "folders": {}, "uidl": "native", "list": None}
    names = b"\0".join(place.rpartition(b"/")[2] or b"x" for place in places.split(b"\0"))
    content = b"\n".join([json.dumps(header).encode(), names, places, sizes, b"1", uids, b""])
    (maildir / NAME).write_bytes(content + b"%08x\n" % crc32(content))


@pytest.mark.parametrize(
    ("places", "sizes", "uids", "count"),
    [
        (b"cur/../../etc/passwd", b"5", b"", 1),
        (b"cur/x\0cur/../y", b"5 5", b"", 1),
        (b"/etc/passwd", b"5", b"", 1),
        (b"tmp/x", b"5", b"", 1),
        (b"cur/.x", b"5", b"", 1),
        (b"cur/:2,S", b"5", b"", 1),
        (b"cur/x", b"-5", b"", 1),
        (b"cur/x", b"9" * 30, b"", 1),
        (b"cur/x", b"9" * 5000, b"", 1),
        (b"cur/x", b"5 5", b"", 1),
        (b"cur/x", b"5", b"a\rb", 1),
        (b"cur/x", b"5", b"x" * 71, 1),
        (b"cur/x", b"5", b"\xff", 1),
        (b"cur/a b", b"5", b"", 1),
        (b"cur/x", b"5", b"", 0),
        (b"cur/x", b"5", b"", "many"),
        (b"cur/x", b"5", b"", None),
    ],
    ids=[
        *("up", "up-behind", "absolute", "tmp", "hidden", "nameless", "negative", "huge", "endless", "columns"),
        *("control", "long", "8-bit", "not-plain", "count", "text-count", "no-count"),
    ],
)
def test_who_writes_the_file_gets_nothing(
    maildir: Path, places: bytes, sizes: bytes, uids: bytes, count: object
) -> None:
    """Whatever its owner writes, no place leads out of the folders, and no reply can be forged."""
    forged(maildir, b"cur/x")
    assert kept(maildir).listing.places == ["cur/x"]
    forged(maildir, places, sizes, uids, count)
    with pytest.raises(CacheBroken):
        run(load(str(maildir)))


@pytest.mark.parametrize("content", [b"[" * 100_000 + b"\n", b"[]\n", b'{"netguard-pop3-cache": 2}\n', b"\n"])
def test_a_header_that_is_none_is_broken(maildir: Path, content: bytes) -> None:
    """Deep nesting, other types and other versions are refused."""
    (maildir / NAME).write_bytes(content)
    with pytest.raises(CacheBroken):
        run(load(str(maildir)))


def test_what_is_not_ours_is_not_read(maildir: Path) -> None:
    """A link or a file of any size in its place is refused; nothing there is nothing kept."""
    assert run(load(str(maildir))) is None
    (maildir / NAME).symlink_to("/etc/passwd")
    with pytest.raises(OSError, match=NAME):
        run(load(str(maildir)))
    drop(str(maildir))
    drop(str(maildir))
    (maildir / NAME).touch()
    os.truncate(maildir / NAME, 1 << 30)
    with pytest.raises(CacheBroken, match="larger"):
        run(load(str(maildir)))


def test_one_writes_at_a_time(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds another at work leaves it to him; what a crash left behind does not last."""
    first = save(str(maildir), seen(maildir))
    next(first)
    run(save(str(maildir), Snapshot()))
    run(first)
    assert len(kept(maildir).messages) == 5
    monkeypatch.setattr(mailbox_cache, "_ABANDONED", -1.0)
    (maildir / f"{NAME}.new").write_bytes(b"left over")
    run(save(str(maildir), Snapshot()))
    assert rows(kept(maildir)) == []
    assert not (maildir / f"{NAME}.new").exists()


def test_a_writing_that_fails_leaves_nothing(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file cannot be put in its place, the old one stays, and no part of the new one."""
    run(save(str(maildir), seen(maildir)))

    def failing(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="No space"):
        run(save(str(maildir), Snapshot()))
    assert len(kept(maildir).messages) == 5
    assert not (maildir / f"{NAME}.new").exists()
