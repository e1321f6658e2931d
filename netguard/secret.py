"""Something that must not be shown: a password or a key that a service keeps for long.

The rules of this file:

* No text is made of it by accident: neither ``repr`` nor ``str`` nor a format, a pickle or a traceback has it.
* What it holds can be overwritten: that is done when nobody needs it any more, and with all when a service ends.

What Python cannot do is said in ``docs/how-to/keep-secrets.md``: copies that others made are theirs.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import NoReturn
from weakref import WeakValueDictionary

_KEY = os.urandom(32)
_LIVING: WeakValueDictionary[int, Secret] = WeakValueDictionary()


class WipedError(Exception):
    """The secret was asked for after it had been overwritten."""


class Secret:
    """Octets that nobody sees who does not ask for them.

    Args:
        value: the secret; text is kept as UTF-8. A ``bytearray`` is overwritten: the secret has moved in here.
    """

    __slots__ = ("__weakref__", "_octets", "_wiped")

    def __init__(self, value: bytes | bytearray | str = b"") -> None:
        self._wiped = False
        self._octets = bytearray(value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value)
        if isinstance(value, bytearray):
            _overwrite(value)
        _LIVING[id(self)] = self

    def reveal(self) -> bytes:
        """A copy of the octets, to be used at once and kept nowhere.

        Raises:
            WipedError: they are no more.
        """
        if self._wiped:
            raise WipedError("this secret has been wiped")
        return bytes(self._octets)

    def wipe(self) -> None:
        """Overwrite the octets where they lie; they cannot be asked for again."""
        self._wiped = True
        _overwrite(self._octets)

    def __del__(self) -> None:
        """What nobody can reach any more is overwritten, too."""
        if hasattr(self, "_octets"):
            _overwrite(self._octets)

    def __bool__(self) -> bool:
        """Whether there is anything to hide."""
        return bool(self._octets)

    def __eq__(self, other: object) -> bool:
        """Whether both are the same secret, in a time that does not tell how much of it is; wiped ones are never."""
        if not isinstance(other, Secret):
            return NotImplemented
        return self is other or (not (self._wiped or other._wiped) and hmac.compare_digest(self._octets, other._octets))

    def __hash__(self) -> int:
        """By a key of this process, so that nothing can be guessed back from it."""
        return hash(hashlib.blake2b(self._octets, key=_KEY, digest_size=8).digest())

    def __repr__(self) -> str:
        """That it is one, and no more: not even its length."""
        return "Secret(...)"

    def __format__(self, spec: str) -> str:
        """The same, whatever the form that was asked for."""
        return repr(self)

    def __copy__(self) -> Secret:
        """Itself: there are enough copies."""
        return self

    def __deepcopy__(self, _: object) -> Secret:
        """Itself: there are enough copies."""
        return self

    def __reduce_ex__(self, _: object) -> NoReturn:
        """Refuse: a pickle would be a copy in clear.

        Raises:
            TypeError: always.
        """
        raise TypeError("a secret cannot be pickled")


def hidden(value: Secret | bytes | bytearray | str) -> Secret:
    """A secret as it is; anything else becomes one (a converter of attrs)."""
    return value if isinstance(value, Secret) else Secret(value)


def _overwrite(octets: bytearray) -> None:
    octets[:] = bytes(len(octets))  # of the same length: it stays where it is


def wipe_all() -> int:
    """Overwrite every secret of this process; for the end of a service.

    Returns:
        How many there were.
    """
    living = list(_LIVING.values())
    for each in living:
        each.wipe()
    return len(living)
