"""Unique-ids: their form, and whose they are."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, TypeVar

import pytest

from netguard.pop3.foreign_lists import Given
from netguard.pop3.unique_ids import are_plain, are_well_formed, native_id, unique_ids

if TYPE_CHECKING:
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


def sha256(text: str) -> str:
    """The hash that stands for a name in a unique-id."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()


NAMES = [
    ("1700000000.M1P2.host", "1700000000.M1P2.host"),
    ("x" * 70, "x" * 70),
    ("x" * 71, sha256("x" * 71)),
    ("!~", "!~"),
    ("a b", sha256("a b")),
    ("caf\u00e9", sha256("caf\u00e9")),
    ("raw\udcff", sha256("raw\udcff")),
    ("0" * 64, sha256("0" * 64)),
    ("0" * 63 + "x", "0" * 63 + "x"),
]


@pytest.mark.parametrize(("name", "uid"), NAMES)
def test_unique_ids_have_the_right_form(name: str, uid: str) -> None:
    """The base name is the id if it has the form that RFC 1939 wants; else, or if it looks like a hash, its hash."""
    assert native_id(name, 1) == uid
    assert run(unique_ids([name], [1], {}, Given())) == [uid]
    assert are_well_formed([uid])
    assert are_plain([name]) <= (uid == name)


def test_names_of_one_kind_are_judged_together() -> None:
    """One odd name among many changes its own id only."""
    names = [f"{number}.a" for number in range(600)]
    assert run(unique_ids(names, range(600), {}, Given())) == names
    names[300] = "a b"
    assert run(unique_ids(names, range(600), {}, Given())) == [*names[:300], sha256("a b"), *names[301:]]


def test_what_is_no_unique_id_is_found() -> None:
    """Too long, empty, with a space or a control character: none of these has the form."""
    assert are_well_formed(["a", "x" * 70])
    for text in ("", "x" * 71, "a b", "a\r\n", "\u00e9"):
        assert not are_well_formed(["a", text])


def test_files_of_one_name_have_ids_of_their_own() -> None:
    """Of files that share a name, each has an id that depends on its inode, and none has that of the name."""
    given = Given(ids={"a": "given"})
    uids = run(unique_ids(["a", "a", "b"], [1, 2, 3], {"a": 2}, given))
    assert uids == [native_id("a", 1, 2), native_id("a", 2, 2), "b"]
    assert len({*uids, native_id("a", 1)}) == 4


def test_ids_that_were_given_out_come_first() -> None:
    """What another server knew keeps its id, others get their own; each is used once, and is well-formed."""
    given = Given(ids={"a": "one", "b": "one", "c": "bad id", "d": "e", "gone": "f"})
    uids = run(unique_ids(["a", "b", "c", "d", "e", "f"], range(6), {}, given))
    assert uids == ["one", "b", "c", "e", sha256("e"), sha256("f")]
