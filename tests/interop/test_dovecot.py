"""Dovecot beside netguard-pop: both answer the same sessions on the same mail alike, and one takes over from the other.

Where they differ on purpose, a test of its own says how and why; `docs/standards.md` has the same list.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import frozen

from netguard.plugins.pop_demo import samples
from tests.dovecot import Dovecot, dovecot, give, public_folder, why_not
from tests.popserver import (
    APOP_SECRET,
    PATIENCE,
    USER,
    Peer,
    Server,
    Site,
    environment,
    make_maildir,
    serving,
    stored,
)

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "it is there")

MANY_LINES = {b"LIST", b"UIDL", b"CAPA"}
LISTED = [b"STAT", b"LIST", b"UIDL"]

SESSIONS: dict[str, list[bytes]] = {
    "all that there is": [*LISTED, *(b"RETR %d" % number for number in range(1, 12))],
    "tops": [b"TOP %d %d" % (number, lines) for number in range(1, 12) for lines in (0, 1, 3, 9999)],
    "single": [b"LIST 1", b"LIST 2", b"UIDL 1", b"UIDL 3", b"NOOP", b"stat", b"uIdL 2", b"RSET"],
    "deleted": [
        *(b"DELE 1", b"DELE 3", b"STAT", b"LIST", b"UIDL", b"LIST 1", b"UIDL 1", b"RETR 1", b"TOP 1 0", b"DELE 1"),
        *(b"RSET", *LISTED, b"RETR 1", b"DELE 2"),
    ],
    "numbers": [
        *(b"RETR 0", b"RETR 99", b"RETR -1", b"RETR 1x", b"RETR 0x1", b"RETR 4294967297", b"RETR 18446744073709551617"),
        *(b"LIST 0", b"LIST 99", b"UIDL 99", b"DELE 0", b"DELE 99", b"TOP 99 1", b"TOP 0 0", b"STAT"),
    ],
    "more numbers": [
        b"RETR +1",
        b"RETR 1_0",
        b"RETR \xd9\xa1",
        b"LIST x",
        b"UIDL -2",
        b"TOP 1 -1",
        b"TOP x 1",
        b"STAT",
    ],
    "arguments": [b"RETR", b"DELE", b"TOP", b"TOP 1", b"TOP 1 1 1", b"XTND XMIT", b"FOO", b"LAST 1", b"STAT"],
    "leading zeros": [b"RETR 01", b"LIST 0002", b"DELE 003", b"STAT"],
    "states": [b"USER alice", b"PASS secret", b"APOP alice 0123456789abcdef0123456789abcdef", b"STLS", b"STAT"],
}


@frozen
class Answer:
    """What a server says to one command, as far as a client acts on it.

    Args:
        good: whether it is +OK.
        code: the response code behind -ERR, if there is one.
        data: what stands behind +OK where that is data, or the lines that follow.
    """

    good: bool
    code: bytes = b""
    data: bytes = b""


def _answer(peer: Peer, command: bytes) -> Answer:
    first = peer.ask(command)
    word, _, argument = command.upper().partition(b" ")
    if not first.startswith(b"+OK"):
        code = first.split()[1:2]
        return Answer(good=False, code=code[0] if code and code[0].startswith(b"[") else b"")
    if word in (b"RETR", b"TOP") or (word in MANY_LINES and not argument):
        lines = []
        while (line := peer.line()) != b".\r\n":
            assert line, command
            lines.append(line)
        return Answer(good=True, data=b"".join(lines))
    return Answer(good=True, data=first if word in (b"STAT", b"LIST", b"UIDL") else b"")


def session(port: int, commands: list[bytes]) -> dict[bytes, Answer]:
    """The answers to commands in a session that ends with QUIT; those to its second STAT under another name."""
    answers: dict[bytes, Answer] = {}
    with Peer(port) as peer:
        assert peer.apop().startswith(b"+OK")
        for command in commands:
            answer = _answer(peer, command)
            answers[command + b" again" * (command in answers)] = answer
        assert peer.ask(b"QUIT").startswith(b"+OK")
    return answers


@frozen
class Both:
    """Both servers, each with a copy of the same mail.

    Args:
        dovecot: Dovecot.
        netguard: netguard-pop, which uses Dovecot's unique-ids.
        folder: where the mail is.
    """

    dovecot: Dovecot
    netguard: Server
    folder: Path

    def ask(self, commands: list[bytes]) -> tuple[dict[bytes, Answer], dict[bytes, Answer]]:
        """What each answers, Dovecot first."""
        return session(self.dovecot.port, commands), session(self.netguard.ports()[0], commands)

    def left(self, server: str) -> list[bytes]:
        """What a server left of the mail."""
        return stored(self.folder / server / USER)


@contextmanager
def both_with(site: Site, mail: Mapping[str, bytes], change: Callable[[Path], object] = Path.exists) -> Iterator[Both]:
    """Dovecot has opened the mail once, so that each message has a unique-id; then it was copied, and changed."""
    with public_folder() as folder:
        make_maildir(folder / "dovecot" / USER, dict(mail))
        give(folder / "dovecot")
        template = f"{folder}/netguard/{{user}}"
        plain = ["--maildir", template, "--accounts", str(site.accounts), "--listen", "tcp:0:interface=127.0.0.1"]
        with dovecot({USER: APOP_SECRET}, f"{folder}/dovecot/{{user}}") as theirs:
            session(theirs.port, LISTED)
            shutil.copytree(folder / "dovecot", folder / "netguard")
            for server in ("dovecot", "netguard"):
                change(folder / server / USER)
            with serving(*plain, "--uidl", "dovecot", cwd=site.folder) as ours:
                yield Both(theirs, ours, folder)


ORDINARY = {name: content for name, content in samples() if content.endswith(b"\n")}


def test_both_answer_alike(site: Site) -> None:
    """Every command of every session gets the same answer from both."""
    with both_with(site, ORDINARY) as both:
        for name, commands in SESSIONS.items():
            theirs, ours = both.ask(commands)
            assert ours == theirs, name


def test_both_leave_the_same(site: Site) -> None:
    """What was deleted before QUIT is gone for both, and the rest keeps its bytes, numbers and unique-ids."""
    with both_with(site, ORDINARY) as both:
        both.ask([b"DELE 1", b"DELE 4", b"RSET", b"DELE 2", b"DELE 3"])
        assert both.left("dovecot") == both.left("netguard")
        theirs, ours = both.ask(LISTED)
        assert theirs == ours


# The differences, one test each


def test_a_missing_last_line_end_counts(site: Site) -> None:
    """Both send a CRLF behind a last line that has none; only we count it in its size (RFC 1939, section 11)."""
    with both_with(site, {"unended": b"A: b\n\nabc"}) as both:
        theirs, ours = both.ask([b"STAT", b"RETR 1"])
        assert theirs[b"RETR 1"] == ours[b"RETR 1"] == Answer(good=True, data=b"A: b\r\n\r\nabc\r\n")
        assert (theirs[b"STAT"].data, ours[b"STAT"].data) == (b"+OK 1 11\r\n", b"+OK 1 13\r\n")


def test_an_empty_message_is_empty(site: Site) -> None:
    """Dovecot makes an empty line of it, and says that it has no octets; we send none."""
    with both_with(site, {"empty": b""}) as both:
        theirs, ours = both.ask([b"STAT", b"RETR 1"])
        assert theirs[b"STAT"] == ours[b"STAT"] == Answer(good=True, data=b"+OK 1 0\r\n")
        assert (theirs[b"RETR 1"].data, ours[b"RETR 1"].data) == (b"\r\n", b"")


def test_one_hostile_entry_denies_nothing(site: Site) -> None:
    """A link in the place of mail keeps Dovecot's user out; ours gets all mail, and the operator a line in the log."""

    def hostile(maildir: Path) -> None:
        (maildir / "cur" / "9.link:2,S").symlink_to("/etc/passwd")
        (maildir / "cur" / "8.folder:2,S").mkdir()

    with both_with(site, {"a": b"A: b\n\n", "b": b"A: c\n\n"}, hostile) as both:
        with Peer(both.dovecot.port) as peer:
            assert peer.apop().startswith(b"+OK")  # it finds out later
            assert not peer.ask(b"STAT").startswith(b"+OK 2 ")
        assert session(both.netguard.ports()[0], [b"STAT"])[b"STAT"].data == b"+OK 2 16\r\n"
        told = both.netguard.wait_for("mailbox", 2)
        assert {each["entry"] for each in told} == {"cur/9.link:2,S", "cur/8.folder:2,S"}


