"""The SQLite file that holds the accounts."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from netguard.accounts import database, schema
from netguard.accounts.database import Database
from netguard.accounts.interface import AccountsTrouble
from netguard.page_cache import is_local
from netguard.stamp import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the first release made, with a user.
VERSION_1 = """
CREATE TABLE users (name TEXT PRIMARY KEY, folded TEXT NOT NULL UNIQUE, added INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE credentials (
    name TEXT NOT NULL REFERENCES users ON DELETE CASCADE, kind TEXT NOT NULL, secret TEXT NOT NULL,
    changed INTEGER NOT NULL, PRIMARY KEY (name, kind)
) WITHOUT ROWID;
PRAGMA application_id = 1852268899;
PRAGMA user_version = 1;
INSERT INTO users VALUES ('alice', 'alice', 7);
INSERT INTO credentials VALUES ('alice', 'apop', 'tanstaaf', 7);
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the accounts are."""
    return tmp_path / "accounts"


@pytest.fixture
def accounts(path: Path) -> Iterator[Database]:
    """A new accounts file."""
    made = Database(path)
    made.create()
    yield made
    made.close()


def count(accounts: Database) -> int:
    """How many users there are."""
    with accounts.asked() as connection:
        ((users,),) = connection.execute("SELECT count(*) FROM users").fetchall()
    return int(users)


def insert(connection: sqlite3.Connection, name: str) -> None:
    """Add a row."""
    connection.execute("INSERT INTO users VALUES (?, ?, 0)", (name, name))


def refused(accounts: Database) -> str:
    """The one line with which the file is refused."""
    with pytest.raises(AccountsTrouble) as trouble, accounts.asked():
        pass
    assert "\n" not in str(trouble.value)
    assert str(accounts.path) in str(trouble.value)
    return str(trouble.value)


def test_a_new_file_is_private_and_ours(accounts: Database, path: Path) -> None:
    """It has mode 0600, our marks, and no users."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with accounts.asked() as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (0x6E676163,)
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert count(accounts) == 0


def test_creating_twice_keeps_what_is_there(accounts: Database) -> None:
    """A second `create` is no loss."""
    with accounts.writing() as connection:
        insert(connection, "alice")
    accounts.create()
    assert count(accounts) == 1


def test_a_file_that_was_made_and_never_filled_is_filled(path: Path) -> None:
    """A crash between making and filling the file is mended by the next `create`, and told to a reader."""
    path.touch(mode=0o600)
    accounts = Database(path)
    assert "is empty; 'netguard users -a" in refused(accounts)
    accounts.create()
    assert count(accounts) == 0
    accounts.close()


def test_a_commit_is_durable_and_wipes_what_it_removes(accounts: Database) -> None:
    """The settings that make it so are on for our connection."""
    with accounts.asked() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (3,)  # EXTRA
        assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_removed_secret_is_gone_from_the_file(accounts: Database, path: Path) -> None:
    """Deleted rows leave nothing behind in the file."""
    with accounts.writing() as connection:
        insert(connection, "alice")
        connection.execute("INSERT INTO credentials VALUES ('alice', 'apop', 'the-very-secret', 0)")
    assert b"the-very-secret" in path.read_bytes()
    with accounts.writing() as connection:
        connection.execute("DELETE FROM users")
    assert b"the-very-secret" not in path.read_bytes()


def test_the_journal_is_private_whatever_the_umask_is(accounts: Database, path: Path) -> None:
    """What stands beside the file during a transaction is as private as the file, and goes away."""
    journal = path.with_name("accounts-journal")
    before = os.umask(0)
    try:
        with accounts.writing() as connection:
            insert(connection, "alice")
            assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert not journal.exists()


def test_what_fails_half_way_changes_nothing(accounts: Database) -> None:
    """A transaction that an error leaves is taken back, and the next one works."""

    def fail() -> None:
        with accounts.writing() as connection:
            insert(connection, "alice")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert count(accounts) == 0
    with accounts.writing() as connection:
        insert(connection, "bob")
    assert count(accounts) == 1


def test_a_transaction_that_sqlite_took_back_itself_is_not_taken_back_twice(accounts: Database) -> None:
    """After a full disk SQLite has rolled back already; the first error is the one that is told."""

    def fill() -> None:
        with accounts.writing() as connection:
            connection.execute("PRAGMA max_page_count = 1")
            rows = [(f"{number}" * 999, f"{number}") for number in range(99)]
            connection.executemany("INSERT INTO users VALUES (?, ?, 0)", rows)

    with pytest.raises(AccountsTrouble, match="the disk is full"):
        fill()
    assert count(accounts) == 0


def test_a_killed_writer_leaves_a_file_that_opens_without_its_half(accounts: Database, path: Path) -> None:
    """A journal that a crash left is played back by the next who opens."""
    script = """
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA cache_size = 1"); c.execute("PRAGMA cache_spill = 1")
c.execute("BEGIN IMMEDIATE")
for i in range(2000):
    c.execute("INSERT INTO users VALUES (?, ?, 0)", (f"user{i}" * 20, f"user{i}"))
os._exit(9)
"""
    accounts.close()
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 9
    assert path.with_name("accounts-journal").exists()
    assert path.stat().st_size > 100_000
    assert count(accounts) == 0
    with accounts.asked() as connection:
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]


