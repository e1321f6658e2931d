"""`--auth netguard:FILE` for any twistd plugin."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.strcred import ICheckerFactory, findCheckerFactory, makeChecker
from twisted.plugin import IPlugin
from zope.interface.verify import verifyObject

from netguard.accounts.store import Store
from netguard.plugins.auth import AuthFactory
from netguard.wire.scram import Verifier

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Accounts with one user."""
    path = tmp_path / "accounts"
    store = Store(path)
    store.create()
    store.add("alice", {"scram-sha-256": str(Verifier.of(b"pencil", b"saltsalt", 4096))})
    store.close()
    return path


async def test_a_user_logs_in_through_twisteds_own_words(path: Path) -> None:
    """What `--auth netguard:FILE` makes lets the right password in, and no other."""
    with closing(makeChecker(f"netguard:{path}")) as checker:
        assert await checker.requestAvatarId(UsernamePassword(b"alice", b"pencil")) == b"alice"
        with pytest.raises(UnauthorizedLogin):
            await checker.requestAvatarId(UsernamePassword(b"alice", b"wrong"))


def test_it_is_what_twisted_asks_for() -> None:
    """Name, help and interfaces, under the name `netguard`."""
    factory = findCheckerFactory("netguard")
    assert isinstance(factory, AuthFactory)
    assert verifyObject(ICheckerFactory, factory)
    assert IPlugin.providedBy(factory)
    assert factory.credentialInterfaces == (IUsernamePassword,)
    assert "netguard users" in factory.authHelp


def test_what_cannot_be_used_is_one_line(path: Path) -> None:
    """A missing name, a missing file, and a file that is open to others are told at the start."""
    factory = AuthFactory()
    with pytest.raises(ValueError, match="name an accounts file"):
        factory.generateChecker("")
    with pytest.raises(ValueError, match="No such file"):
        factory.generateChecker(f"{path}2")
    path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        factory.generateChecker(str(path))


def test_it_is_cheap_to_look_at() -> None:
    """Every twistd run does; the accounts are imported only when they are asked for."""
    code = "import sys, netguard.plugins.auth; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    loaded = run.stdout.split()
    assert not [name for name in loaded if name.startswith("netguard.accounts")]
    assert "twisted.internet.reactor" not in loaded
