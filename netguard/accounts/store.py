"""Users and their credentials, as rows of an accounts file.

The rules of this file:

* Nothing is remembered here between two questions, so a user who was added or removed while the server runs is
  seen at the next login. One question costs some 30 microseconds, and a thread's being given it much more; hence
  :mod:`netguard.accounts.regulars`.
* A kind of credential, and a setting, is a word in a row, so a further one needs no change of the schema.
* What may be used once is replaced by what comes after it in one transaction, which asks that it is still there: of
  two who bring the same, one wins. It is on the disk before anybody is told.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

from netguard.accounts.database import Database
from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.names import check_name, folded
from netguard.accounts.records import Asked, Found, NameTaken, NewUser, User

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping


@cache
def _question(kinds: tuple[str, ...]) -> str:
    """One row for any name, so that neither rows nor questions tell whether it is somebody's."""
    columns = [
        "SELECT value FROM service WHERE key = 'secret'",
        "SELECT value FROM service WHERE key = 'iterations'",
        "SELECT count(*) FROM users WHERE name = ?1",
        "SELECT json_group_object(key, value) FROM settings WHERE name = ?1",
        *("SELECT secret FROM credentials WHERE name = ?1 AND kind = ?" for _ in kinds),
    ]
    return f"SELECT {', '.join(f'({column})' for column in columns)}"


_EVERYTHING = """
    SELECT 'service', key, value FROM service
    UNION ALL SELECT 'user', name, '' FROM users WHERE name = :name
    UNION ALL SELECT 'credential', kind, secret FROM credentials WHERE name = :name
    UNION ALL SELECT 'setting', key, value FROM settings WHERE name = :name
"""


class Store:
    """The accounts of one file, for any thread. Everything here may block on the disk.

    Args:
        path: the file; its directory must be writable by nobody else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._database = Database(path)

    @property
    def path(self) -> str:
        """Where the file really is."""
        return str(self._database.real)

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

    def found(self, name: str) -> Found:
        """Everything about a user.

        Args:
            name: the exact name.

        Raises:
            AccountsTrouble: when the file cannot be asked.
        """
        with self._database.asked() as connection:
            rows = connection.execute(_EVERYTHING, {"name": name}).fetchall()
        parts: dict[str, dict[str, str]] = {"service": {}, "user": {}, "credential": {}, "setting": {}}
        for part, key, value in rows:
            parts[part][key] = value
        service = parts["service"]
        return Found(
            name,
            exists=bool(parts["user"]),
            credentials=parts["credential"],
            settings=parts["setting"],
            secret=bytes.fromhex(service["secret"]),
            iterations=int(service["iterations"]),
        )

    def asked(self, name: str, kinds: tuple[str, ...]) -> Asked:
        """What a login has to know, by one question that takes the same time for a name that nobody has.

        Args:
            name: the exact name.
            kinds: the kinds of credential that matter.

        Raises:
            AccountsTrouble: when the file cannot be asked.
        """
        with self._database.asked() as connection:
            row = connection.execute(_question(kinds), (name, *kinds)).fetchone()
            stamp = self._database.stamp
        secret, iterations, exists, settings, *secrets = row
        has = {kind: stored for kind, stored in zip(kinds, secrets, strict=True) if stored is not None}
        return Asked(name, bool(exists), has, settings, bytes.fromhex(secret), int(iterations), stamp)

    def secret(self, name: str, kind: str) -> str | None:
        """What is stored of a user's credential; None when there is no such user or no such credential.

        Args:
            name: the exact name.
            kind: one of `netguard.accounts.credentials.KINDS`.

        Raises:
            AccountsTrouble: when the file cannot be asked.
        """
        return self.found(name).credentials.get(kind)

    def spend(self, name: str, kind: str, before: str, after: str) -> bool:
        """Put what comes after in the place of what may be used once; whether it was still there.

        Of two who bring the same at the same time, one is told True, and when that is told it is on the disk.

        Args:
            name: the exact name.
            kind: the kind of credential.
            before: what must be stored now.
            after: what is to be stored.

        Raises:
            AccountsTrouble: when the file cannot be written.
        """
        with self._database.writing() as connection:
            done = connection.execute(
                "UPDATE credentials SET secret = ?, changed = ? WHERE name = ? AND kind = ? AND secret = ?",
                (after, int(time.time()), name, kind, before),
            )
            return done.rowcount == 1

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

    def add(self, name: str, credentials: Mapping[str, str], settings: Mapping[str, str] | None = None) -> None:
        """Add a user. It is on the disk when this returns.

        Args:
            name: see `netguard.accounts.names.check_name`.
            credentials: what is to be stored, by kind.
            settings: what is set of the user, by key, as text.

        Raises:
            ValueError: when the name may not be a user's.
            NameTaken: when there is such a user, or one that differs only in case.
            AccountsTrouble: when the file cannot be written.
        """
        self.add_all([NewUser(name, credentials, settings or {})])

    def add_all(self, users: Iterable[NewUser], iterations: int | None = None) -> None:
        """Add all of these users, or, when one cannot be added, none. They are on the disk when this returns.

        Args:
            users: who is to be added.
            iterations: what SCRAM verifiers of this file shall cost from now on; None for no change.

        Raises:
            ValueError: when a name may not be a user's.
            NameTaken: when there is such a user, or one that differs only in case.
            AccountsTrouble: when the file cannot be written.
        """
        with self._database.writing() as connection:
            for user in users:
                check_name(user.name)
                self._add(connection, user)
            if iterations is not None:
                connection.execute("UPDATE service SET value = ? WHERE key = 'iterations'", (str(iterations),))

    @staticmethod
    def _add(connection: sqlite3.Connection, user: NewUser) -> None:
        alike = folded(user.name)
        taken = connection.execute("SELECT name FROM users WHERE folded = ?", (alike,)).fetchone()
        if taken is not None:
            raise NameTaken(taken[0])
        connection.execute("INSERT INTO users VALUES (?, ?, ?)", (user.name, alike, int(time.time())))
        _put(connection, user.name, user.credentials, user.settings)

    def change(
        self,
        name: str,
        credentials: Mapping[str, str],
        settings: Mapping[str, str],
        without: Collection[str] = (),
    ) -> bool:
        """Change a user; whether there was one. It is on the disk when this returns.

        Args:
            name: the exact name.
            credentials: what is to be stored, by kind, in the place of what is there of that kind.
            settings: what is to be set, by key, as text.
            without: the kinds of credential, and the keys of settings, that are to be removed.

        Raises:
            AccountsTrouble: when the file cannot be written.
        """
        with self._database.writing() as connection:
            if connection.execute("SELECT 1 FROM users WHERE name = ?", (name,)).fetchone() is None:
                return False
            for word in without:
                connection.execute("DELETE FROM credentials WHERE name = ? AND kind = ?", (name, word))
                connection.execute("DELETE FROM settings WHERE name = ? AND key = ?", (name, word))
            _put(connection, name, credentials, settings)
            return True

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


def _put(
    connection: sqlite3.Connection, name: str, credentials: Mapping[str, str], settings: Mapping[str, str]
) -> None:
    """Store what is new of a user, in the place of what was there."""
    now = int(time.time())
    connection.executemany(
        "INSERT OR REPLACE INTO credentials VALUES (?, ?, ?, ?)",
        [(name, kind, secret, now) for kind, secret in credentials.items()],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", [(name, key, value) for key, value in settings.items()]
    )
