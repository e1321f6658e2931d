"""What a session depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from netguard.accounts.checks import StoredAccounts
from netguard.accounts.interface import Account

if TYPE_CHECKING:
    from pathlib import Path

    from netguard.accounts.interface import Accounts


def test_an_account_is_its_name_and_cannot_change() -> None:
    """Who has logged in stays who logged in."""
    account = Account("alice")
    assert account == Account("alice")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        account.name = "root"  # type: ignore[misc]


def test_the_stored_accounts_are_accounts(tmp_path: Path) -> None:
    """The type checker agrees that the real thing has the methods that a session calls."""
    accounts: Accounts = StoredAccounts(tmp_path / "accounts")
    assert callable(accounts.check_apop)
    assert callable(accounts.check_password)
