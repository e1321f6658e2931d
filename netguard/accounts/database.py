"""One SQLite file that holds secrets: opened, recognised, asked and complained about.

The rules of this file:

* Every question looks at the file first. When another took its place (a restored backup) the new one is
  opened; when it became readable by others, nobody logs in until that is mended.
* A rollback journal rather than WAL: the file is tiny and seldom written, there is nothing beside it at rest,
  and ``synchronous=EXTRA`` makes a commit durable with its directory. SQLite gives the journal the mode and
  the owner of the file. Overwritten rows are wiped (``secure_delete``).
* A connection must not live across a fork, nor be used by two threads at once: it is opened at the first
  question, and a lock guards it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from netguard.accounts import safefile, schema
from netguard.accounts.interface import AccountsTrouble
from netguard.page_cache import is_local
from netguard.stamp import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long a question waits, in seconds, for `netguard users` to finish its commit. A login has to be
# answered.
_PATIENCE = 2.0

_SETTINGS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA synchronous = EXTRA",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
)


class Database:
    """An accounts file, for any thread. Everything here may block on the disk.

    Args:
        path: the file; its directory must be writable by nobody else.

    Attributes:
        real: where it really is.
        stamp: while it is asked, what proves that it says the same later; None if it has just changed, or is not on a
            file system of this machine's own.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        # What was judged is what is opened, even when a directory on the way is a link that changes
        # meanwhile, and also after a daemon has changed its directory.
        self.real = Path(os.path.realpath(self.path.parent)) / self.path.name
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._local = False
        self.stamp: Stamp | None = None

    def create(self) -> None:
        """Make the file, of mode 0600 whatever the umask is, unless it exists.

        Raises:
            AccountsTrouble: when it cannot be made, or what is there is not one that may be used.
        """
        safefile.create(self.real)
        with self.writing(empty_too=True) as connection:
            if schema.marks(connection) != (schema.APPLICATION, schema.VERSION):
                schema.create(connection)

    @contextmanager
    def asked(self, *, empty_too: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection, for one question at a time; what SQLite complains of becomes AccountsTrouble.

        Args:
            empty_too: whether a file that has no tables yet will do.

        Raises:
            AccountsTrouble: one line with the path and what is wrong.
        """
        with self._lock:
            try:
                yield self._current(empty_too=empty_too)
            except sqlite3.Error as error:
                self._close()
                raise AccountsTrouble(self._complaint(error)) from None

    @contextmanager
    def writing(self, *, empty_too: bool = False) -> Iterator[sqlite3.Connection]:
        """As `asked`, in a transaction: all of it is on the disk at the end, or nothing is."""
        with self.asked(empty_too=empty_too) as connection, _transaction(connection):
            yield connection

    def close(self) -> None:
        """Close the file; the next question opens it again. Idempotent."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _current(self, *, empty_too: bool) -> sqlite3.Connection:
        """The open connection, if the file is still the same and still private; else a new one."""
        try:
            moment, found = time.time_ns(), os.lstat(self.real)
            safefile.judge(self.real, found)
            connection = self._connection
            if connection is None or self._identity != (found.st_dev, found.st_ino):
                self._close()
                found = safefile.look(self.real)
                connection = self._connection = self._opened(empty_too=empty_too)
                self._identity = (found.st_dev, found.st_ino)
                self._local = is_local(str(self.real))
        except OSError as error:
            self._close()
            missing = isinstance(error, FileNotFoundError)
            hint = f"; 'netguard users -a {self.path} add NAME' makes one" if missing else ""
            raise AccountsTrouble(f"accounts file {self.path}: {error.strerror}{hint}") from None
        stamp = Stamp.of(found, folder=False)
        self.stamp = stamp if self._local and stamp.proves(moment) else None
        return connection

    def _opened(self, *, empty_too: bool) -> sqlite3.Connection:
        """Open the file, and see that it is one of ours."""
        connection = sqlite3.connect(
            # rw: never create here; and not read-only, since a journal that a crash left must be played back.
            f"{self.real.as_uri()}?mode=rw",
            uri=True,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            for setting in _SETTINGS:
                connection.execute(setting)
            self._recognise(connection, empty_too=empty_too)
        except BaseException:
            connection.close()
            raise
        return connection

    def _recognise(self, connection: sqlite3.Connection, *, empty_too: bool) -> None:
        """Refuse another program's database, a later release's, and one that was made and never filled.

        One of an earlier release is brought up to date.
        """
        application, version = schema.marks(connection)
        if (application, version) == (schema.APPLICATION, schema.VERSION):
            return
        if application == schema.APPLICATION and 1 <= version < schema.VERSION:
            self._upgrade(connection)
            return
        if application == schema.APPLICATION:
            raise AccountsTrouble(
                f"accounts file {self.path} has schema version {version}, and this netguard knows {schema.VERSION};"
                " another release wrote it"
            )
        ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        if tables or (application, version) != (0, 0):
            raise AccountsTrouble(
                f"accounts file {self.path} is a database of another program, not a netguard accounts file"
            )
        if not empty_too:
            raise AccountsTrouble(
                f"accounts file {self.path} is empty; 'netguard users -a {self.path} add NAME' fills it"
            )

    @staticmethod
    def _upgrade(connection: sqlite3.Connection) -> None:
        """Bring the file up to date, unless another process has done so in the meantime."""
        with _transaction(connection):
            _, version = schema.marks(connection)
            schema.upgrade(connection, version)

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


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
