"""What goes into an accounts file, and what comes out of it."""

from __future__ import annotations

from netguard.accounts.records import Asked, Found, NameTaken, NewUser, User


def test_no_representation_is_a_secret() -> None:
    """Whatever is printed of them, credentials and the file's own secret are left out."""
    stored = {"apop": "tanstaaf"}
    for record in (
        NewUser("alice", stored, {"expire": "3"}),
        Found("alice", True, stored, {"expire": "3"}, b"tanstaaf", 4096),
        Asked("alice", True, stored, '{"expire": "3"}', b"tanstaaf", 4096),
    ):
        assert "tanstaaf" not in repr(record)
        assert "alice" in repr(record)
        assert "expire" in repr(record)


def test_a_taken_name_tells_whose_it_is() -> None:
    """So that the operator can be told, also when the two only look alike."""
    assert NameTaken("alice").name == "alice"


def test_a_user_is_a_row() -> None:
    """Equal rows are equal users."""
    assert User("alice", 7, ("apop",)) == User("alice", 7, ("apop",))
