"""Users out of a Dovecot passwd-file: ``name:{SCHEME}secret:uid:gid:(gecos):home:(shell):extra fields``.

The rules of this file:

* What can be kept is kept as it is (SCRAM-SHA-256 and Argon2id verifiers), a password that lies open is given the
  credentials that the operator wants of it, and everything else is refused with the reason.
* A field that keeps somebody out or sends him elsewhere (`nologin`, `allow_nets`, `proxy` and their like) is not
  passed over: that entry is refused.
* No reason repeats a secret.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from attrs import field, frozen

from netguard.accounts import passwords
from netguard.accounts.credentials import PASSWORD, SCRAM, check_secret
from netguard.accounts.names import check_name
from netguard.accounts.settings import SETTINGS
from netguard.wire import sasl, scram
from netguard.wire.strict_base64 import decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PASSWORD = re.compile(r"\{(?P<scheme>[A-Za-z0-9-]+)(?:\.(?P<encoding>b64|base64|hex))?\}(?P<secret>.*)", re.IGNORECASE)
_PLAIN = {"PLAIN", "CLEAR", "CLEARTEXT"}
_OF_CRYPT = {"CRYPT", "DES-CRYPT", "MD5-CRYPT", "BLF-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "MD5"}
_DIGESTS = {"SHA", "SHA1", "SHA256", "SHA512", "SSHA", "SSHA256", "SSHA512", "SMD5", "LDAP-MD5", "PLAIN-MD5", "PBKDF2"}
_MOST_LINE = 4096
_FIELDS = 8
_HOME, _EXTRA = 5, 7
# Extra fields that change who may log in, from where, or to what.
_RESTRICTING = {
    "nologin",
    "nopassword",
    "allow_nets",
    "proxy",
    "proxy_maybe",
    "host",
    "allow_real_nets",
    "noauthenticate",
}


class Unusable(Exception):
    """An entry that cannot be imported. Its text says why, in words for the operator, and holds no secret."""


@frozen
class Entry:
    """What one line says of a user.

    Args:
        line: its number, from 1.
        name: the user's.
        stored: what can be kept as it is, by kind of credential; no repr shows it.
        plain: the password, where it lies open; no repr shows it.
        settings: what is to be set of the user, by key, as text.
    """

    line: int
    name: str
    stored: Mapping[str, str] = field(repr=False, factory=dict)
    plain: str | None = field(repr=False, default=None)
    settings: Mapping[str, str] = field(factory=dict)


@frozen
class Refused:
    """A line that cannot be imported.

    Args:
        line: its number, from 1.
        name: whose it is, as far as that can be printed; else empty.
        reason: why, in words for the operator.
    """

    line: int
    name: str
    reason: str


def entries(lines: Iterable[str], scheme: str = "CRYPT") -> Iterator[Entry | Refused]:
    """Read a passwd-file.

    Args:
        lines: its lines, without their ends.
        scheme: of passwords that name none; Dovecot's own default.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name = line.partition(":")[0]
        try:
            yield _entry(number, line, scheme)
        except Unusable as why:
            yield Refused(number, name if name.isprintable() and len(name) <= sasl.MAX_NAME else "", str(why))


def _entry(number: int, line: str, scheme: str) -> Entry:
    if len(line) > _MOST_LINE:
        raise Unusable(f"the line has {len(line)} characters, limit {_MOST_LINE}")
    fields = line.split(":", _FIELDS - 1)
    fields += [""] * (_FIELDS - len(fields))
    extra = dict(word.partition("=")[::2] for word in fields[_EXTRA].split())
    if restricting := sorted(_RESTRICTING & {key.removeprefix("passdb_") for key in extra}):
        raise Unusable(f"the field {restricting[0]!r} restricts this user, and would not here")
    try:
        name = check_name(fields[0])
    except ValueError as error:
        raise Unusable(str(error)) from None
    stored, plain = _credential(fields[1], scheme)
    return Entry(number, name, stored, plain, _settings(name, fields[_HOME], extra))


def _credential(text: str, scheme: str) -> tuple[dict[str, str], str | None]:
    """What is to be stored as it is, and the password where it lies open."""
    found = _PASSWORD.fullmatch(text)
    name = (found["scheme"] if found else scheme).upper()
    secret = found["secret"] if found else text
    if not secret:
        raise Unusable("there is no password")
    if found and found["encoding"]:
        secret = _decoded(secret, found["encoding"].lower())
    if name in _PLAIN:
        try:
            return {}, check_secret(secret)
        except ValueError as error:
            raise Unusable(str(error)) from None
    if name == "SCRAM-SHA-256":
        return {SCRAM: _scram(secret)}, None
    if name == "ARGON2ID":
        try:
            passwords.cost_of(secret)
        except passwords.UnusableVerifier as error:
            raise Unusable(str(error)) from None
        return {PASSWORD: secret}, None
    raise Unusable(_why_not(name, named=found is not None))


def _why_not(scheme: str, *, named: bool) -> str:
    """Why a scheme is not supported, and what to do about it."""
    if not named:
        return f"the password names no scheme, so it is taken for {{{scheme}}}; if it lies open, say --scheme PLAIN"
    if scheme in _OF_CRYPT:
        reason = "is of crypt(3), which this release does not have"
    elif scheme in _DIGESTS:
        reason = "is a hash that can be guessed fast"
    else:
        reason = "is not known here"
    return (
        f"{{{scheme}}} {reason}; give this user a new password, or one as {{PLAIN}}, {{SCRAM-SHA-256}} or {{ARGON2ID}}"
    )


def _decoded(secret: str, encoding: str) -> str:
    try:
        octets = bytes.fromhex(secret) if encoding == "hex" else base64.b64decode(secret, validate=True)
        return octets.decode("utf-8")
    except ValueError:
        raise Unusable(f"the password is not {encoding}, or is not UTF-8 behind it") from None


def _scram(text: str) -> str:
    """A verifier as Dovecot writes it: iterations, salt and the two keys in base64, parted by commas."""
    iterations, *parts = text.split(",")
    decoded = [decode(part.encode()) for part in parts]
    if len(decoded) != 3 or None in decoded or not re.fullmatch(r"[1-9]\d{0,6}", iterations, re.ASCII):  # noqa: PLR2004 - those
        raise Unusable("what is stored is not a verifier of SCRAM-SHA-256")
    try:
        return str(scram.Verifier.checked(decoded[0] or b"", int(iterations), decoded[1] or b"", decoded[2] or b""))
    except ValueError as error:
        raise Unusable(str(error)) from None


def _settings(name: str, home: str, extra: Mapping[str, str]) -> dict[str, str]:
    """Where the user's Maildir is, if the entry says so."""
    location = extra.get("userdb_mail", "")
    if not location:
        return {}
    form, _, rest = location.partition(":")
    path = rest.partition(":")[0]
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    local, _, domain = name.partition("@")
    for variable, value in (("%h", home), ("%u", name), ("%n", local), ("%d", domain)):
        path = path.replace(variable, value)
    if form != "maildir" or "%" in path:
        raise Unusable("userdb_mail is no Maildir with a path that is known here")
    try:
        return {"mailbox": SETTINGS["mailbox"].unit(path)}
    except ValueError as error:
        raise Unusable(f"userdb_mail: {error}") from None
