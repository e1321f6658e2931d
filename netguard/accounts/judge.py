"""Who is it? The checks of one accounts file, each of which may block on the disk and take its time.

The rules of this file:

* Equal work: an unknown user, and one without that kind of credential, cost the same question to the store and the
  same hashes, against a secret or verifier that was made up. What the dummy answers is thrown away.
* A password may be stored in two ways, and a one-time password or a code may be typed in its place. All that it could
  be is tried before it is said to be wrong, whoever it is; only who is right is let in as soon as that is known.
* With TOTP the password is no longer enough alone, whichever way it is typed or sent: its SCRAM verifier is then
  nobody's. Who has TOTP and no password logs in with the code.
* What can be used once is spent on the disk before anybody is let in for it.
* Comparisons take a time that does not tell how much was right (:func:`hmac.compare_digest` and its like).
"""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING, TypeVar

from netguard.accounts import passwords, settings
from netguard.accounts.credentials import APOP, OTP, PASSWORD, SCRAM, TOTP, TYPED, generate
from netguard.accounts.interface import Account, AccountsTrouble
from netguard.accounts.names import from_wire
from netguard.accounts.totp import DIGITS, Totp, secret_of
from netguard.wire import apop, otp, scram
from netguard.wire.saslprep import prepared_password

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.accounts.store import Found, Store

_Parsed = TypeVar("_Parsed")
# Names of one certificate that are looked up; who has more does not get more of our time.
_MOST_IDENTITIES = 16


class Judge:
    """The checks of one accounts file.

    Args:
        store: the file.
        now: seconds since 1970.
        cost: what a check of an Argon2id verifier costs for a user who has none.
        digest_matches: whether an APOP digest is right.
        password_matches: whether a password is the one of an Argon2id verifier.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], float] = time.time,
        cost: passwords.Cost | None = None,
        digest_matches: Callable[[bytes, bytes, bytes], bool] = apop.matches,
        password_matches: Callable[[str, bytes], bool] = passwords.matches,
    ) -> None:
        self._store = store
        self._now = now
        self._digest_matches = digest_matches
        self._password_matches = password_matches
        self._nobodys_secret = generate()
        self._nobodys_verifier = passwords.nobodys(cost)
        self._nobodys_totp = Totp(secret_of(generate()))

    def find_account(self, name: str) -> Account | None:
        """The account of a user who proved to be one."""
        found = self._store.found(name)
        return settings.account(name, found.settings) if found.exists else None

    def check_identity(self, wanted: str, identities: tuple[str, ...]) -> str | None:
        """The one user whom these names of a certificate can mean."""
        possible = [name for name in dict.fromkeys(identities) if wanted in ("", name)][:_MOST_IDENTITIES]
        users = [name for name in possible if self._store.found(name).exists]
        return users[0] if len(users) == 1 else None

    def check_apop(self, name: bytes, timestamp: bytes, digest: bytes) -> Account | None:
        """A login by APOP."""
        found = self._store.found(from_wire(name))
        secret = found.credentials.get(APOP, self._nobodys_secret)
        right = self._digest_matches(timestamp, secret.encode(), digest)
        return self._right(found) if right and APOP in found.credentials else None

    def check_cram(self, name: bytes, challenge: bytes, digest: bytes) -> Account | None:
        """A login by CRAM-MD5, with the secret of APOP: both need one that lies open, and one such is enough."""
        found = self._store.found(from_wire(name))
        secret = found.credentials.get(APOP, self._nobodys_secret)
        right = hmac.compare_digest(hmac.digest(secret.encode(), challenge, "md5").hex().encode(), digest)
        return self._right(found) if right and APOP in found.credentials else None

    def find_verifier(self, name: str) -> scram.Verifier:
        """The SCRAM verifier of a user; a mock for who has none, or has to bring a code too."""
        found = self._store.found(name)
        mock = scram.mock(found.secret, name, found.iterations)
        stored = found.credentials.get(SCRAM)
        return mock if stored is None or TOTP in found.credentials else _read(scram.Verifier.parse, found, stored)

    def find_otp(self, name: str) -> otp.State:
        """Where a user's chain of one-time passwords stands; a mock for who has none, or has used all of it."""
        found = self._store.found(name)
        mock = otp.mock(found.secret, name)
        stored = found.credentials.get(OTP)
        state = mock if stored is None else _read(otp.State.parse, found, stored)
        return state if state.left else mock

    def spend_otp(self, name: str, before: otp.State, after: otp.State) -> bool:
        """Move a user's chain on; whether nobody else did it first."""
        return self._store.spend(name, OTP, str(before), str(after))

    def check_password(self, name: bytes, password: bytes) -> Account | None:
        """A login by what was typed: a password, a one-time password, or a password with a code behind it."""
        found = self._store.found(from_wire(name))
        if self._one_time(found, password):
            return self._right(found)
        if TOTP in found.credentials:
            password, code = password[:-DIGITS], password[-DIGITS:].decode("ascii", "replace")
            totp = _read(Totp.parse, found, found.credentials[TOTP])
        else:
            code, totp = "", self._nobodys_totp
        used = totp.after(code, self._now())
        # Behind a code, the right password is not to be told from a wrong one by the time it takes.
        typed = self._typed(found, password, whole=TOTP in found.credentials)
        if TOTP not in found.credentials:
            return self._right(found) if typed else None
        alone = not password and not any(kind in found.credentials for kind in TYPED)
        if used is None or not (typed or alone):
            return None
        return self._right(found) if self._store.spend(found.name, TOTP, str(totp), str(used)) else None

    def _one_time(self, found: Found, typed: bytes) -> bool:
        """Whether it was the next one-time password of the user's chain, which is then spent."""
        mock = otp.mock(found.secret, found.name)
        stored = found.credentials.get(OTP)
        state = mock if stored is None else _read(otp.State.parse, found, stored)
        for reading in otp.readings(typed.decode("ascii", "replace")):
            after = state.after(reading)
            if after is not None:
                return self._store.spend(found.name, OTP, str(state), str(after))
        return False

    def _typed(self, found: Found, password: bytes, *, whole: bool) -> bool:
        """Whether it is the user's password, in one of the ways that it may be stored.

        Args:
            found: what is stored.
            password: what was typed.
            whole: whether to do all the work in any case.
        """
        mock = scram.mock(found.secret, found.name, found.iterations)
        stored = found.credentials.get(SCRAM)
        verifier = mock if stored is None else _read(scram.Verifier.parse, found, stored)
        right = verifier.matches(password)
        if right and not whole:
            return True
        hashed = found.credentials.get(PASSWORD, self._nobodys_verifier)
        # As it came, for verifiers from elsewhere, and prepared, as those are made here; mostly that is the same.
        for form in dict.fromkeys((password, prepared_password(password))):
            try:
                matches = self._password_matches(hashed, form)
            except passwords.UnusableVerifier as unusable:
                raise AccountsTrouble(f"user {found.name}: {unusable}") from None
            right |= matches and PASSWORD in found.credentials
        return right

    @staticmethod
    def _right(found: Found) -> Account:
        return settings.account(found.name, found.settings)


def _read(parse: Callable[[str], _Parsed], found: Found, stored: str) -> _Parsed:
    """Read what is stored of a user; what cannot be read is trouble that the operator can find."""
    try:
        return parse(stored)
    except ValueError as error:
        raise AccountsTrouble(f"user {found.name}: {error}") from None
