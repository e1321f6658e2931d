"""What is promised of a file with a secret: nobody else may have it, and nothing of it is repeated."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netguard.clients.secret_file import MOST, read_secret


def written(folder: Path, octets: bytes, mode: int = 0o600) -> str:
    """A file with a secret."""
    path = folder / "a secret"
    path.write_bytes(octets)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("octets", [b"correct horse", b"correct horse\n", b"correct horse\r\n"])
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_the_secret_is_what_the_line_says(tmp_path: Path, octets: bytes, mode: int) -> None:
    """With its blanks, without its end."""
    assert read_secret(written(tmp_path, octets, mode)) == "correct horse"


def test_a_link_is_followed(tmp_path: Path) -> None:
    """As they are made by what hands secrets to containers."""
    link = tmp_path / "link"
    link.symlink_to(written(tmp_path, "s\u00fcß\n".encode()))
    assert read_secret(str(link)) == "s\u00fcß"


@pytest.mark.parametrize("mode", [0o644, 0o601, 0o620, 0o606])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """With what to do."""
    path = written(tmp_path, b"hush", mode)
    with pytest.raises(ValueError, match=rf"is open to others \(mode {mode:04o}\); run: chmod 600 '{path}'"):
        read_secret(path)


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "one line of visible characters"),
        (b"\n", "one line of visible characters"),
        (b"hush\nhush\n", "one line of visible characters"),
        (b"hu\0sh", "one line of visible characters"),
        (b"hush\xff", "is not UTF-8 text"),
        (b"hush" * MOST, f"has more than {MOST} octets"),
    ],
)
def test_what_is_no_secret_is_refused(tmp_path: Path, octets: bytes, said: str) -> None:
    """And not shown."""
    with pytest.raises(ValueError, match=said) as why:
        read_secret(written(tmp_path, octets))
    assert "hu" not in str(why.value)


def test_the_longest(tmp_path: Path) -> None:
    """Just as many octets as there may be."""
    assert len(read_secret(written(tmp_path, b"x" * MOST))) == MOST


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Nothing, a folder, and what would have to be waited for."""
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe, 0o600)
    for path, said in ((tmp_path / "none", "No such file"), (tmp_path, "not a regular file"), (pipe, "not a regular")):
        with pytest.raises(ValueError, match=said):
            read_secret(str(path))
    with pytest.raises(ValueError, match="is not the name of a file"):
        read_secret("a\0b")
