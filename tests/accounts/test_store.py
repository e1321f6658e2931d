"""Users and their credentials."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.store import NameTaken, Store, User

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the accounts are."""
    return tmp_path / "accounts"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """A new store."""
    made = Store(path)
    made.create()
    yield made
    made.close()


def test_what_was_added_is_there(store: Store) -> None:
    """Each credential is found by exact name and kind, and nothing else is."""
    store.add("alice", {"apop": "tanstaaf", "password": "$argon2id$"})
    assert store.secret("alice", "apop") == "tanstaaf"
    assert store.secret("alice", "password") == "$argon2id$"
    for name, kind in (("alice", "scram"), ("Alice", "apop"), ("bob", "apop"), ("", "apop"), ("alice\0", "apop")):
        assert store.secret(name, kind) is None


def test_a_further_kind_needs_no_new_schema(store: Store) -> None:
    """A kind that nobody has thought of yet is stored like any other."""
    store.add("alice", {"scram-sha-256": "SCRAM-SHA-256$4096:c2FsdA==$k:s", "otp": "otp-md5 499 seed 0123"})
    assert store.secret("alice", "otp") == "otp-md5 499 seed 0123"


def test_users_are_listed_by_name_with_their_kinds(store: Store) -> None:
    """The list has every user once, also one without credentials."""
    before = int(time.time())
    store.add("bob", {"password": "x", "apop": "y"})
    store.add("alice", {"apop": "z"})
    store.add("carol", {})
    found = store.users()
    assert [(user.name, user.kinds) for user in found] == [
        ("alice", ("apop",)),
        ("bob", ("apop", "password")),
        ("carol", ()),
    ]
    assert all(before <= user.added <= time.time() for user in found)
    assert User("alice", found[0].added, ("apop",)) == found[0]


@pytest.mark.parametrize("name", ["alice", "Alice", "ALICE", "\uff41lice"])
def test_a_near_duplicate_is_refused(store: Store, name: str) -> None:
    """A name that is taken, or differs only in case or form, is refused and changes nothing."""
    store.add("alice", {"apop": "old"})
    with pytest.raises(NameTaken) as taken:
        store.add(name, {"apop": "new"})
    assert taken.value.name == "alice"
    assert [user.name for user in store.users()] == ["alice"]
    assert store.secret("alice", "apop") == "old"


def test_a_bad_name_is_refused(store: Store) -> None:
    """What can be no user's name is not stored."""
    with pytest.raises(ValueError, match="path"):
        store.add("../alice", {"apop": "x"})
    assert store.users() == []


def test_a_removed_user_is_gone_with_all_credentials(store: Store) -> None:
    """Removing tells whether there was one, and the name is free again."""
    store.add("alice", {"apop": "old", "password": "x"})
    assert store.remove("alice")
    assert store.secret("alice", "apop") is None
    assert not store.remove("alice")
    store.add("Alice", {"password": "y"})
    assert store.secret("Alice", "apop") is None


def test_names_are_data(store: Store) -> None:
    """A name that looks like SQL is a name."""
    name = "x';DROP--"
    store.add(name, {"apop": "x"})
    assert store.secret(name, "apop") == "x"
    assert not store.remove("' OR 1=1 --")
    assert len(store.users()) == 1


def test_another_process_is_seen_at_once(store: Store, path: Path) -> None:
    """A user who is added or removed by another process while this one has the file open is seen."""
    assert store.secret("alice", "apop") is None
    script = (
        "import sys; from netguard.accounts.store import Store; store = Store(sys.argv[1]);"
        "store.add('alice', {'apop': 'x'}) if sys.argv[2] == 'add' else store.remove('alice')"
    )
    subprocess.run([sys.executable, "-c", script, path, "add"], check=True)
    assert store.secret("alice", "apop") == "x"
    subprocess.run([sys.executable, "-c", script, path, "remove"], check=True)
    assert store.secret("alice", "apop") is None


def test_a_sound_file_is_verified_and_left_closed(store: Store, path: Path) -> None:
    """Verifying leaves no descriptor behind, for a daemon forks next."""
    store.add("alice", {"apop": "x"})
    store.verify()
    assert not [link for link in _open_files() if link == str(path)]


def _open_files() -> list[str]:
    """What this process has open."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except FileNotFoundError:  # the listing's own
            continue
    return links


def test_damage_is_found_at_the_start(store: Store, path: Path) -> None:
    """Verifying reads every page, so that damage far from the front shows before a login meets it."""
    for number in range(200):
        store.add(f"user{number}", {"apop": "x" * 100})
    store.close()
    content = bytearray(path.read_bytes())
    content[-4096:] = b"\xee" * 4096
    path.write_bytes(content)
    with pytest.raises(AccountsTrouble, match="is damaged; restore it from a backup"):
        store.verify()
