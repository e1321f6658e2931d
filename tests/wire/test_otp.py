"""One-time passwords of RFC 2289."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire import otp
from netguard.wire.otp import State
from netguard.wire.otp_words import NUMBERS, WORDS

# RFC 2289, appendix C: algorithm, pass phrase, seed, count, hexadecimal, six words.
EXAMPLES = [
    ("md5", "This is a test.", "TeSt", 0, "9E87 6134 D904 99DD", "INCH SEA ANNE LONG AHEM TOUR"),
    ("md5", "This is a test.", "TeSt", 1, "7965 E054 36F5 029F", "EASE OIL FUM CURE AWRY AVIS"),
    ("md5", "This is a test.", "TeSt", 99, "50FE 1962 C496 5880", "BAIL TUFT BITS GANG CHEF THY"),
    ("md5", "AbCdEfGhIjK", "alpha1", 0, "8706 6DD9 644B F206", "FULL PEW DOWN ONCE MORT ARC"),
    ("md5", "AbCdEfGhIjK", "alpha1", 1, "7CD3 4C10 40AD D14B", "FACT HOOF AT FIST SITE KENT"),
    ("md5", "AbCdEfGhIjK", "alpha1", 99, "5AA3 7A81 F212 146C", "BODE HOP JAKE STOW JUT RAP"),
    ("md5", "OTP's are good", "correct", 0, "F205 7539 43DE 4CF9", "ULAN NEW ARMY FUSE SUIT EYED"),
    ("md5", "OTP's are good", "correct", 1, "DDCD AC95 6F23 4937", "SKIM CULT LOB SLAM POE HOWL"),
    ("md5", "OTP's are good", "correct", 99, "B203 E28F A525 BE47", "LONG IVY JULY AJAR BOND LEE"),
    ("sha1", "This is a test.", "TeSt", 0, "BB9E 6AE1 979D 8FF4", "MILT VARY MAST OK SEES WENT"),
    ("sha1", "This is a test.", "TeSt", 1, "63D9 3663 9734 385B", "CART OTTO HIVE ODE VAT NUT"),
    ("sha1", "This is a test.", "TeSt", 99, "87FE C776 8B73 CCF9", "GAFF WAIT SKID GIG SKY EYED"),
    ("sha1", "AbCdEfGhIjK", "alpha1", 0, "AD85 F658 EBE3 83C9", "LEST OR HEEL SCOT ROB SUIT"),
    ("sha1", "AbCdEfGhIjK", "alpha1", 1, "D07C E229 B5CF 119B", "RITE TAKE GELD COST TUNE RECK"),
    ("sha1", "AbCdEfGhIjK", "alpha1", 99, "27BC 7103 5AAF 3DC6", "MAY STAR TIN LYON VEDA STAN"),
    ("sha1", "OTP's are good", "correct", 0, "D51F 3E99 BF8E 6F0B", "RUST WELT KICK FELL TAIL FRAU"),
    ("sha1", "OTP's are good", "correct", 1, "82AE B52D 9437 74E4", "FLIT DOSE ALSO MEW DRUM DEFY"),
    ("sha1", "OTP's are good", "correct", 99, "4F29 6A74 FE15 67EC", "AURA ALOE HURL WING BERG WAIT"),
]
PASSWORDS = st.binary(min_size=8, max_size=8)


@pytest.mark.parametrize(("algorithm", "phrase", "seed", "count", "digits", "words"), EXAMPLES)
def test_rfc_examples(algorithm: str, phrase: str, seed: str, count: int, digits: str, words: str) -> None:
    """Every example of appendix C comes out, in both ways of writing, and is read back from both."""
    password = otp.generate(algorithm, phrase.encode(), seed, count)
    assert otp.to_hex(password) == digits.replace(" ", "").lower()
    assert otp.to_words(password) == words
    assert otp.from_hex(digits) == otp.from_words(words) == password


def test_examples_of_the_parity() -> None:
    """The conversion to six words of RFC 2289's appendix D, and its checksum: a wrong last pair of bits is refused."""
    password = bytes.fromhex("85c43ee03857765b")
    assert otp.to_words(password) == "FOWL KID MASH DEAD DUAL OAF"
    for pair in (1, 2, 3):
        assert otp.from_words(f"FOWL KID MASH DEAD DUAL {WORDS[NUMBERS['OAF'] ^ pair]}") is None


@given(PASSWORDS)
def test_what_is_written_is_read(password: bytes) -> None:
    """Both ways of writing come back, in either case, with any spaces."""
    words, digits = otp.to_words(password), otp.to_hex(password)
    assert otp.from_words(words) == otp.from_words("  " + words.lower().replace(" ", "\t  ")) == password
    assert otp.from_hex(digits) == otp.from_hex(" ".join(digits.upper())) == password
    assert password in otp.readings(words)
    assert list(otp.readings(digits)) == [password]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "INCH SEA ANNE LONG AHEM",
        "INCH SEA ANNE LONG AHEM TOUR TOUR",
        "INCHSEAANNELONGAHEMTOUR",
        "INCH SEA ANNE LONG AHEM TOURS",
        "INCH SEA ANNE LONG TOUR AHEM",
        "INCH SEA ANNE XYZ AHEM TOUR",
        "9e876134d90499d",
        "9e876134d90499dd0",
        "0x9e876134d90499dd",
        "9e876134d90499dg",
        "9e876134-d90499dd",
        "９e876134d90499dd",  # noqa: RUF001 - a digit that only looks like one
        "9e876134d90499dd" + " " * 128,
        "\u0131nch SEA ANNE LONG AHEM TOUR",
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    """Too few, too many, unknown or joined words, other digits, a wrong checksum, and what is too long."""
    assert list(otp.readings(text)) == []


