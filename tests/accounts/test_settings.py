"""What can be set of one user."""

from __future__ import annotations

import math

import pytest
from attrs import fields

from netguard.accounts import settings
from netguard.accounts.interface import Account, AccountsTrouble
from netguard.accounts.settings import SETTINGS


def test_every_setting_is_a_field_of_an_account() -> None:
    """Each is declared once, and all fields can be set but the name, and what the credentials say."""
    assert {setting.attribute for setting in SETTINGS.values()} == {each.name for each in fields(Account)} - {
        *("name", "otp_left")
    }
    assert all(key == setting.key for key, setting in SETTINGS.items())


def test_what_is_stored_is_read() -> None:
    """Each text becomes a value of its unit; what is not stored is None."""
    stored = {"mailbox": "/srv/a/", "login-delay": "5m", "expire": "never", "lifetime": "1h", "max-out": "1GiB"}
    assert settings.account("alice", stored) == Account("alice", "/srv/a", 300, math.inf, 3600, 2**30)
    assert settings.account("alice", {"expire": "30"}) == Account("alice", expire=30)
    assert settings.account("alice", {}) == Account("alice")


def test_a_setting_of_another_release_is_passed_over() -> None:
    """It does not keep anybody out."""
    assert settings.account("alice", {"colour": "blue"}) == Account("alice")


def test_what_cannot_be_read_is_trouble_that_names_the_user() -> None:
    """A row that was damaged is no reason to serve the wrong mailbox."""
    with pytest.raises(AccountsTrouble, match="user alice: mailbox: 'srv' is not an absolute path"):
        settings.account("alice", {"mailbox": "srv"})


@pytest.mark.parametrize("text", ["", "srv/mail", "~/Maildir", "/srv\0", "/srv\n", "/" + "x" * 1024])
def test_what_is_no_path(text: str) -> None:
    """Relative, with controls, or absurdly long."""
    with pytest.raises(ValueError, match="is not an absolute path"):
        settings.path(text)


def test_paths_are_written_in_one_way() -> None:
    """Dots and doubled slashes go; the longest is taken."""
    assert settings.path("/srv//mail/./alice/") == "/srv/mail/alice"
    assert len(settings.path("/" + "x" * 1023)) == 1024


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "ever", "1d"])
def test_what_is_no_number_of_days(text: str) -> None:
    """A whole number above 0, or never."""
    with pytest.raises(ValueError, match="is not a number of days such as 30, or never"):
        settings.days(text)


@pytest.mark.parametrize(("text", "value"), [("30", 30), ("never", math.inf), ("1", 1)])
def test_days_are_read_and_written(text: str, value: float) -> None:
    """What is written is read back."""
    assert settings.days(text) == value
    assert settings.days.text(value) == text
