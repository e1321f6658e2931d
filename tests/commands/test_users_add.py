"""`netguard users add` and `set`."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from netguard.accounts import passwords
from netguard.accounts.store import Store
from netguard.accounts.totp import Totp, secret_of
from netguard.commands.contract import Refusal
from netguard.wire import otp, scram

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[str, str]]
    Secrets = Callable[[str], str]

SECRET = "a-secret-of-twenty-characters"


def test_generate_prints_the_secret_once_and_stores_it(run: Run, store: Store, path: Path) -> None:
    """The one line on standard output is kind and secret; the rest is for the person."""
    out, err = run("add", "alice", "--with", "apop", "--generate")
    printed = re.fullmatch(r"apop ([a-z2-7]{32})\n", out)
    assert printed
    assert store.secret("alice", "apop") == printed[1]
    assert store.secret("alice", "password") is None
    assert "added alice with apop" in err
    assert "not shown again" in err
    assert printed[1] not in err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_generate_makes_one_secret_for_each_kind(run: Run, store: Store) -> None:
    """APOP and password never share a secret, and the printed password matches the stored verifier."""
    out, _ = run("add", "alice", "--with", "password,apop", "--generate")
    printed = dict(line.split(" ") for line in out.splitlines())
    assert list(printed) == ["password", "apop"]
    assert printed["apop"] != printed["password"]
    assert store.secret("alice", "apop") == printed["apop"]
    assert passwords.matches(store.secret("alice", "password") or "", printed["password"].encode())


def test_a_scram_verifier_is_the_default_kind(run: Run, store: Store, secrets: Secrets) -> None:
    """What lies open on the server is given only to who asks, and the password goes for PASS too."""
    out, err = run("add", "alice", "--secret-file", secrets(SECRET + "\n"))
    assert out == ""
    assert SECRET not in err
    assert list(store.found("alice").credentials) == ["scram-sha-256"]
    verifier = scram.Verifier.parse(store.secret("alice", "scram-sha-256") or "")
    assert verifier.matches(SECRET.encode())
    assert verifier.iterations == store.found("alice").iterations


def test_a_given_apop_secret_is_kept_as_given(run: Run, store: Store, secrets: Secrets) -> None:
    """With one kind, the one line is its secret."""
    out, err = run("add", "alice", "--with", "apop", "--secret-file", secrets(SECRET))
    assert (out, SECRET in err, "warning" in err) == ("", False, False)
    assert store.secret("alice", "apop") == SECRET


def test_one_secret_for_both_kinds_is_the_password(run: Run, store: Store, secrets: Secrets) -> None:
    """The APOP secret is then its own, and is printed."""
    out, err = run("add", "alice", "--with", "apop,password", "--secret-file", secrets(SECRET))
    printed = re.fullmatch(r"apop ([a-z2-7]{32})\n", out)
    assert printed
    assert store.secret("alice", "apop") == printed[1]
    assert passwords.matches(store.secret("alice", "password") or "", SECRET.encode())
    assert SECRET not in err


def test_two_secrets_for_both_kinds_go_by_their_order(run: Run, store: Store, secrets: Secrets) -> None:
    """Each line is the secret of the kind in its place of --with."""
    out, _ = run("add", "alice", "--with", "password,apop", "--secret-file", secrets(f"first\n{SECRET}\n"))
    assert out == ""
    assert passwords.matches(store.secret("alice", "password") or "", b"first")
    assert store.secret("alice", "apop") == SECRET


@pytest.mark.parametrize("lines", ["one\ntwo\n", "one\ntwo\nthree\n"])
def test_more_secrets_than_kinds_are_refused(run: Run, path: Path, secrets: Secrets, lines: str) -> None:
    """A surplus line is more likely a mistake than a wish, and nothing is added."""
    with pytest.raises(Refusal, match=f"{lines.count(chr(10))} secrets for 1 kinds"):
        run("add", "alice", "--secret-file", secrets(lines))
    assert not path.exists()


def test_three_secrets_for_two_kinds_are_refused(run: Run, secrets: Secrets) -> None:
    """So is a third line for two kinds."""
    with pytest.raises(Refusal, match="3 secrets for 2 kinds"):
        run("add", "alice", "--with", "apop,password", "--secret-file", secrets("one\ntwo\nthree"))


def test_a_short_apop_secret_is_warned_of(run: Run, secrets: Secrets) -> None:
    """It is taken, for it may be what a client has, but the operator is told what it is worth."""
    _, err = run("add", "alice", "--with", "apop", "--secret-file", secrets("tanstaaf"))
    assert "warning: the APOP secret has 8 characters" in err
    assert "tanstaaf" not in err


def test_a_taken_name_is_refused(run: Run) -> None:
    """The same name, and one that is too much like it, are one clear line; the user stays."""
    run("add", "alice", "--with", "apop", "--generate")
    with pytest.raises(Refusal, match=r"there is a user 'alice' already; 'set' changes"):
        run("add", "alice", "--with", "apop", "--generate")
    with pytest.raises(Refusal, match="'alice' already, which is too much like 'Alice'"):
        run("add", "Alice", "--with", "apop", "--generate")
    assert "alice" in run("list")[0]


class Full(io.StringIO):
    """Standard output on a full disk."""

    def write(self, text: str) -> int:
        """Have no space."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_secret_that_cannot_be_shown_is_not_kept(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """When standard output is full, no user is left with a secret that nobody knows."""
    run("add", "bob", "--with", "apop", "--generate")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Full())
        with pytest.raises(Refusal, match=r"nothing was added, .* No space left on device"):
            run("add", "alice", "--with", "apop", "--generate")
    assert [user.name for user in store.users()] == ["bob"]


def test_passwords_in_two_ways_are_one_password(run: Run, store: Store) -> None:
    """Nobody has to remember which of two is for what."""
    out, _ = run("add", "alice", "--with", "scram-sha-256,password,apop", "--generate")
    printed = dict(line.split(" ") for line in out.splitlines())
    assert printed["scram-sha-256"] == printed["password"] != printed["apop"]
    secret = printed["password"].encode()
    assert passwords.matches(store.secret("alice", "password") or "", secret)
    assert scram.Verifier.parse(store.secret("alice", "scram-sha-256") or "").matches(secret)


def test_settings_come_along(run: Run, store: Store) -> None:
    """They are stored as they would be typed, in one spelling."""
    run("add", "bob", "--generate", "--mailbox", "/srv//mail/bob/", "--login-delay", "60s", "--expire", "never")
    assert store.found("bob").settings == {"mailbox": "/srv/mail/bob", "login-delay": "1m", "expire": "never"}


def test_a_chain_begins_with_its_challenge(run: Run, store: Store, secrets: Secrets) -> None:
    """A generator has to know algorithm, number and seed; the pass phrase is not shown when it was given."""
    out, err = run("add", "alice", "--with", "otp", "--secret-file", secrets("a long pass phrase"))
    chain = otp.State.parse(store.secret("alice", "otp") or "")
    assert out == ""
    assert f"the first one-time password is that of otp-sha1 499 {chain.seed}\n" in err
    assert chain.after(otp.generate("sha1", b"a long pass phrase", chain.seed, 499)) is not None


@pytest.mark.parametrize(
    ("kind", "secret", "why"), [("otp", "short", "10 to 63 characters"), ("totp", "no base32!", "base32")]
)
def test_a_secret_must_fit_its_kind(run: Run, path: Path, secrets: Secrets, kind: str, secret: str, why: str) -> None:
    """What no generator and no app could use is refused without being repeated, and nothing is added."""
    with pytest.raises(Refusal, match=f"^{kind}: .*{why}") as refused:
        run("add", "alice", "--with", kind, "--secret-file", secrets(secret))
    assert secret not in str(refused.value)
    assert not path.exists()


def test_totp_is_shown_for_an_app_and_explained(run: Run, store: Store, secrets: Secrets) -> None:
    """The app reads a URI; how to type the code, and that SCRAM is off then, is said."""
    out, err = run("add", "alice", "--with", "scram-sha-256,totp", "--secret-file", secrets(SECRET))
    uri = re.fullmatch(r"totp (otpauth://totp/netguard:alice\?\S*secret=([A-Z2-7]{32})\S*)\n", out)
    assert uri
    assert Totp.parse(store.secret("alice", "totp") or "") == Totp(secret_of(uri[2]))
    assert "typed directly behind the password; SCRAM, which has no place for it, refuses this user" in err


def test_a_code_alone_is_warned_of(run: Run, secrets: Secrets) -> None:
    """Six digits are soon guessed; with an Argon2id password there is nothing to say about SCRAM."""
    _, err = run("add", "alice", "--with", "totp", "--generate")
    assert "warning: a code of six digits alone is soon guessed" in err
    _, err = run("add", "bob", "--with", "password,totp", "--secret-file", secrets(SECRET))
    assert err.count("typed directly behind the password\n") == 1


# set


def test_set_replaces_adds_and_takes_away(run: Run, store: Store, secrets: Secrets) -> None:
    """Credentials and settings that are not named stay as they are."""
    run("add", "alice", "--with", "apop,password", "--generate", "--mailbox", "/old", "--expire", "3")
    before = dict(store.found("alice").credentials)
    out, err = run("set", "alice", "--with", "password", "--secret-file", secrets(SECRET), "--mailbox", "/new")
    found = store.found("alice")
    assert (out, "changed alice" in err) == ("", True)
    assert found.credentials["apop"] == before["apop"]
    assert passwords.matches(found.credentials["password"], SECRET.encode())
    assert found.settings == {"mailbox": "/new", "expire": "3"}
    run("set", "alice", "--without", "apop,mailbox")
    found = store.found("alice")
    assert (list(found.credentials), found.settings) == (["password"], {"expire": "3"})


def test_set_generates(run: Run, store: Store) -> None:
    """What is made is printed once, like that of `add`; advice goes by all that the user has."""
    run("add", "alice", "--generate")
    out, err = run("set", "alice", "--with", "apop,totp", "--generate")
    assert store.secret("alice", "apop") == out.split()[1]
    assert "not shown again" in err
    assert "SCRAM, which has no place for it" in err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "nothing to change"),
        (("--with", "apop"), "--with needs --generate or --secret-file"),
        (("--generate",), "give --with KINDS"),
        (("--secret-file", "-"), "give --with KINDS"),
    ],
)
def test_set_wants_to_know_what(run: Run, words: tuple[str, ...], why: str) -> None:
    """A command that changes nothing, or only half says what, is refused."""
    run("add", "alice", "--generate")
    with pytest.raises(Refusal, match=why):
        run("set", "alice", *words)


def test_set_of_nobody_is_refused(run: Run) -> None:
    """With the nearest name, and before a secret is made."""
    run("add", "alice", "--generate")
    with pytest.raises(Refusal, match=r"no user 'alcie' in .*; did you mean 'alice'"):
        run("set", "alcie", "--with", "apop", "--generate")


def test_who_is_removed_meanwhile_is_not_set(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the question and the change somebody else may have removed the user."""
    run("add", "alice", "--generate")
    monkeypatch.setattr(Store, "change", lambda *_: False)
    with pytest.raises(Refusal, match="no user 'alice'"):
        run("set", "alice", "--expire", "3")


def test_a_new_secret_that_cannot_be_shown_changes_nothing(
    run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When standard output is full, the old secret still counts."""
    run("add", "alice", "--with", "apop", "--generate")
    before = store.secret("alice", "apop")
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(Refusal, match=r"nothing was changed, .* No space left on device"):
        run("set", "alice", "--with", "apop", "--generate")
    assert store.secret("alice", "apop") == before
