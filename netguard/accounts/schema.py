"""The tables of an accounts file, and how a file of an earlier release becomes one of this.

Version 1 had `users` and `credentials`. Version 2 adds what is set of a user (`settings`) and what this file keeps
for itself (`service`): a random secret, of which the salts of unknown users are made, and the cost of SCRAM verifiers.
A new file is made as version 1 and brought up to date, so that there is one way to each table.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

# "ngac", which tells this file from another program's database.
APPLICATION = 0x6E676163
VERSION = 2

# What a verifier costs that is made here. RFC 7677 asks for 4,096 at least; this takes a phone some tenth of a second.
ITERATIONS = 50_000
_SECRET_OCTETS = 32

_FIRST = (
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
)
_SECOND = (
    """
    CREATE TABLE settings (
        name TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (name, key)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE service (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID
    """,
)


def marks(connection: sqlite3.Connection) -> tuple[int, int]:
    """Whose file this is, and of which version."""
    ((application,),) = connection.execute("PRAGMA application_id").fetchall()
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    return application, version


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, in the transaction that is open."""
    for statement in _FIRST:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    upgrade(connection, 1)


def upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables of an earlier version up to date, in the transaction that is open.

    Args:
        connection: in a transaction.
        version: the version of the file.
    """
    if version < VERSION:
        for statement in _SECOND:
            connection.execute(statement)
        rows = [("secret", os.urandom(_SECRET_OCTETS).hex()), ("iterations", str(ITERATIONS))]
        connection.executemany("INSERT INTO service VALUES (?, ?)", rows)
        connection.execute(f"PRAGMA user_version = {VERSION}")
