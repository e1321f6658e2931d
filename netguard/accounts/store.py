"""Users and their credentials, as rows of an accounts file.

The rules of this file:

* Nothing is remembered between two questions, so a user who was added or removed while the server runs is
  seen at the next login, and no secret stays in memory. One question costs some 20 microseconds.
* A kind of credential is a word in a row, so a further kind needs no change of the schema.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import frozen

from netguard.accounts.database import Database
from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.names import check_name, folded

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping


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
        self._database = Database(path)

    def create(self) -> None:
        """Make the file, of mode 0600 whatever the umask is, unless it exists.

        Raises:
            AccountsTrouble: when it cannot be made, or what is there is not one that may be used.
        """
        self._database.create()

    def verify(self) -> None:
        """Read the whole file once and close it, so that trouble shows at the start and not at a login.

        Raises:
            AccountsTrouble: when it is missing, open to others, damaged, or another program's.
        """
        with self._database.asked() as connection:
            (found, *_) = connection.execute("PRAGMA quick_check(1)").fetchall()
        self.close()
        if found != ("ok",):
            raise AccountsTrouble(f"accounts file {self._database.path} is damaged; restore it from a backup")

    def secret(self, name: str, kind: str) -> str | None:
        """What is stored of a user's credential; None when there is no such user or no such credential.

        Args:
            name: the exact name.
            kind: one of `netguard.accounts.credentials.KINDS`.

        Raises:
            AccountsTrouble: when the file cannot be asked.
        """
        with self._database.asked() as connection:
            row = connection.execute(
                "SELECT secret FROM credentials WHERE name = ? AND kind = ?", (name, kind)
            ).fetchone()
        return None if row is None else str(row[0])

    def users(self) -> list[User]:
        """All users, by name.

        Raises:
            AccountsTrouble: when the file cannot be asked.
        """
        with self._database.asked() as connection:
            rows = connection.execute(
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
            AccountsTrouble: when the file cannot be written.
        """
        check_name(name)
        now = int(time.time())
        with self._database.writing() as connection:
            taken = connection.execute("SELECT name FROM users WHERE folded = ?", (folded(name),)).fetchone()
            if taken is not None:
                raise NameTaken(taken[0])
            connection.execute("INSERT INTO users VALUES (?, ?, ?)", (name, folded(name), now))
            connection.executemany(
                "INSERT INTO credentials VALUES (?, ?, ?, ?)",
                [(name, kind, secret, now) for kind, secret in credentials.items()],
            )

    def remove(self, name: str) -> bool:
        """Remove a user with all credentials; whether there was one. It is on the disk when this returns.

        Raises:
            AccountsTrouble: when the file cannot be written.
        """
        with self._database.writing() as connection:
            return connection.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount == 1

    def close(self) -> None:
        """Close the file; the next question opens it again. Idempotent."""
        self._database.close()
