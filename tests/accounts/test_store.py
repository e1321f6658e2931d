"""Users and their credentials."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.records import NameTaken, NewUser, User
from netguard.accounts.schema import ITERATIONS
from netguard.accounts.store import Store

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


@pytest.mark.parametrize("name", ["alice", "Alice", "ALICE"])
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


def test_everything_about_a_user_is_one_answer(store: Store) -> None:
    """Credentials and settings come together, and no repr shows a secret."""
    store.add("alice", {"apop": "tanstaaf"}, {"mailbox": "/srv/a"})
    found = store.found("alice")
    assert (found.name, found.exists, found.iterations) == ("alice", True, ITERATIONS)
    assert (found.credentials, found.settings) == ({"apop": "tanstaaf"}, {"mailbox": "/srv/a"})
    assert len(found.secret) == 32
    assert not [word for word in ("tanstaaf", repr(found.secret)) if word in repr(found)]


def test_nobody_is_answered_alike(store: Store) -> None:
    """Of a name that nobody has there is nothing but what it takes to pretend."""
    store.add("alice", {"apop": "x"})
    nobody = store.found("nobody")
    assert (nobody.exists, nobody.credentials, nobody.settings) == (False, {}, {})
    assert nobody.secret == store.found("alice").secret
    store.add("carol", {})
    assert store.found("carol").exists


def test_each_file_pretends_in_its_own_way(store: Store, path: Path) -> None:
    """The secret is random, and stays."""
    other = Store(path.with_name("other"))
    other.create()
    assert other.found("x").secret != store.found("x").secret
    other.close()
    before = store.found("x").secret
    store.close()
    assert store.found("x").secret == before


def test_what_may_be_used_once_is_used_once(store: Store) -> None:
    """Only what is stored can be replaced by what comes after it."""
    store.add("alice", {"otp": "5", "apop": "5"})
    assert store.spend("alice", "otp", "5", "4")
    assert store.secret("alice", "otp") == "4"
    assert store.secret("alice", "apop") == "5"
    for name, kind, before in (
        ("alice", "otp", "5"),
        ("bob", "otp", "4"),
        ("alice", "totp", "4"),
        ("Alice", "otp", "4"),
    ):
        assert not store.spend(name, kind, before, "3")
    assert store.secret("alice", "otp") == "4"


def test_of_many_at_once_one_wins(store: Store, path: Path) -> None:
    """Whether they are threads of one process or have opened the file themselves."""
    store.add("alice", {"otp": "5"})
    others = [Store(path) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        spent = list(pool.map(lambda each: each.spend("alice", "otp", "5", "4"), [store, store, store, store, *others]))
    assert sorted(spent) == [False] * 7 + [True]
    for other in others:
        other.close()


def test_what_was_used_is_on_the_disk_before_it_is_told(store: Store, path: Path) -> None:
    """A process that is killed as soon as it is told has used it all the same."""
    store.add("alice", {"otp": "5"})
    script = (
        "import os, sys; from netguard.accounts.store import Store;"
        "os._exit(7 if Store(sys.argv[1]).spend('alice', 'otp', '5', '4') else 8)"
    )
    for status in (7, 8):
        assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == status
    assert store.secret("alice", "otp") == "4"


def test_a_user_can_be_changed(store: Store) -> None:
    """New credentials and settings take the place of old ones, others stay, and what is not wanted goes."""
    store.add("alice", {"apop": "old", "password": "kept", "otp": "gone"}, {"mailbox": "/old", "expire": "3"})
    assert store.change("alice", {"apop": "new"}, {"mailbox": "/new", "lifetime": "1h"}, ["otp", "expire", "absent"])
    found = store.found("alice")
    assert found.credentials == {"apop": "new", "password": "kept"}
    assert found.settings == {"mailbox": "/new", "lifetime": "1h"}


def test_what_is_removed_and_given_at_once_is_given(store: Store) -> None:
    """The order is: first remove, then store."""
    store.add("alice", {"apop": "old"})
    assert store.change("alice", {"apop": "new"}, {}, ["apop"])
    assert store.secret("alice", "apop") == "new"


def test_nobody_cannot_be_changed(store: Store) -> None:
    """It is told, and nothing is stored."""
    assert not store.change("nobody", {"apop": "x"}, {"mailbox": "/x"})
    assert store.users() == []
    assert not store.found("nobody").credentials


def test_a_removed_user_leaves_no_settings(store: Store) -> None:
    """Whoever gets the name next starts anew."""
    store.add("alice", {}, {"mailbox": "/srv/a"})
    store.remove("alice")
    assert store.found("alice").settings == {}


def test_many_are_added_all_or_none(store: Store) -> None:
    """One who cannot be added takes all others back; names among them count too."""
    store.add("alice", {})
    for last, error in (("ALICE", NameTaken), ("a/b", ValueError), ("Bob", NameTaken)):
        with pytest.raises(error):
            store.add_all([NewUser("bob", {"apop": "x"}), NewUser("carol", {}), NewUser(last, {})], 4096)
        assert [user.name for user in store.users()] == ["alice"]
        assert store.found("x").iterations == ITERATIONS
    store.add_all([NewUser("bob", {"apop": "x"}, {"expire": "3"}), NewUser("carol", {})], 4096)
    assert [user.name for user in store.users()] == ["alice", "bob", "carol"]
    assert store.found("bob").settings == {"expire": "3"}
    assert store.found("x").iterations == 4096


def test_a_login_asks_for_what_matters(store: Store) -> None:
    """The kinds that it names, whether there is such a user, what is set, and what it takes to pretend."""
    store.add("alice", {"apop": "tanstaaf", "password": "x"}, {"mailbox": "/srv/a"})
    found = store.found("alice")
    asked = store.asked("alice", ("otp", "apop"))
    assert (asked.name, asked.exists, asked.credentials) == ("alice", True, {"apop": "tanstaaf"})
    assert json.loads(asked.settings) == {"mailbox": "/srv/a"}
    assert (asked.secret, asked.iterations) == (found.secret, found.iterations)
    assert store.asked("alice", ()).credentials == {}


def test_a_login_of_nobody_asks_the_same(store: Store) -> None:
    """One row, with nothing in it but what it takes to pretend."""
    store.add("alice", {"apop": "x"})
    nobody = store.asked("nobody", ("apop",))
    assert (nobody.exists, nobody.credentials, nobody.settings) == (False, {}, "{}")
    assert nobody.secret == store.asked("alice", ("apop",)).secret
