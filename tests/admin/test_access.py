"""A request is answered when its name is ours, and when it shows what is demanded."""

from __future__ import annotations

from base64 import b64encode

import pytest

from netguard.admin.access import Access
from netguard.admin.asked import Asked
from netguard.secret import Secret

TOKEN = "a-token-of-some-length"


def code(access: Access, *, verified: bool = False, **headers: str) -> int:
    """The status of a refusal; 200 where there is none."""
    answer = access.refuse(Asked("GET", "/", headers=headers), verified=verified)
    return 200 if answer is None else answer.code


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:9113",
        "localhost.",
        "127.0.0.1:9113",
        "192.0.2.7",
        "[::1]:9113",
        "[2001:db8::1]",
        "mail.example:9113",
        "Mail.Example",
    ],
)
def test_names_that_are_ours_are_answered(host: str) -> None:
    """Localhost, any address, and what --admin-host says."""
    assert code(Access(["mail.example"]), host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example",
        "attacker.example:9113",
        "localhost.attacker.example",
        "127.0.0.1.attacker.example",
        "mail.example.attacker.example",
        "127.0.0.1@attacker.example",
        "127.1",
        "0x7f000001",
        "[::1",
        "::1",
        "localhost:99999999",
        "localhost, localhost",
        "local host",
        "",
        "a" * 300,
    ],
)
def test_other_names_are_not(host: str) -> None:
    """A page whose name was made to resolve to this machine gets nothing (DNS rebinding)."""
    assert code(Access(["mail.example"]), host=host) == 421


def test_who_names_nobody_is_no_browser() -> None:
    """Health checks speak HTTP/1.0."""
    assert code(Access()) == 200


def test_a_token_has_to_be_shown() -> None:
    """As Bearer, or as the password of Basic, since browsers can do only that."""
    access = Access(token=lambda: Secret(TOKEN))
    basic = b64encode(f"anybody:{TOKEN}".encode()).decode()
    for right in (f"Bearer {TOKEN}", f"bearer  {TOKEN}", f"Basic {basic}"):
        assert code(access, authorization=right) == 200
    wrong = b64encode(f"{TOKEN}:other".encode()).decode()
    for each in ("", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Digest {TOKEN}", f"Basic {wrong}"):
        assert code(access, authorization=each) == 401
    for each in ("Basic ===", "Basic /w==", "Basic ä", "Bearer \udcff", "Bearer ä"):
        assert code(access, authorization=each) == 401
    answer = access.refuse(Asked("GET", "/"), verified=False)
    assert answer is not None
    assert answer.headers == {"WWW-Authenticate": ('Bearer realm="netguard"', 'Basic realm="netguard"')}
    assert TOKEN.encode() not in answer.body


def test_a_certificate_may_be_demanded() -> None:
    """And does not stand for a token, nor a token for it."""
    both = Access(token=lambda: Secret(TOKEN), certificate=True)
    assert code(both, authorization=f"Bearer {TOKEN}") == 403
    assert code(both, verified=True) == 401
    assert code(both, verified=True, authorization=f"Bearer {TOKEN}") == 200
    assert code(Access(certificate=True), verified=True) == 200


def test_the_token_of_the_moment_counts() -> None:
    """It may change while the service runs."""
    tokens = [TOKEN]
    access = Access(token=lambda: Secret(tokens[-1]))
    tokens.append("another-token-by-now")
    assert code(access, authorization=f"Bearer {TOKEN}") == 401
    assert code(access, authorization="Bearer another-token-by-now") == 200
