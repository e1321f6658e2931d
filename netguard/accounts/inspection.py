"""What an operator may know of stored credentials, without a secret in it, and without spending anything.

Whether they can be read, what state they are in, and which of them a secret belongs to.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from netguard.accounts import passwords, settings
from netguard.accounts.credentials import APOP, KINDS, OTP, PASSWORD, SCRAM, TOTP
from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.totp import PERIOD, Totp
from netguard.wire import otp, scram
from netguard.wire.saslprep import prepared_password

if TYPE_CHECKING:
    from netguard.accounts.records import Found


def state(kind: str, stored: str) -> str:
    """What state a credential is in, in a few words; empty where there is nothing to say.

    Args:
        kind: one of `netguard.accounts.credentials.KINDS`.
        stored: what is kept.

    Raises:
        ValueError: when it cannot be read.
    """
    if kind == SCRAM:
        return f"{scram.Verifier.parse(stored).iterations} iterations"
    if kind == PASSWORD:
        cost = _cost(stored)
        return f"{cost.memory} KiB, {cost.passes} passes"
    if kind == OTP:
        chain = otp.State.parse(stored)
        low = ", renew it soon" if chain.left < otp.LOW else ""
        return f"{chain.left} left{low}; next: {chain.challenge.removesuffix(' ext')}"
    if kind == TOTP:
        last = Totp.parse(stored).last
        when = datetime.fromtimestamp(last * PERIOD, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"last code of {when}" if last else "not used yet"
    if kind not in KINDS:
        raise ValueError("this release does not know this kind")
    return ""


def problems(found: Found) -> list[str]:
    """What keeps a user from logging in, one line each: credentials and settings that cannot be read."""
    lines = []
    for kind, stored in found.credentials.items():
        try:
            state(kind, stored)
        except ValueError as error:
            lines.append(f"{found.name}: {kind}: {error}")
    try:
        settings.account(found.name, found.settings)
    except AccountsTrouble as trouble:
        lines.append(str(trouble).removeprefix("user "))
    return lines


def matching(found: Found, secret: str, now: float) -> list[str]:
    """The kinds of a user's credentials that a secret would be right for now.

    Args:
        found: the user.
        secret: what would be typed: a password, an APOP secret, the next one-time password, or a code.
        now: seconds since 1970.

    Raises:
        ValueError: when one of them cannot be read.
    """
    typed = secret.encode()
    matches = {
        SCRAM: lambda stored: scram.Verifier.parse(stored).matches(typed),
        PASSWORD: lambda stored: any(_hashed(stored, form) for form in {typed, prepared_password(typed)}),
        APOP: lambda stored: hmac.compare_digest(stored.encode(), prepared_password(typed)),
        OTP: lambda stored: any(otp.State.parse(stored).after(reading) for reading in otp.readings(secret)),
        TOTP: lambda stored: Totp.parse(stored).after(secret, now) is not None,
    }
    return [kind for kind, stored in found.credentials.items() if kind in matches and matches[kind](stored)]


def _cost(stored: str) -> passwords.Cost:
    try:
        return passwords.cost_of(stored)
    except passwords.UnusableVerifier as error:
        raise ValueError(str(error)) from None


def _hashed(stored: str, form: bytes) -> bool:
    _cost(stored)
    return passwords.matches(stored, form)
