"""The tables of an accounts file."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from netguard.accounts import schema


def tables(connection: sqlite3.Connection) -> set[str]:
    """The names of the tables."""
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_a_new_file_has_all_tables_and_our_marks() -> None:
    """It is made as an old one and brought up to date."""
    with closing(sqlite3.connect(":memory:")) as connection:
        schema.create(connection)
        assert tables(connection) == {"users", "credentials", "settings", "service"}
        assert schema.marks(connection) == (schema.APPLICATION, schema.VERSION)
        service = dict(connection.execute("SELECT key, value FROM service").fetchall())
    assert set(service) == {"secret", "iterations"}
    assert len(bytes.fromhex(service["secret"])) == 32
    assert int(service["iterations"]) >= 4096


def test_what_is_up_to_date_stays_as_it_is() -> None:
    """Upgrading twice is upgrading once."""
    with closing(sqlite3.connect(":memory:")) as connection:
        schema.create(connection)
        before = connection.execute("SELECT * FROM service").fetchall()
        schema.upgrade(connection, schema.VERSION)
        assert connection.execute("SELECT * FROM service").fetchall() == before


def test_what_is_no_database_of_ours_has_no_marks() -> None:
    """An empty one has zeroes."""
    with closing(sqlite3.connect(":memory:")) as connection:
        assert schema.marks(connection) == (0, 0)
