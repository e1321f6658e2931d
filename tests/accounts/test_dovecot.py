"""Dovecot's passwd-files."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.accounts import passwords
from netguard.accounts.dovecot import Entry, Refused, entries
from netguard.accounts.passwords import Cost
from netguard.wire import scram

VERIFIER = scram.Verifier.of(b"pencil", b"saltsalt", 4096)
PARTS = ",".join(scram.base64(part).decode() for part in (VERIFIER.salt, VERIFIER.stored_key, VERIFIER.server_key))
ARGON = passwords.hashed(b"pencil", Cost(memory=64, passes=1))


def only(line: str, scheme: str = "CRYPT") -> Entry | Refused:
    """What one line says."""
    (entry,) = entries([line], scheme)
    return entry


def reason(line: str) -> str:
    """Why a line is refused."""
    refused = only(line)
    assert isinstance(refused, Refused)
    assert "secret" not in refused.reason.replace("the secret has", "")
    return refused.reason


def test_verifiers_are_kept() -> None:
    """Those of SCRAM-SHA-256 in our own form, those of Argon2id as they are, under a scheme in any case."""
    assert only(f"alice:{{SCRAM-SHA-256}}4096,{PARTS}") == Entry(1, "alice", {"scram-sha-256": str(VERIFIER)})
    assert only(f"alice:{{Argon2id}}{ARGON}:::::") == Entry(1, "alice", {"password": ARGON})


@pytest.mark.parametrize("scheme", ["PLAIN", "plain", "CLEAR", "CLEARTEXT"])
def test_an_open_password_is_told_as_such(scheme: str) -> None:
    """What becomes of it is the operator's to say."""
    assert only(f"alice:{{{scheme}}}tanstaaf") == Entry(1, "alice", plain="tanstaaf")
    assert only("alice:tanstaaf", scheme) == Entry(1, "alice", plain="tanstaaf")


def test_encodings() -> None:
    """Base64 and hexadecimal behind the scheme are undone."""
    encoded = base64.b64encode("pä:ss".encode()).decode()
    assert only(f"alice:{{PLAIN.b64}}{encoded}") == Entry(1, "alice", plain="pä:ss")
    assert only(f"alice:{{PLAIN.BASE64}}{encoded}") == Entry(1, "alice", plain="pä:ss")
    assert only(f"alice:{{plain.HEX}}{'pä:ss'.encode().hex()}") == Entry(1, "alice", plain="pä:ss")
    for wrong in ("{PLAIN.b64}secret!", "{PLAIN.hex}secret", "{PLAIN.hex}ff"):
        assert "or is not UTF-8" in reason(f"alice:{wrong}")


def test_comments_and_empty_lines_are_passed_over() -> None:
    """Numbers are those of the file."""
    lines = ["# alice:{PLAIN}x", "", "  ", "bob:{PLAIN}y"]
    assert list(entries(lines)) == [Entry(4, "bob", plain="y")]


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("{CRYPT}secret", "{CRYPT} is of crypt(3), which this release does not have; give this user a new password"),
        ("{SHA512-CRYPT}$6$secret", "{SHA512-CRYPT} is of crypt(3)"),
        ("{blf-crypt}$2y$secret", "{BLF-CRYPT} is of crypt(3)"),
        ("{SSHA256}secret", "{SSHA256} is a hash that can be guessed fast"),
        ("{CRAM-MD5}secret", "{CRAM-MD5} is not known here"),
        ("{ARGON2I}$argon2i$secret", "{ARGON2I} is not known here"),
        ("$6$secret", "names no scheme, so it is taken for {CRYPT}; if it lies open, say --scheme PLAIN"),
        ("", "there is no password"),
        ("{PLAIN}", "there is no password"),
        ("{PLAIN}a\x07secret", "control character"),
        ("{PLAIN}" + "x" * 249, "249 octets"),
        ("{ARGON2ID}secret", "not an Argon2id verifier"),
        ("{ARGON2ID}" + ARGON.replace("m=64", "m=9999999"), "asks for 9999999 KiB"),
        ("{SCRAM-SHA-256}secret", "not a verifier of SCRAM-SHA-256"),
        (f"{{SCRAM-SHA-256}}4096,{PARTS},AAAA", "not a verifier of SCRAM-SHA-256"),
        (f"{{SCRAM-SHA-256}}x,{PARTS}", "not a verifier of SCRAM-SHA-256"),
        (f"{{SCRAM-SHA-256}}{'9' * 5000},{PARTS}", "limit 4096"),
        (f"{{SCRAM-SHA-256}}4096,{PARTS[:-1]}", "not a verifier of SCRAM-SHA-256"),
        (f"{{SCRAM-SHA-256}}1000,{PARTS}", "4096 to 1000000 iterations, not 1000"),
        ("{SCRAM-SHA-256}4096,,AAAA,AAAA", "8 to 64 octets, not 0"),
    ],
)
def test_what_cannot_be_taken_says_why(password: str, why: str) -> None:
    """In words that name the scheme and what to do, and never the secret."""
    assert why in reason(f"alice:{password}")


