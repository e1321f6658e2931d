"""What can be set of one user, beside credentials: each declared once, with its unit.

A setting is text in a row, so that a further one needs no change of the schema. What is not set is as the service
has it for everybody.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from attrs import frozen

from netguard.accounts.interface import Account, AccountsTrouble
from netguard.units import Unit, count, duration, size

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_PATH = 1024


def _path(value: str) -> str:
    if not value.startswith("/") or not value.isprintable() or len(value) > _MOST_PATH:
        raise ValueError(value)
    return os.path.normpath(value)


def _days(value: float | str) -> float:
    return math.inf if value in ("never", math.inf) else int(count(value))


path = Unit("path", "an absolute path such as /srv/mail/alice", _path)
days = Unit(
    "days", "a number of days such as 30, or never", _days, lambda value: "never" if value == math.inf else str(value)
)


@frozen
class Setting:
    """One thing that can be set of a user.

    Args:
        key: how it is called on the command line and in the store.
        attribute: its name in an :class:`~netguard.accounts.interface.Account`.
        unit: what it may be.
        help: what it does.
    """

    key: str
    attribute: str
    unit: Unit
    help: str


SETTINGS: dict[str, Setting] = {
    setting.key: setting
    for setting in (
        Setting("mailbox", "mailbox", path, "this user's Maildir, instead of --maildir's"),
        Setting("login-delay", "login_delay", duration, "the least time from one login to the next"),
        Setting("expire", "expire", days, "how long the service keeps a message that was retrieved, or 'never'"),
        Setting("lifetime", "lifetime", duration, "end a session after this time"),
        Setting("max-out", "max_out", size, "end a session that has taken so many bytes"),
    )
}


def account(name: str, stored: Mapping[str, str]) -> Account:
    """The account of a user who proved to be one.

    Args:
        name: as it is stored.
        stored: the texts of its settings, by key; those of another release are passed over.

    Raises:
        AccountsTrouble: when one of them cannot be read.
    """
    values: dict[str, Any] = {}
    for key, text in stored.items():
        setting = SETTINGS.get(key)
        if setting is None:
            continue
        try:
            values[setting.attribute] = setting.unit(text)
        except ValueError as error:
            raise AccountsTrouble(f"user {name}: {key}: {error}") from None
    return Account(name, **values)
