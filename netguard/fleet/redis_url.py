"""Where a ledger is, and as whom it is used: ``rediss://user@host:port/database?name=mail&secret=FILE``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from attrs import field, frozen

from netguard.clients.secret_file import read_secret
from netguard.errors import OptionError, UnknownOption
from netguard.fleet.exchange import Terms
from netguard.secret import Secret
from netguard.units import duration

VARIABLE = "NETGUARD_LEDGER"
ENVIRONMENT = "env"
"""What an operator says for the URL that the variable has."""

PORT = 6379
_SCHEMES = {"redis": False, "rediss": True}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SHORTEST, _LONGEST = 0.1, 3600.0
_LEAST_LEASE = 4
_MOST_DATABASE = 65535


@frozen
class RedisURL:
    """What such a URL says. No text that is made of it has a secret.

    Args:
        host, port: where it is.
        database: the number of its database.
        tls: whether it is reached by TLS.
        user: as whom; empty for the default user.
        secret: the password; empty for none.
        name: the name of the fleet. Machines with one name count together.
        terms: how quickly, and for how long.
        ca: a PEM file with those who vouch for it; None for the authorities that the system trusts.
        certificate: a PEM file with our key and certificate; None where it wants none.
    """

    host: str
    port: int = PORT
    database: int = 0
    tls: bool = False
    user: str = ""
    secret: Secret = field(factory=Secret)
    name: str = "netguard"
    terms: Terms = field(factory=Terms)
    ca: Path | None = None
    certificate: Path | None = None

    def __str__(self) -> str:
        """Where it is, for a person."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.tls else ''}://{host}:{self.port}/{self.database}?name={self.name}"

    @classmethod
    def parse(cls, text: str) -> RedisURL:
        """Read a URL; its password may stand in it, or in a file (``secret``).

        Raises:
            OptionError: it names no ledger. The text does not repeat the URL, which may have a password in it.
        """
        parts, query = _split(text)
        found: dict[str, Any] = {"tls": _SCHEMES[parts.scheme], **_place(parts)}
        terms: dict[str, float] = {}
        for key, value in query.items():
            if key not in _KEYS:
                raise UnknownOption(key, _KEYS, "key in the URL of --ledger")
            (terms if key in ("within", "lease") else found)[key] = _KEYS[key](value)
        plain = found.pop("plain", False)
        found["terms"] = _terms(**terms)
        if parts.password and "secret" in found:
            raise OptionError("a password stands in the URL, and secret names a file with another")
        found.setdefault("secret", Secret(unquote(parts.password or "")))
        for key in ("ca", "certificate"):
            if key in found and not found["tls"]:
                raise OptionError(f"{key} has no effect with redis://; say rediss:// for TLS")
        if found["secret"] and not (found["tls"] or plain or _is_near(found["host"])):
            raise OptionError(f"the password would go to {found['host']} in clear: say rediss://, or plain=yes")
        if found["user"] and not found["secret"]:
            raise OptionError("a user needs a password: secret=FILE names a file that has it")
        return cls(**found)


def ledger_of(word: str, environment: Mapping[str, str] = os.environ) -> RedisURL:
    """The ledger that an operator means.

    Args:
        word: a URL without a password, or ``env``.
        environment: has the URL for ``env``, which may have a password in it.

    Raises:
        OptionError: it means none.
    """
    if word == ENVIRONMENT:
        if not environment.get(VARIABLE):
            raise OptionError(f"the environment has no {VARIABLE}, which is to have the URL")
        return RedisURL.parse(environment[VARIABLE])
    parts, _ = _split(word)
    if parts.password:
        raise OptionError(
            f"others see a password that stands here: put it into a file and say secret=FILE,"
            f" or put the URL into {VARIABLE} and say env"
        )
    return RedisURL.parse(word)


def _split(text: str) -> tuple[SplitResult, dict[str, str]]:
    try:
        parts = urlsplit(text)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        parts.port  # noqa: B018 - it is read here to see whether it can be
    except ValueError:
        raise OptionError(_FORM) from None
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.fragment:
        raise OptionError(_FORM)
    if len({key for key, _ in query}) < len(query):
        raise OptionError("a key stands twice in the URL")
    return parts, dict(query)


_FORM = (
    "it is a URL such as rediss://user@host:6379/0?secret=FILE&ca=FILE&name=mail&within=500ms&lease=10s,"
    f" or {ENVIRONMENT} for the one in {VARIABLE}"
)


def _place(parts: SplitResult) -> dict[str, Any]:
    database = parts.path.strip("/") or "0"
    if re.fullmatch(r"[0-9]{1,5}", database, re.ASCII) is None or int(database) > _MOST_DATABASE:
        raise OptionError("behind the host stands the number of a database, as in redis://host:6379/0")
    port = PORT if parts.port is None else parts.port
    if not port:
        raise OptionError("port 0 cannot be connected to")
    user = unquote(parts.username or "")
    return {"host": parts.hostname, "port": port, "database": int(database), "user": user}


def _terms(within: float = Terms().within, lease: float | None = None) -> Terms:
    lease = max(Terms().lease, _LEAST_LEASE * within) if lease is None else lease
    if not _SHORTEST <= within <= _LONGEST or lease > _LONGEST:
        raise OptionError(f"within is at least {duration.text(_SHORTEST)}, and lease at most {duration.text(_LONGEST)}")
    if lease < _LEAST_LEASE * within:
        raise OptionError(f"lease is at least {_LEAST_LEASE} times within, {duration.text(_LEAST_LEASE * within)}")
    return Terms(within, lease)


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise OptionError("name is up to 64 letters, digits, dots, dashes and underscores")
    return text


def _duration(text: str) -> float:
    try:
        value: float = duration(text)
    except ValueError as why:
        raise OptionError(str(why)) from None
    return value


def _secret(path: str) -> Secret:
    try:
        return Secret(read_secret(path))
    except ValueError as why:
        raise OptionError(str(why)) from None


def _yes(text: str) -> bool:
    if text != "yes":
        raise OptionError("plain can only be yes: a password may go in clear")
    return True


_KEYS: Mapping[str, Callable[[str], Any]] = {
    "name": _name,
    "secret": _secret,
    "ca": Path,
    "certificate": Path,
    "within": _duration,
    "lease": _duration,
    "plain": _yes,
}


def _is_near(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