@pytest.mark.parametrize("name", ["", "a/b", ".alice", "a b", "x" * 65, "\uff41lice"])
def test_what_is_no_name_is_refused(name: str) -> None:
    """With the rule that it breaks."""
    assert "user name" in reason(f"{name}:{{PLAIN}}x")


def test_only_names_that_can_be_shown_are_shown() -> None:
    """An escape sequence, and what is longer than any name, are not repeated."""
    for name, shown in (("a\x1b[31m", ""), ("x" * 256, ""), ("a/b", "a/b")):
        refused = only(f"{name}:{{PLAIN}}x")
        assert isinstance(refused, Refused)
        assert refused.name == shown


@pytest.mark.parametrize(
    "field", ["nologin", "nologin=y", "allow_nets=10.0.0.0/8", "proxy=y", "host=mail2", "passdb_nopassword=y"]
)
def test_what_restricts_a_user_is_not_passed_over(field: str) -> None:
    """Somebody who was kept out there is not let in here."""
    assert f"the field {field.removeprefix('passdb_').partition('=')[0]!r} restricts" in reason(
        f"alice:{{PLAIN}}x::::::userdb_x=y {field}"
    )


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("maildir:/srv/mail/alice", "/srv/mail/alice"),
        ("maildir:~/Maildir:INDEX=/var/x", "/home/alice/Maildir"),
        ("maildir:~", "/home/alice"),
        ("maildir:%h/Maildir", "/home/alice/Maildir"),
        ("maildir:/srv/%d/%n", "/srv/example.org/alice"),
        ("maildir:/srv/%u/", "/srv/alice@example.org"),
    ],
)
def test_a_maildir_becomes_the_mailbox(location: str, path: str) -> None:
    """With Dovecot's simple variables."""
    entry = only(f"alice@example.org:{{PLAIN}}x:::x:/home/alice:/bin/sh:userdb_mail={location} userdb_quota=1")
    assert entry == Entry(1, "alice@example.org", plain="x", settings={"mailbox": path})


@pytest.mark.parametrize("location", ["mbox:~/mail", "maildir:/srv/%1u", "maildir:relative", "maildir:", "sdbox:~/x"])
def test_another_location_is_refused(location: str) -> None:
    """Serving another mailbox than before would be worse than serving none."""
    assert "userdb_mail" in reason(f"alice:{{PLAIN}}x::::/home/alice::userdb_mail={location}")


def test_no_representation_is_a_secret() -> None:
    """Neither what is stored nor an open password is shown."""
    assert "tanstaaf" not in repr(Entry(1, "alice", {"apop": "tanstaaf"}, "tanstaaf"))


@given(st.lists(st.text(max_size=60), max_size=3))
def test_any_file_is_read_or_refused(lines: list[str]) -> None:
    """Whatever stands in it, each line is an entry, a refusal in printable words, or passed over."""
    for entry in entries(lines):
        assert isinstance(entry, Entry) or entry.reason.isprintable()
