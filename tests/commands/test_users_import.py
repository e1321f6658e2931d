"""`netguard users import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netguard.accounts import passwords
from netguard.accounts.passwords import Cost
from netguard.commands import users_import
from netguard.commands.contract import Refusal
from netguard.wire import scram

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.accounts.store import Store

    Run = Callable[..., tuple[str, str]]
    Secrets = Callable[[str], str]

VERIFIER = scram.Verifier.of(b"pencil", b"saltsalt", 4096)


def dovecot(verifier: scram.Verifier) -> str:
    """A verifier as `doveadm pw -s SCRAM-SHA-256` writes it."""
    parts = [scram.base64(part).decode() for part in (verifier.salt, verifier.stored_key, verifier.server_key)]
    return "{SCRAM-SHA-256}" + ",".join([str(verifier.iterations), *parts])


ARGON = passwords.hashed(b"pencil", Cost(memory=64, passes=1))
GOOD = f"""\
# a comment, and an empty line

alice:{dovecot(VERIFIER)}:1000:1000::/home/alice::userdb_mail=maildir:~/Maildir
bob:{{ARGON2ID}}{ARGON}:::
carol:{{PLAIN}}tanstaaf
"""


def test_what_can_be_kept_is_kept(run: Run, store: Store, secrets: Secrets) -> None:
    """Verifiers as they are, an open password as a verifier, and the Maildir where one is named."""
    out, err = run("import", secrets(GOOD))
    assert (out, err) == ("", "netguard users: added 3 of 3 users\n")
    assert store.found("alice").credentials == {"scram-sha-256": str(VERIFIER)}
    assert store.found("alice").settings == {"mailbox": "/home/alice/Maildir"}
    assert store.found("bob").credentials == {"password": ARGON}
    assert list(store.found("carol").credentials) == ["scram-sha-256"]
    made = scram.Verifier.parse(store.secret("carol", "scram-sha-256") or "")
    assert made.matches(b"tanstaaf")


def test_unknown_users_cost_what_the_imported_cost(run: Run, store: Store, secrets: Secrets) -> None:
    """So that nobody can tell them apart; and so does what is made later."""
    run("import", secrets(GOOD))
    assert store.found("").iterations == 4096
    run("add", "dave", "--generate")
    assert scram.Verifier.parse(store.secret("dave", "scram-sha-256") or "").iterations == 4096


def test_a_difference_that_gives_users_away_is_warned_of(run: Run, store: Store, secrets: Secrets) -> None:
    """When others are there already, their cost stays what unknown users show."""
    run("add", "dave", "--generate")
    before = store.found("").iterations
    _, err = run("import", secrets(GOOD))
    assert f"warning: 1 SCRAM verifiers have other than {before} iterations" in err
    assert store.found("").iterations == before


def test_the_operator_says_what_an_open_password_becomes(run: Run, store: Store, secrets: Secrets) -> None:
    """Any credentials that can be made of one."""
    run("import", secrets("carol:tanstaaf"), "--scheme", "PLAIN", "--with", "apop,password")
    assert store.secret("carol", "apop") == "tanstaaf"
    assert passwords.matches(store.secret("carol", "password") or "", b"tanstaaf")


@pytest.mark.parametrize("kind", ["otp", "totp"])
def test_what_cannot_be_made_of_a_password_is_refused(run: Run, secrets: Secrets, kind: str) -> None:
    """Chains and apps have secrets of their own."""
    with pytest.raises(Refusal, match=f"{kind} cannot be made of a password"):
        run("import", secrets(GOOD), "--with", kind)


def test_what_cannot_be_taken_is_told_and_the_rest_added(
    run: Run, store: Store, secrets: Secrets, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with its line and the reason; the status says that something is missing; no secret is repeated."""
    file = secrets(GOOD + "erin:{CRYPT}secret\nALICE:{PLAIN}x\ncarol:{PLAIN}x\na\x1bb:{PLAIN}secret\n")
    with pytest.raises(Refusal, match=f"4 of 7 users in {file} cannot be imported"):
        run("import", file)
    err = capsys.readouterr().err.splitlines()
    assert [user.name for user in store.users()] == ["alice", "bob", "carol"]
    assert err[0].startswith(f"netguard users: {file}:6: erin: {{CRYPT}} is of crypt(3)")
    assert err[1].endswith(":7: ALICE: there is a user 'alice' already")
    assert err[2].endswith(":8: carol: there is a user 'carol' already")
    assert ":9: (a name that cannot be shown): the user name" in err[3]
    assert err[4].endswith("added 3 of 7 users")
    assert "secret" not in "".join(err).replace(file, "")


def test_who_is_there_is_not_imported_twice(run: Run, store: Store, secrets: Secrets) -> None:
    """What an operator changed since stays."""
    run("import", secrets(GOOD))
    run("set", "alice", "--expire", "3")
    with pytest.raises(Refusal, match="3 of 3 users"):
        run("import", secrets(GOOD))
    assert store.found("alice").settings["expire"] == "3"


def test_a_dry_run_makes_nothing(run: Run, path: Path, store: Store, secrets: Secrets) -> None:
    """Neither a file nor a user, with and without a file that is there."""
    assert run("import", secrets(GOOD), "--dry-run")[1] == "netguard users: would add 3 of 3 users\n"
    assert not path.exists()
    run("add", "alice", "--generate")
    with pytest.raises(Refusal, match="1 of 3 users"):
        run("import", secrets(GOOD), "--dry-run")
    assert len(store.users()) == 1


def test_windows_line_ends_are_line_ends(run: Run, store: Store, secrets: Secrets) -> None:
    """A file that came from elsewhere."""
    run("import", secrets("carol:{PLAIN}tanstaaf\r\n"), "--with", "apop")
    assert store.secret("carol", "apop") == "tanstaaf"


def test_a_file_that_everybody_can_read_is_warned_of(run: Run, secrets: Secrets) -> None:
    """It is read all the same."""
    file = secrets(GOOD)
    Path(file).chmod(0o644)
    assert f"warning: everybody can read {file}\n" in run("import", file)[1]


@pytest.mark.parametrize("octets", [b"a:{PLAIN}\xff", None])
def test_a_file_that_cannot_be_read_is_one_line(run: Run, secrets: Secrets, octets: bytes | None) -> None:
    """What is no text, and what is not there."""
    file = Path(secrets(""))
    if octets is None:
        file.unlink()
    else:
        file.write_bytes(octets)
    with pytest.raises(Refusal, match=r"not UTF-8|No such file"):
        run("import", str(file))


def test_a_file_that_is_absurdly_large_is_one_line(run: Run, secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read into memory."""
    monkeypatch.setattr(users_import, "_MOST_OCTETS", len(GOOD) - 1)
    with pytest.raises(Refusal, match=f"more than {len(GOOD) - 1} octets"):
        run("import", secrets(GOOD))
    monkeypatch.setattr(users_import, "_MOST_OCTETS", len(GOOD))
    run("import", secrets(GOOD))
