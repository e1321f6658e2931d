"""What goes into an accounts file, and what comes out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netguard.stamp import Stamp


class NameTaken(Exception):
    """There is such a user, or one whose name differs only in case or in the form of its characters.

    Args:
        name: the name of the user who is there.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@frozen
class User:
    """A row of the list of users.

    Args:
        name: as the user types it.
        added: when, in seconds since 1970.
        kinds: which credentials the user has.
    """

    name: str
    added: int
    kinds: tuple[str, ...]


@frozen
class NewUser:
    """Somebody to be added.

    Args:
        name: see `netguard.accounts.names.check_name`.
        credentials: what is to be stored, by kind; no repr shows it.
        settings: what is set of the user, by key, as text.
    """

    name: str
    credentials: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, str] = field(factory=dict)


@frozen
class Found:
    """All that the file has about a name, and what it takes to pretend.

    Args:
        name: the name that was asked for.
        exists: whether there is such a user.
        credentials: what is stored, by kind; no repr shows it.
        settings: what is set, by key, as text.
        secret: of which this file makes what unknown users are shown; no repr shows it.
        iterations: what SCRAM verifiers of this file cost.
    """

    name: str
    exists: bool
    credentials: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, str]
    secret: bytes = field(repr=False)
    iterations: int


@frozen
class Asked:
    """What a login has to know of a name; `Found` in a form that takes the same time for a name that nobody has.

    Args:
        name: the name that was asked for.
        exists: whether there is such a user.
        credentials: what is stored, by kind, of the kinds that were asked for; no repr shows it.
        settings: what is set of the user, as a JSON object; to be read once the login is right.
        secret: of which this file makes what unknown users are shown; no repr shows it.
        iterations: what SCRAM verifiers of this file cost.
        stamp: what proves that all this is still so; None where nothing does.
    """

    name: str
    exists: bool
    credentials: Mapping[str, str] = field(repr=False)
    settings: str
    secret: bytes = field(repr=False)
    iterations: int
    stamp: Stamp | None = None
