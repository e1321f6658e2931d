"""The accounts as rows of one SQLite file.

The rules of this file:

* Nothing is remembered between two questions, so a user who was added or removed while the server runs is
  seen at the next login, and no secret stays in memory. One question costs some 12 microseconds on a
  connection that is kept open.
* Every question looks at the file first. When another took its place (a restored backup) the new one is
  opened; when it became readable by others, nobody logs in until that is mended.
* A rollback journal rather than WAL: the file is tiny and seldom written, there is nothing beside it at rest,
  and `synchronous=EXTRA` makes a commit durable with its directory. SQLite gives the journal the mode and the
  owner of the file. Overwritten rows are wiped (`secure_delete`).
* A connection must not live across a fork, nor be used by two threads at once: it is opened at the first
  question, and a lock guards it.
* A kind of credential is a word in a row, so a further kind needs no change of the schema.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from attrs import frozen

from netguard.accounts import safefile
from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.names import check_name, folded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# "ngac", which tells this file from another program's database.
_APPLICATION = 0x6E676163
_VERSION = 1

# How long a question waits, in seconds, for `netguard users` to finish its commit. A login has to be
# answered.
_PATIENCE = 2.0

_SCHEMA = (
    """
    CREATE TABLE users (
        name TEXT PRIMARY KEY,
        folded TEXT NOT NULL UNIQUE,
        added INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE credentials (
        name TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
        kind TEXT NOT NULL,
        secret TEXT NOT NULL,
        changed INTEGER NOT NULL,
        PRIMARY KEY (name, kind)
    ) WITHOUT ROWID
    """,
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)
_SETTINGS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA synchronous = EXTRA",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
)


class NameTaken(Exception):
    """There is such a user, or one whose name differs only in case or in the form of its characters.

    Args:
        name: the name of the user who is there.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@frozen
class User:
    """A row of the list of users.

    Args:
        name: as the user types it.
        added: when, in seconds since 1970.
        kinds: which credentials the user has.
    """

    name: str
    added: int
    kinds: tuple[str, ...]


class Store:
    """The accounts of one file, for any thread. Everything here may block on the disk.

    Args:
        path: the file; its directory must be writable by nobody else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        # What was judged is what is opened, even when a directory on the way is a link that changes
        # meanwhile.
        self._real = Path(os.path.realpath(self.path.parent)) / self.path.name
        self._lock = Lock()
        self._database: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def create(self) -> None:
        """Make the file, of mode 0600, unless it exists.

        Raises:
            AccountsTrouble: when it cannot be made, or what is there is not one that may be used.
        """
        safefile.create(self._real)
        with self._asked(empty_too=True) as database, _transaction(database):
            if _marks(database) != (_APPLICATION, _VERSION):
                for statement in _SCHEMA:
                    database.execute(statement)

    def verify(self) -> None:
        """Read the whole file once and close it again, so that trouble shows at the start and not at a login.

        Raises:
            AccountsTrouble: when it is missing, open to others, damaged, or another program's.
        """
        with self._asked() as database:
            ((result, *_), *_) = database.execute("PRAGMA quick_check(1)").fetchall()
        self.close()
        if result != "ok":
            raise AccountsTrouble(f"accounts file {self.path} is damaged; restore it from a backup")

    def secret(self, name: str, kind: str) -> str | None:
        """What is stored of a user's credential, or None when there is no such user or no such credential.

        Args:
            name: the exact name.
            kind: one of `netguard.accounts.credentials.KINDS`.

        Raises:
            AccountsTrouble: when the store cannot be asked.
        """
        with self._asked() as database:
            row = database.execute(
                "SELECT secret FROM credentials WHERE name = ? AND kind = ?", (name, kind)
            ).fetchone()
        return None if row is None else str(row[0])

    def users(self) -> list[User]:
        """All users, by name.

        Raises:
            AccountsTrouble: when the store cannot be asked.
        """
        with self._asked() as database:
            rows = database.execute(
                "SELECT name, added, kind FROM users LEFT JOIN credentials USING (name) ORDER BY name, kind"
            ).fetchall()
        kinds: dict[tuple[str, int], list[str]] = {}
        for name, added, kind in rows:
            kinds.setdefault((name, added), []).extend([] if kind is None else [kind])
        return [User(name, added, tuple(has)) for (name, added), has in kinds.items()]

    def add(self, name: str, credentials: Mapping[str, str]) -> None:
        """Add a user. It is on the disk when this returns.

        Args:
            name: see `netguard.accounts.names.check_name`.
            credentials: what is to be stored, by kind.

        Raises:
            ValueError: when the name may not be a user's.
            NameTaken: when there is such a user, or one that differs only in case.
            AccountsTrouble: when the store cannot be written.
        """
        check_name(name)
        now = int(time.time())
        with self._asked() as database, _transaction(database):
            taken = database.execute("SELECT name FROM users WHERE folded = ?", (folded(name),)).fetchone()
            if taken is not None:
                raise NameTaken(taken[0])
            database.execute("INSERT INTO users VALUES (?, ?, ?)", (name, folded(name), now))
            database.executemany(
                "INSERT INTO credentials VALUES (?, ?, ?, ?)",
                [(name, kind, secret, now) for kind, secret in credentials.items()],
            )

    def remove(self, name: str) -> bool:
        """Remove a user with all credentials; whether there was one. It is on the disk when this returns.

        Raises:
            AccountsTrouble: when the store cannot be written.
        """
        with self._asked() as database, _transaction(database):
            return database.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount == 1

    def close(self) -> None:
        """Close the file; the next question opens it again. Idempotent."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    @contextmanager
    def _asked(self, *, empty_too: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection, for one question at a time; what SQLite complains of becomes AccountsTrouble."""
        with self._lock:
            try:
                yield self._current(empty_too=empty_too)
            except sqlite3.Error as error:
                self._close()
                raise AccountsTrouble(self._complaint(error)) from None

    def _current(self, *, empty_too: bool) -> sqlite3.Connection:
        """The open connection, if the file is still the same and still private; else a new one."""
        try:
            found = os.lstat(self._real)
            safefile.judge(self.path, found)
            if self._database is not None and self._identity == (found.st_dev, found.st_ino):
                return self._database
            self._close()
            found = safefile.look(self._real)
        except OSError as error:
            self._close()
            missing = isinstance(error, FileNotFoundError)
            hint = f"; 'netguard users -a {self.path} add NAME' makes one" if missing else ""
            raise AccountsTrouble(f"accounts file {self.path}: {error.strerror}{hint}") from None
        self._database = self._opened(empty_too=empty_too)
        self._identity = (found.st_dev, found.st_ino)
        return self._database

    def _opened(self, *, empty_too: bool) -> sqlite3.Connection:
        """Open the file, and see that it is one of ours."""
        # mode=rw: never create here; and not read-only, since a journal that a crash left must be played
        # back.
        database = sqlite3.connect(
            f"{self._real.as_uri()}?mode=rw",
            uri=True,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            for setting in _SETTINGS:
                database.execute(setting)
            self._recognise(database, empty_too=empty_too)
        except BaseException:
            database.close()
            raise
        return database

    def _recognise(self, database: sqlite3.Connection, *, empty_too: bool) -> None:
        """Refuse another program's database, another release's, and one that was made and never filled."""
        application, version = _marks(database)
        if (application, version) == (_APPLICATION, _VERSION):
            return
        if application == _APPLICATION:
            raise AccountsTrouble(
                f"accounts file {self.path} has schema version {version}, and this netguard knows {_VERSION};"
                " another release wrote it"
            )
        ((tables,),) = database.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        if tables or (application, version) != (0, 0):
            raise AccountsTrouble(
                f"accounts file {self.path} is a database of another program, not a netguard accounts file"
            )
        if not empty_too:
            raise AccountsTrouble(
                f"accounts file {self.path} is empty; 'netguard users -a {self.path} add NAME' fills it"
            )

    def _complaint(self, error: sqlite3.Error) -> str:
        """One line for an operator: SQLite's own words name no path, and some name the wrong cause."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        reason = {
            sqlite3.SQLITE_NOTADB: "is not a netguard accounts file",
            sqlite3.SQLITE_CORRUPT: "is damaged; restore it from a backup",
            sqlite3.SQLITE_BUSY: f"has been locked by another process for {_PATIENCE:g} seconds; try again",
            sqlite3.SQLITE_FULL: "cannot be written: the disk is full",
            sqlite3.SQLITE_READONLY: "cannot be written: it, or its directory, is read-only",
            sqlite3.SQLITE_CANTOPEN: f"cannot be opened by user id {os.geteuid()}",
        }.get(code, f"cannot be used: {error}")
        return f"accounts file {self.path} {reason}"


def _marks(database: sqlite3.Connection) -> tuple[int, int]:
    """Whose file this is, and of which version."""
    ((application,),) = database.execute("PRAGMA application_id").fetchall()
    ((version,),) = database.execute("PRAGMA user_version").fetchall()
    return application, version


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and durable at the end."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
