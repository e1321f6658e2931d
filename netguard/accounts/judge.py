"""Who is it? The checks of one accounts file, each of which may block on the disk and take its time.

The rules of this file:

* Equal work: an unknown user, and one without that kind of credential, cost the same question to the store, the
  same reading and the same hashes, against a secret or verifier that was made up. What the dummy answers is thrown
  away.
* A password may be stored in two ways, and a one-time password or a code may be typed in its place. All that it could
  be is tried before it is said to be wrong, whoever it is; only who is right is let in as soon as that is known.
* With TOTP the password is no longer enough alone, whichever way it is typed or sent: its SCRAM verifier is then
  nobody's. Who has TOTP and no password logs in with the code.
* What can be used once is spent on the disk before anybody is let in for it.
* Comparisons take a time that does not tell how much was right (:func:`hmac.compare_digest` and its like).
"""

from __future__ import annotations

import hmac
import json
import time
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve

from netguard.accounts import passwords, settings
from netguard.accounts.credentials import APOP, OTP, PASSWORD, SCRAM, TOTP, TYPED, generate
from netguard.accounts.interface import Account, AccountsTrouble
from netguard.accounts.names import from_wire
from netguard.accounts.regulars import Regular
from netguard.accounts.totp import DIGITS, Totp, secret_of
from netguard.secret import Secret
from netguard.wire import apop, otp, scram
from netguard.wire.saslprep import prepared_password

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.accounts.records import Asked
    from netguard.accounts.store import Store

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
        # Texts to read where nothing is stored.
        self._nobodys_scram = str(scram.mock(generate().encode(), "", scram.LEAST_ITERATIONS))
        self._nobodys_chain = str(otp.mock(generate().encode(), ""))

    def find_account(self, name: str) -> Account | None:
        """The account of a user who proved to be one."""
        asked = self._store.asked(name, (OTP,))
        return self._right(asked) if asked.exists else None

    def check_identity(self, wanted: str, identities: tuple[str, ...]) -> str | None:
        """The one user whom these names of a certificate can mean."""
        possible = [name for name in dict.fromkeys(identities) if wanted in ("", name)][:_MOST_IDENTITIES]
        users = [name for name in possible if self._store.asked(name, ()).exists]
        return users[0] if len(users) == 1 else None

    def check_apop(self, name: bytes, timestamp: bytes, digest: bytes) -> Regular | None:
        """A login by APOP: who it is, and what proves that it stays so."""
        asked = self._store.asked(from_wire(name), (APOP,))
        secret = asked.credentials.get(APOP, self._nobodys_secret)
        right = self._digest_matches(timestamp, secret.encode(), digest)
        return Regular(self._right(asked), Secret(secret), asked.stamp) if right and APOP in asked.credentials else None

    def check_cram(self, name: bytes, challenge: bytes, digest: bytes) -> Account | None:
        """A login by CRAM-MD5, with the secret of APOP: both need one that lies open, and one such is enough."""
        asked = self._store.asked(from_wire(name), (APOP,))
        secret = asked.credentials.get(APOP, self._nobodys_secret)
        right = hmac.compare_digest(hmac.digest(secret.encode(), challenge, "md5").hex().encode(), digest)
        return self._right(asked) if right and APOP in asked.credentials else None

    def find_verifier(self, name: str) -> scram.Verifier:
        """The SCRAM verifier of a user; a mock for who has none, or has to bring a code too."""
        asked = self._store.asked(name, (SCRAM, TOTP))
        mock, verifier = self._scram(asked)
        return verifier if SCRAM in asked.credentials and TOTP not in asked.credentials else mock

    def find_otp(self, name: str) -> otp.State:
        """Where a user's chain of one-time passwords stands; a mock for who has none, or has used all of it."""
        asked = self._store.asked(name, (OTP,))
        mock, state = self._chain(asked)
        return state if OTP in asked.credentials and state.left else mock

    def spend_otp(self, name: str, before: otp.State, after: otp.State) -> bool:
        """Move a user's chain on; whether nobody else did it first."""
        return self._store.spend(name, OTP, str(before), str(after))

    def check_password(self, name: bytes, password: bytes) -> Account | None:
        """A login by what was typed: a password, a one-time password, or a password with a code behind it."""
        asked = self._store.asked(from_wire(name), (SCRAM, PASSWORD, OTP, TOTP))
        if self._one_time(asked, password):
            return self._right(asked, spent=1)
        if TOTP in asked.credentials:
            password, code = password[:-DIGITS], password[-DIGITS:].decode("ascii", "replace")
            totp = _read(Totp.parse, asked, asked.credentials[TOTP])
        else:
            code, totp = "", self._nobodys_totp
        used = totp.after(code, self._now())
        # Behind a code, the right password is not to be told from a wrong one by the time it takes.
        typed = self._typed(asked, password, whole=TOTP in asked.credentials)
        if TOTP not in asked.credentials:
            return self._right(asked) if typed else None
        alone = not password and not any(kind in asked.credentials for kind in TYPED)
        if used is None or not (typed or alone):
            return None
        return self._right(asked) if self._store.spend(asked.name, TOTP, str(totp), str(used)) else None

    def _one_time(self, asked: Asked, typed: bytes) -> bool:
        """Whether it was the next one-time password of the user's chain, which is then spent."""
        mock, chain = self._chain(asked)
        state = chain if OTP in asked.credentials else mock
        for reading in otp.readings(typed.decode("ascii", "replace")):
            after = state.after(reading)
            if after is not None:
                return self._store.spend(asked.name, OTP, str(state), str(after))
        return False

    def _typed(self, asked: Asked, password: bytes, *, whole: bool) -> bool:
        """Whether it is the user's password, in one of the ways that it may be stored.

        Args:
            asked: what is stored.
            password: what was typed.
            whole: whether to do all the work in any case.
        """
        mock, stored = self._scram(asked)
        verifier = stored if SCRAM in asked.credentials else mock
        right = verifier.matches(password)
        if right and not whole:
            return True
        hashed = asked.credentials.get(PASSWORD, self._nobodys_verifier)
        # As it came, for verifiers from elsewhere, and prepared, as those are made here; mostly that is the same.
        for form in dict.fromkeys((password, prepared_password(password))):
            try:
                matches = self._password_matches(hashed, form)
            except passwords.UnusableVerifier as unusable:
                raise AccountsTrouble(f"user {asked.name}: {unusable}") from None
            right |= matches and PASSWORD in asked.credentials
        return right

    def _scram(self, asked: Asked) -> tuple[scram.Verifier, scram.Verifier]:
        """A mock for this name, and the verifier that is stored; one that means nothing where none is."""
        mock = scram.mock(asked.secret, asked.name, asked.iterations)
        return mock, _read(scram.Verifier.parse, asked, asked.credentials.get(SCRAM, self._nobodys_scram))

    def _chain(self, asked: Asked) -> tuple[otp.State, otp.State]:
        """A mock for this name, and the chain that is stored; one that means nothing where none is."""
        mock = otp.mock(asked.secret, asked.name)
        return mock, _read(otp.State.parse, asked, asked.credentials.get(OTP, self._nobodys_chain))

    @staticmethod
    def _right(asked: Asked, spent: int = 0) -> Account:
        """The account of who is right, and how much of the chain is left after what was spent of it."""
        account = settings.account(asked.name, json.loads(asked.settings))
        if OTP not in asked.credentials:
            return account
        return evolve(account, otp_left=_read(otp.State.parse, asked, asked.credentials[OTP]).left - spent)


def _read(parse: Callable[[str], _Parsed], asked: Asked, stored: str) -> _Parsed:
    """Read what is stored of a user; what cannot be read is trouble that the operator can find."""
    try:
        return parse(stored)
    except ValueError as error:
        raise AccountsTrouble(f"user {asked.name}: {error}") from None
