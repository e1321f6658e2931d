"""Secrets that a person hands to a command."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from netguard.commands.contract import Refusal
from netguard.commands.secret_input import read_secrets

if TYPE_CHECKING:
    from pathlib import Path


class _Pipe(io.TextIOWrapper):
    """Standard input that is no terminal."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A private file."""
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    return path


@pytest.mark.parametrize(
    ("content", "secrets"),
    [
        (b"one", ["one"]),
        (b"one\n", ["one"]),
        (b"one\r\n", ["one"]),
        (b" one two \n", [" one two "]),
        (b"one\ntwo", ["one", "two"]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        ("zwölf\n".encode(), ["zwölf"]),
    ],
)
def test_each_line_is_a_secret(
    file: Path, content: bytes, secrets: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a file and from standard input alike, only line ends are taken away."""
    file.write_bytes(content)
    monkeypatch.setattr(sys, "stdin", _Pipe(content))
    assert read_secrets(str(file), "password") == secrets
    assert read_secrets("-", "password") == secrets
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the secret is empty"),
        (b"\n", "the secret is empty"),
        (b"quiet\n\n", "the secret is empty"),
        (b"quiet\x00", "control character"),
        (b"\xffquiet", "not UTF-8"),
        (b"quiet" * 60, "300 octets"),
        (b"quiet" * 1000, "more than 4096 octets"),
    ],
)
def test_what_is_no_secret_is_refused_without_being_repeated(
    file: Path, content: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The complaint names where it came from and why, not what it was."""
    file.write_bytes(content)
    monkeypatch.setattr(sys, "stdin", _Pipe(content))
    for path, source in ((str(file), str(file)), ("-", "standard input")):
        with pytest.raises(Refusal, match=why) as refused:
            read_secrets(path, "password")
        assert str(refused.value).startswith(f"{source}: ")
        assert "quiet" not in str(refused.value)
        assert refused.value.__cause__ is None


def test_an_endless_file_is_not_read_to_its_end() -> None:
    """A device that never ends is refused after a page."""
    with pytest.raises(Refusal, match="more than 4096 octets"):
        read_secrets("/dev/zero", "password")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """What is missing, and what is a directory, is named."""
    with pytest.raises(Refusal, match="absent: No such file or directory"):
        read_secrets(str(tmp_path / "absent"), "password")
    with pytest.raises(Refusal, match="Is a directory"):
        read_secrets(str(tmp_path), "password")


def test_a_file_that_everybody_can_read_is_warned_of(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The secret is taken, and the operator told where it lies open."""
    file.write_text("one")
    file.chmod(0o644)
    assert read_secrets(str(file), "password") == ["one"]
    assert f"everybody can read {file}" in capsys.readouterr().err


_ASKING = (
    "from netguard.commands.secret_input import read_secrets\n"
    "from netguard.commands.contract import Refusal\n"
    "try: print(read_secrets('-', 'password of alice'))\n"
    "except Refusal as refusal: print('refused', refusal)\n"
)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [(b"tanstaaf\n", "['tanstaaf']"), (b"\x04", "refused standard input: the secret is empty")],
)
def test_a_person_at_a_terminal_is_asked_and_not_shown(typed: bytes, answer: str) -> None:
    """The prompt says what is wanted; what is typed does not appear; an end of input is an empty secret."""
    ours, theirs = pty.openpty()
    # In a session of its own it has no terminal to open but the one it is given.
    child = subprocess.Popen(
        [sys.executable, "-c", _ASKING],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"(not shown): " not in shown:
        shown += os.read(ours, 1024)
    os.write(ours, typed)
    out, _ = child.communicate(timeout=30)
    shown += _rest(ours)
    os.close(ours)
    assert out.decode().strip() == answer
    assert b"password of alice" in shown
    assert b"tanstaaf" not in shown


def _rest(terminal: int) -> bytes:
    """What else the terminal showed until its other side closed."""
    found = b""
    try:
        while chunk := os.read(terminal, 1024):
            found += chunk
    except OSError:  # Linux says EIO when nobody holds the other side
        pass
    return found