def test_a_missing_file_is_not_made_by_asking(path: Path) -> None:
    """Who only asks is told what makes the file, and none appears."""
    assert f"'netguard users -a {path} add NAME' makes one" in refused(Database(path))
    assert not path.exists()


def test_a_file_that_loses_its_privacy_is_refused_at_the_next_question(accounts: Database, path: Path) -> None:
    """The mode is judged for every question, not only when the file is opened, and mending it is enough."""
    assert count(accounts) == 0
    path.chmod(0o644)
    assert "mode 0644" in refused(accounts)
    path.chmod(0o600)
    assert count(accounts) == 0


def test_a_file_that_takes_its_place_is_seen(accounts: Database, path: Path) -> None:
    """A restored backup is read from the next question on."""
    assert count(accounts) == 0
    backup = Database(path.with_name("backup"))
    backup.create()
    with backup.writing() as connection:
        insert(connection, "alice")
    backup.close()
    path.with_name("backup").replace(path)
    assert count(accounts) == 1
    path.unlink()
    assert "No such file" in refused(accounts)


def test_the_directory_is_judged_when_the_file_is_opened(accounts: Database, path: Path) -> None:
    """An open directory is refused by whoever opens the file in it."""
    accounts.close()
    path.parent.chmod(0o777)
    assert "others may write to" in refused(accounts)


def test_the_path_is_taken_at_the_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that changes its directory still finds the file."""
    monkeypatch.chdir(path.parent)
    accounts = Database("accounts")
    accounts.create()
    accounts.close()
    monkeypatch.chdir("/")
    assert count(accounts) == 0
    accounts.close()


def test_a_path_full_of_signs_is_one_path(tmp_path: Path) -> None:
    """Nothing in a path is taken for a part of SQLite's URI."""
    path = tmp_path / "a ?mode=memory&x=%41#b"
    accounts = Database(path)
    accounts.create()
    assert path.stat().st_size > 0
    accounts.close()


