"""`netguard users` on a file of its own, as its tests run it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netguard.accounts.store import Store
from netguard.commands import users
from netguard.commands.contract import Parser


def _parse(*words: str) -> argparse.Namespace:
    parser = Parser(prog="netguard users")
    users.configure(parser)
    return parser.parse_args(words)


@pytest.fixture
def parse() -> Callable[..., argparse.Namespace]:
    """What `netguard users` understands."""
    return _parse


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the accounts are."""
    return tmp_path / "accounts"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """The accounts, as somebody else sees them; the file is there only after the first `add`."""
    made = Store(path)
    yield made
    made.close()


@pytest.fixture
def secrets(tmp_path: Path) -> Callable[[str], str]:
    """Writes a secret file and returns its path."""

    def write(text: str) -> str:
        file = tmp_path / "secret"
        file.touch(mode=0o600)
        file.write_text(text)
        return str(file)

    return write


@pytest.fixture
def run(path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Runs `netguard users -a PATH ...`; what it printed to standard output and to standard error."""

    def call(*words: str) -> tuple[str, str]:
        users.run(_parse("-a", str(path), *words))
        return capsys.readouterr()

    return call