def test_utf8_in_a_header_is_for_who_says_utf8(site: Site) -> None:
    """Dovecot sends it as it is, and does not know UTF8; ours does, and sends others encoded-words (RFC 6856)."""
    raw, encoded = "Subject: é\r\n\r\né\r\n".encode(), "Subject: =?utf-8?b?w6k=?=\r\n\r\né\r\n".encode()
    with both_with(site, {"a": raw}) as both:
        theirs, ours = both.ask([b"RETR 1", b"LIST 1"])
        assert (theirs[b"RETR 1"].data, ours[b"RETR 1"].data) == (raw, encoded)
        assert theirs[b"LIST 1"] == ours[b"LIST 1"]
        with Peer(both.dovecot.port) as peer:
            assert peer.ask(b"UTF8").startswith(b"-ERR")
        with Peer(both.netguard.ports()[0]) as peer:
            assert peer.ask(b"UTF8").startswith(b"+OK")
            assert peer.apop().startswith(b"+OK")
            assert _answer(peer, b"RETR 1").data == raw


def test_one_session_at_a_time(site: Site) -> None:
    """RFC 1939 wants the mailbox locked, which Dovecot does only if told to; what one deletes the other then misses."""
    with both_with(site, {"a": b"A: b\n\n"}) as both:
        for port, answer in ((both.dovecot.port, b"+OK"), (both.netguard.ports()[0], b"-ERR [IN-USE]")):
            with Peer(port) as first, Peer(port) as second:
                assert first.apop().startswith(b"+OK")
                assert second.apop().startswith(answer)