@pytest.mark.parametrize("content", [b"root:x:0:0:\n" * 100, b"SQLite format 3\0" + b"\xff" * 2000])
def test_what_is_no_database_is_one_clear_line(path: Path, content: bytes) -> None:
    """A text file, and one that only begins like a database, are refused and left as they are."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    assert "is not a netguard accounts file" in refused(Database(path))
    with pytest.raises(AccountsTrouble):
        Database(path).create()
    assert path.read_bytes() == content


def test_a_damaged_file_is_one_clear_line(accounts: Database, path: Path) -> None:
    """Pages that were overwritten are told as damage."""
    accounts.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xee" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(AccountsTrouble, match="is damaged; restore it from a backup"):
        count(accounts)


def test_another_programs_database_is_one_clear_line(path: Path) -> None:
    """A database with other tables is neither used nor filled with ours."""
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE cookies (a)")
        other.commit()
    assert "a database of another program" in refused(Database(path))
    with pytest.raises(AccountsTrouble, match="another program"):
        Database(path).create()


def test_a_marked_database_of_another_program_is_refused_even_when_empty(path: Path) -> None:
    """Somebody else's mark is somebody else's file."""
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA application_id = 7")
    with pytest.raises(AccountsTrouble, match="another program"):
        Database(path).create()


def test_a_later_schema_is_one_clear_line(accounts: Database) -> None:
    """A file that a later release wrote is refused with both versions."""
    with accounts.asked() as connection:
        connection.execute("PRAGMA user_version = 3")
    accounts.close()
    assert "schema version 3, and this netguard knows 2" in refused(accounts)


def test_a_file_of_an_earlier_release_is_brought_up_to_date(path: Path) -> None:
    """Whoever opens it first does it, users and credentials stay, and a second opener finds it done."""
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as old:
        old.executescript(VERSION_1)
    accounts = Database(path)
    assert count(accounts) == 1
    with accounts.asked() as connection:
        assert connection.execute("SELECT * FROM credentials").fetchall() == [("alice", "apop", "tanstaaf", 7)]
        assert connection.execute("SELECT count(*) FROM settings").fetchone() == (0,)
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        before = connection.execute("SELECT * FROM service").fetchall()
    accounts.close()
    with accounts.asked() as connection:
        assert connection.execute("SELECT * FROM service").fetchall() == before
    accounts.create()
    assert count(accounts) == 1
    accounts.close()


def test_two_who_bring_it_up_to_date_do_it_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has to wait for the other finds nothing left to do."""
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as old:
        old.executescript(VERSION_1)
    first, second = Database(path), Database(path)
    real = schema.marks
    asked = []

    def marks(connection: sqlite3.Connection) -> tuple[int, int]:
        found = real(connection)
        asked.append(found)
        if len(asked) == 1:  # the first has seen that the file is old, and the second is quicker
            assert count(second) == 1
        return found

    monkeypatch.setattr(schema, "marks", marks)
    assert count(first) == 1
    assert [version for _, version in asked] == [1, 1, 1, 2]
    first.close()
    second.close()


def test_a_locked_file_is_one_clear_line(accounts: Database, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits longer than the patience of a login is told that another process holds the file."""
    monkeypatch.setattr(database, "_PATIENCE", 0.05)
    accounts.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(AccountsTrouble, match=r"has been locked by another process for 0\.05 seconds"):
            count(accounts)
    assert count(accounts) == 0


def test_a_file_that_cannot_be_opened_is_one_clear_line(accounts: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's refusal to open names the user id that it was refused to."""

    def refuse(*_: object, **__: object) -> None:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    accounts.close()
    monkeypatch.setattr(sqlite3, "connect", refuse)
    assert refused(accounts).endswith(f"cannot be opened by user id {os.geteuid()}")


def test_what_sqlite_complains_of_otherwise_is_passed_on_in_one_line(accounts: Database) -> None:
    """An unforeseen complaint keeps SQLite's words, and the file can be asked again."""
    with pytest.raises(AccountsTrouble, match="cannot be used: no such table: absent"), accounts.asked() as c:
        c.execute("SELECT * FROM absent")
    assert count(accounts) == 0


def test_closing_twice_is_fine(accounts: Database) -> None:
    """Closing is idempotent, and the next question opens the file again."""
    accounts.close()
    accounts.close()
    assert count(accounts) == 0


def test_threads_take_turns(accounts: Database) -> None:
    """A second thread waits until the first has its answer."""
    entered, order = Event(), []

    def second() -> None:
        entered.set()
        with accounts.asked():
            order.append("second")

    with accounts.asked():
        thread = Thread(target=second)
        thread.start()
        assert entered.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_what_proves_that_answers_stay_true(accounts: Database, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has just changed proves nothing, nor one of another machine."""
    monkeypatch.setattr("netguard.stamp.GRAIN", -2_000_000_000)
    if not is_local(str(path)):
        pytest.skip("this file system is not known to be this machine's own")

    def stamp() -> Stamp | None:
        with accounts.asked():
            return accounts.stamp

    found = Stamp.of(path.stat(), folder=False)
    assert [stamp(), stamp()] == [found, found]
    accounts.close()
    assert [stamp(), stamp()] == [found, found]
    monkeypatch.setattr("netguard.stamp.GRAIN", 2_000_000_000)
    assert stamp() is None
    monkeypatch.setattr("netguard.stamp.GRAIN", -2_000_000_000)
    monkeypatch.setattr(database, "is_local", lambda _: False)
    accounts.close()
    assert [stamp(), stamp()] == [None, None]
