"""One-time passwords by the clock."""

from __future__ import annotations

import base64

import pytest

from netguard.accounts.totp import Totp, secret_of

# RFC 6238, appendix B: the secret, and time and code, of which six digits are the last six of eight.
SECRET = b"12345678901234567890"
EXAMPLES = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]
# RFC 4226, appendix D: the codes of the first ten counts.
COUNTS = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]


@pytest.mark.parametrize(("now", "code"), EXAMPLES)
def test_rfc_examples(now: int, code: str) -> None:
    """The RFC's codes are right at their time, and their step is then used."""
    assert Totp(SECRET).after(code[-6:], now) == Totp(SECRET, now // 30)


@pytest.mark.parametrize("count", range(1, 10))
def test_rfc_examples_by_count(count: int) -> None:
    """So are those of HOTP, on which TOTP stands."""
    assert Totp(SECRET).after(COUNTS[count], count * 30 + 29.9) == Totp(SECRET, count)


def test_clocks_may_differ_by_a_step() -> None:
    """A code is right in its own 30 seconds and in those before and after, and not beyond."""
    code = COUNTS[5]
    for now in (4 * 30, 5 * 30, 6 * 30 + 29.9):
        assert Totp(SECRET).after(code, now) == Totp(SECRET, 5)
    for now in (3 * 30 + 29.9, 7 * 30):
        assert Totp(SECRET).after(code, now) is None


def test_a_code_works_once() -> None:
    """Neither it nor an earlier one is taken again; a later one is."""
    used = Totp(SECRET).after(COUNTS[5], 5 * 30)
    assert used == Totp(SECRET, 5)
    for earlier in (4, 5):
        assert used.after(COUNTS[earlier], 5 * 30) is None
    assert used.after(COUNTS[6], 5 * 30) == Totp(SECRET, 6)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "28708",
        "2870822",
        " 287082",
        "287082 ",
        "28708a",
        "000000",
        "\uff12\uff18\uff17\uff10\uff18\uff12",
        "-28708",
    ],
)
def test_wrong_codes(code: str) -> None:
    """Another code, another length and other digits are wrong."""
    assert Totp(SECRET).after(code, 59) is None


def test_what_is_no_code_is_not_taken_for_one_of_zeroes() -> None:
    """A secret whose code is 000000 just now accepts that, and no text that is no code."""
    now = 349495 * 30
    assert Totp(SECRET).after("000000", now) == Totp(SECRET, 349495)
    assert Totp(SECRET).after("00000x", now) is None
    assert Totp(SECRET).after("", now) is None


def test_a_state_is_written_and_read() -> None:
    """What is stored comes back, and no repr shows the secret."""
    state = Totp(SECRET, 37037036)
    assert Totp.parse(str(state)) == state
    assert "12345" not in repr(state)
    assert Totp.parse(str(Totp(b"x" * 16))) == Totp(b"x" * 16)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "totp-sha1 6 30 GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "totp-sha1 8 30 GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ 0",
        "totp-sha1 6 30 GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ -1",
        "totp-sha1 6 30 gezdgnbvgy3tqojqgezdgnbvgy3tqojq 0",
        "totp-sha1 6 30 GEZDGNBV 0",
    ],
)
def test_what_is_no_state_is_refused(text: str) -> None:
    """A row that was damaged is refused in words without its content."""
    with pytest.raises(ValueError, match="TOTP") as refused:
        Totp.parse(text)
    assert "GEZD" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
        "\tGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ====",
    ],
)
def test_secrets_are_read_as_services_show_them(text: str) -> None:
    """In either case, in groups, padded or not."""
    assert secret_of(text) == SECRET


@pytest.mark.parametrize("octets", [16, 64])
def test_bounds_of_a_secret(octets: int) -> None:
    """16 and 64 octets are taken, 15 and 65 are not."""
    assert secret_of(base64.b32encode(bytes(octets)).decode()) == bytes(octets)
    for other in (15, 65):
        with pytest.raises(ValueError, match=f"16 to 64 octets, and this has {other}"):
            secret_of(base64.b32encode(bytes(other)).decode())


@pytest.mark.parametrize("text", ["0189", "é" * 26, "GEZD-GNBV", "A"])
def test_what_is_no_base32(text: str) -> None:
    """Other characters and cut texts are refused without being repeated."""
    with pytest.raises(ValueError, match="base32") as refused:
        secret_of(text)
    assert text not in str(refused.value)[:20]


def test_the_uri_is_what_apps_read() -> None:
    """Name, secret, issuer, and the three values that not every app reads."""
    uri = Totp(SECRET).uri("alice", "netguard")
    assert uri.startswith("otpauth://totp/netguard:alice?")
    for part in (
        "digits=6",
        "period=30",
        "algorithm=SHA1",
        "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "issuer=netguard",
    ):
        assert part in uri
