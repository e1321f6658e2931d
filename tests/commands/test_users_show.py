"""`netguard users list`, `show`, `verify` and `remove`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from netguard.accounts import credentials
from netguard.commands.contract import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netguard.accounts.store import Store

    Run = Callable[..., tuple[str, str]]
    Secrets = Callable[[str], str]

SECRET = "a-secret-of-twenty-characters"


def test_list_is_a_table(run: Run) -> None:
    """A heading, then a line a user, aligned, and no secret."""
    out, _ = run("add", "bob", "--with", "apop", "--generate")
    secret = out.split()[1]
    run("add", "alexandra@example.org", "--with", "apop,password", "--generate")
    out, err = run("list")
    heading, first, second = out.splitlines()
    assert heading.split() == ["NAME", "CREDENTIALS", "ADDED"]
    assert re.fullmatch(r"alexandra@example\.org  apop,password  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first)
    assert re.fullmatch(r"bob                    apop           \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", second)
    assert err == ""
    assert secret not in out


def test_list_json_can_be_read_by_a_program(run: Run) -> None:
    """An array of objects with name, credentials and time."""
    assert run("add", "bob", "--with", "apop,password", "--generate")
    (bob,) = json.loads(run("list", "--json")[0])
    assert (bob["name"], bob["credentials"]) == ("bob", ["apop", "password"])
    assert bob["added"].endswith("Z")
    assert set(bob) == {"name", "credentials", "added"}


def test_an_empty_list_is_empty(run: Run) -> None:
    """A file without users has a heading, and an empty array."""
    run("add", "bob", "--with", "apop", "--generate")
    run("remove", "bob")
    assert run("list")[0].split() == ["NAME", "CREDENTIALS", "ADDED"]
    assert json.loads(run("list", "--json")[0]) == []


def test_remove_takes_the_user_away(run: Run, store: Store) -> None:
    """It says so on standard error, for there is no result."""
    run("add", "alice", "--with", "apop", "--generate")
    out, err = run("remove", "alice")
    assert out == ""
    assert "removed alice" in err
    assert store.secret("alice", "apop") is None


def test_removing_nobody_is_refused_with_the_nearest_name(run: Run, path: Path) -> None:
    """A typo is answered with what was probably meant; a wild guess is not."""
    run("add", "alice", "--with", "apop", "--generate")
    with pytest.raises(Refusal, match=f"there is no user 'alcie' in {path}; did you mean 'alice'\\?"):
        run("remove", "alcie")
    with pytest.raises(Refusal, match=r"there is no user 'zzz' in \S+$"):
        run("remove", "zzz")


def test_show_tells_the_state_and_no_secret(run: Run, store: Store) -> None:
    """What an operator has to know: costs, how many are left, when, and what is set."""
    run("add", "alice", "--with", "scram-sha-256,password,apop,otp,totp", "--generate", "--mailbox", "/srv/a")
    out, err = run("show", "alice")
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert (lines[0], err) == (["alice"], "")
    shown = {line[0]: "".join(line[1:]) for line in lines[1:]}
    assert list(shown) == ["apop", "otp", "password", "scram-sha-256", "totp", "mailbox"]
    assert shown["scram-sha-256"] == f"{store.found('').iterations} iterations"
    assert re.fullmatch(r"499 left; next: otp-sha1 499 [a-z]{2}\d{4}", shown["otp"])
    assert (shown["apop"], shown["totp"], shown["mailbox"]) == ("", "not used yet", "/srv/a")
    for stored in store.found("alice").credentials.values():
        assert stored not in out


def test_show_json_can_be_read_by_a_program(run: Run, store: Store) -> None:
    """Name, credentials with their state, settings; what cannot be read is said to be so."""
    run("add", "alice", "--with", "apop", "--generate", "--expire", "3")
    store.change("alice", {"otp": "x"}, {})
    shown = json.loads(run("show", "alice", "--json")[0])
    assert shown == {
        "name": "alice",
        "credentials": {"apop": "", "otp": "unusable: it is not the state of a chain of one-time passwords"},
        "settings": {"expire": "3"},
    }


@pytest.mark.parametrize("words", [("show", "alcie"), ("verify", "alcie")])
def test_nobody_is_refused_with_the_nearest_name(run: Run, words: tuple[str, ...]) -> None:
    """As everywhere."""
    run("add", "alice", "--generate")
    with pytest.raises(Refusal, match="did you mean 'alice'"):
        run(*words)


def test_verify_reads_everything(run: Run) -> None:
    """A sound file is told to be so."""
    run("add", "alice", "--generate")
    run("add", "bob", "--with", "apop", "--generate", "--mailbox", "/srv/b")
    assert run("verify") == ("", "netguard users: all is well with 2 users\n")


def test_verify_says_what_cannot_be_used(run: Run, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each, with whose it is, and no secret."""
    run("add", "alice", "--generate")
    store.change("alice", {"otp": "x", "password": "{CRYPT}secret"}, {"mailbox": "relative"})
    with pytest.raises(Refusal, match="3 of what is stored cannot be used"):
        run("verify")
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 3
    assert all(line.startswith("alice: ") for line in out.splitlines())
    assert "secret" not in out.replace("no TOTP secret", "")


def test_verify_a_secret(run: Run, secrets: Secrets) -> None:
    """It says which credentials a secret is right for; none is an error, and nothing is used up."""
    run("add", "alice", "--with", "scram-sha-256,apop", "--secret-file", secrets(f"{SECRET}\n{SECRET}"))
    for _ in range(2):
        assert run("verify", "alice", "--secret-file", secrets(SECRET)) == ("apop\nscram-sha-256\n", "")
    with pytest.raises(Refusal, match="that is no secret of alice") as refused:
        run("verify", "alice", "--secret-file", secrets("another-secret"))
    assert "another-secret" not in str(refused.value)


def test_verify_takes_one_secret(run: Run, secrets: Secrets) -> None:
    """Two lines are a mistake."""
    run("add", "alice", "--generate")
    with pytest.raises(Refusal, match="2 lines for one secret"):
        run("verify", "alice", "--secret-file", secrets("one\ntwo"))


def test_verify_a_secret_against_a_damaged_row(run: Run, store: Store, secrets: Secrets) -> None:
    """What cannot be read is one clear line."""
    run("add", "alice", "--generate")
    store.change("alice", {"otp": "x"}, {})
    with pytest.raises(Refusal, match="alice: it is not the state of a chain"):
        run(
            "verify",
            "alice",
            "--secret-file",
            secrets(credentials.generate()[:16].translate({ord(c): "a" for c in "ghijklmnopqrstuvwxyz"})),
        )
