"""One-time passwords by the clock (TOTP, RFC 6238), as authenticator apps show them.

The rules of this file:

* A code is taken for the step of time it belongs to, and for the one before and after, for clocks differ.
* A code works once: the step of the last one is kept, and no code of that step or an earlier one is taken again.
* Codes come from `cryptography`; comparisons take constant time.
"""

from __future__ import annotations

import base64
import hmac
import re

from attrs import evolve, field, frozen
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from cryptography.hazmat.primitives.twofactor.totp import TOTP

# What every authenticator app can do; many take other values for these, and show wrong codes.
DIGITS = 6
PERIOD = 30
_WINDOW = 1
# RFC 4226, section 4, R6: 128 bits at least.
LEAST_OCTETS, MOST_OCTETS = 16, 64

_STORED = re.compile(r"totp-sha1 6 30 (?P<secret>[A-Z2-7]+=*) (?P<last>\d{1,12})")
_CODE = re.compile(r"\d{6}", re.ASCII)


def secret_of(text: str) -> bytes:
    """The secret that an app or a service shows as letters and digits (base32), in groups or not.

    Raises:
        ValueError: when it is something else, or too short to be safe. The message tells nothing of it.
    """
    letters = "".join(text.split()).upper().rstrip("=")
    try:
        secret = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except ValueError:  # binascii.Error too
        raise ValueError("a TOTP secret has letters and the digits 2 to 7 only (base32)") from None
    if not LEAST_OCTETS <= len(secret) <= MOST_OCTETS:
        raise ValueError(f"a TOTP secret has {LEAST_OCTETS} to {MOST_OCTETS} octets, and this has {len(secret)}")
    return secret


@frozen
class Totp:
    """A user's secret, and which code was used last.

    Args:
        secret: what the app has too, 16 to 64 octets; no repr shows it.
        last: the step of time (of 30 seconds since 1970) whose code was used last; 0 before the first.
    """

    secret: bytes = field(repr=False)
    last: int = 0

    @classmethod
    def parse(cls, text: str) -> Totp:
        """Read what `str` writes.

        Raises:
            ValueError: for anything else. The message tells nothing of it.
        """
        found = _STORED.fullmatch(text)
        if found is None:
            raise ValueError("it is not a TOTP secret with its last step")
        return cls(secret_of(found["secret"]), int(found["last"]))

    def __str__(self) -> str:
        """For storing; `parse` reads it."""
        return f"totp-sha1 {DIGITS} {PERIOD} {base64.b32encode(self.secret).decode('ascii')} {self.last}"

    def after(self, code: str, now: float) -> Totp | None:
        """The state once this code is used; None when it is wrong, or was used.

        Args:
            code: six digits.
            now: seconds since 1970.
        """
        digits = code.encode() if _CODE.fullmatch(code) else b"000000"
        hotp = HOTP(self.secret, DIGITS, SHA1())  # noqa: S303 - what every app does; HMAC-SHA-1 is not broken
        step = int(now // PERIOD)
        used = None
        for near in range(step - _WINDOW, step + _WINDOW + 1):
            if hmac.compare_digest(hotp.generate(near), digits) and near > self.last:
                used = near
        return evolve(self, last=used) if used is not None and _CODE.fullmatch(code) else None

    def uri(self, name: str, issuer: str) -> str:
        """The text of the QR code that apps read.

        Args:
            name: the user's.
            issuer: whose service it is.
        """
        return TOTP(self.secret, DIGITS, SHA1(), PERIOD).get_provisioning_uri(name, issuer)  # noqa: S303 - the same