@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP\0\r\n"], ids=["bare-lf", "nul"])
def test_what_two_programs_read_differently_is_refused(site: Site, line: bytes) -> None:
    """Dovecot takes a line that ends with LF alone, or early by a NUL; we take neither."""
    with both_with(site, {"a": b"A: b\n\n"}) as both:
        for port, answer in ((both.dovecot.port, b"+OK"), (both.netguard.ports()[0], b"-ERR")):
            with Peer(port) as peer:
                peer.apop()
                peer.send(line + b"STAT\r\n")
                assert peer.line().startswith(answer)


# Taking over


def mpop(home: Path, port: int, authentication: str, out: Path) -> list[bytes]:
    """Let mpop fetch what is new to it."""
    rc = home / "mpoprc"
    rc.touch(0o600)
    rc.write_text(
        f"account default\nhost localhost\nport {port}\nuser {USER}\npassword {APOP_SECRET}\nkeep on\ntls off\n"
        f"auth {authentication}\ndelivery maildir {make_maildir(out)}\nreceived_header off\nuidls_file {home}/uidls\n"
    )
    command = ["mpop", "--file", str(rc), "--quiet"]
    subprocess.run(command, env=environment() | {"HOME": str(home)}, check=True, timeout=4 * PATIENCE)
    return stored(out)


@pytest.mark.skipif(shutil.which("mpop") is None, reason="mpop is not installed")
def test_a_migration_downloads_nothing_again(site: Site) -> None:
    """A client that has all mail from Dovecot gets only what is new from us, though mail was marked and moved since."""

    def later(maildir: Path) -> None:
        first, *_ = sorted((maildir / "cur").iterdir())
        first.rename(first.with_name(first.name.partition(":")[0] + ":2,RS"))
        (maildir / "new" / "1800000000.later.host").write_bytes(b"Subject: later\n\nnew\n")

    with both_with(
        site, {name: b"Subject: %d\n\nold\n" % number for number, name in enumerate("abcde")}, later
    ) as both:
        (both.folder / "dovecot" / USER / "new" / "1800000000.later.host").unlink()
        assert len(mpop(site.folder, both.dovecot.port, "user", site.folder / "from-dovecot")) == 5
        port = both.netguard.ports()[0]
        assert mpop(site.folder, port, "apop", site.folder / "from-us") == [b"Subject: later\n\nnew\n"]
        assert mpop(site.folder, port, "apop", site.folder / "again") == []