def test_a_text_may_be_both() -> None:
    """Six words can be sixteen hexadecimal digits; then both readings are tried."""
    text = next(
        words
        for first in ("ADD", "BAD", "DAB", "DAD", "FAD", "FED", "BED", "ACE")
        for last in ("AD", "BE", "ED", "FAD", "A")
        for words in (f"{first} BE DEAD FACE FADE {last}", f"{first} BE DEAD FADE A {last}")
        if otp.from_words(words) and otp.from_hex(words)
    )
    assert set(otp.readings(text)) == {otp.from_hex(text), otp.from_words(text)}
    assert len(list(otp.readings(text))) == 2


@given(st.text(max_size=200))
def test_any_text_is_read_or_not(text: str) -> None:
    """Whatever is typed, a reading has 8 octets, and writing it is one of the readings of what was typed."""
    for password in otp.readings(text):
        assert len(password) == 8
        assert "".join(text.split()).upper() in (
            otp.to_hex(password).upper(),
            otp.to_words(password).replace(" ", ""),
        )


def test_seeds() -> None:
    """Letters and digits in any case, hashed in lower case; nothing else, and not more than sixteen."""
    assert otp.check_seed("TeSt") == "test"
    assert otp.check_seed("a" * 16) == "a" * 16
    for wrong in ("", "a" * 17, "a b", "ab-c", "é", "\u0130a", "a\n"):
        with pytest.raises(ValueError, match="1 to 16 letters and digits"):
            otp.check_seed(wrong)


def test_seeds_of_ours() -> None:
    """Two letters and four digits, of five random octets."""
    assert otp.new_seed(bytes(5)) == "aa0000"
    assert otp.new_seed(b"\xff" * 5) == "vv7215"
    assert otp.check_seed(otp.new_seed(b"\x10\x20\xff\x00\x01")) == otp.new_seed(b"\x10\x20\xff\x00\x01")


@pytest.mark.parametrize("algorithm", ["md5", "sha1"])
def test_a_chain_is_spent_from_its_end(algorithm: str) -> None:
    """Each one-time password is right once, in its turn, until none is left."""
    phrase, seed = b"This is a test.", "ke1234"
    state = State.begin(algorithm, phrase, "Ke1234", 5)
    for count in (4, 3, 2, 1):
        assert state.challenge == f"otp-{algorithm} {count} {seed} ext"
        assert state.left == count
        for other in range(6):
            right = state.after(otp.generate(algorithm, phrase, seed, other))
            assert (right is not None) is (other == count)
        spent = state.after(otp.generate(algorithm, phrase, seed, count))
        assert spent is not None
        state = spent
    assert state.left == 0
    assert state.after(otp.generate(algorithm, phrase, seed, 0)) is None


def test_a_state_is_written_and_read() -> None:
    """What is stored comes back, and no repr shows the one-time password in it."""
    state = State.begin("sha1", b"This is a test.", "TeSt", 9999)
    assert State.parse(str(state)) == state
    assert state.last.hex() not in repr(state)
    assert str(state).split()[-1] == state.last.hex()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "otp-md4 499 seed 0123456789abcdef",
        "otp-md5 0 seed 0123456789abcdef",
        "otp-md5 10000 seed 0123456789abcdef",
        "otp-md5 -1 seed 0123456789abcdef",
        "otp-md5 499 SEED 0123456789abcdef",
        "otp-md5 499 seed 0123456789abcde",
        "otp-md5 499 seed 0123456789abcdef ",
        "otp-md5 499 seed 0123456789ABCDEF",
    ],
)
def test_what_is_no_state_is_refused(text: str) -> None:
    """A row that was damaged is refused in words without its content."""
    with pytest.raises(ValueError, match="not the state of a chain") as refused:
        State.parse(text)
    assert "seed" not in str(refused.value)


def test_nobody_cannot_be_told_from_somebody() -> None:
    """An unknown user is asked for the same at each try, in the form that this server's own chains have."""
    mocks = [otp.mock(bytes(32), name) for name in ("bob", "bob", "carol")]
    assert mocks[0] == mocks[1]
    assert mocks[0].challenge != mocks[2].challenge
    assert otp.mock(b"\1" * 32, "bob").challenge != mocks[0].challenge
    assert State.parse(str(mocks[0])).challenge == mocks[0].challenge
    assert 100 <= mocks[0].sequence < 500


def test_a_mock_accepts_nothing() -> None:
    """Not even what hashes to it."""
    real = State.begin("md5", b"This is a test.", "test", 10)
    mock = State("md5", real.sequence, real.seed, real.last, mock=True)
    password = otp.generate("md5", b"This is a test.", "test", 9)
    assert real.after(password) is not None
    assert mock.after(password) is None
