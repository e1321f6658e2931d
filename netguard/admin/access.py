"""Who may ask: the token, the client's certificate, and the name that a browser believes it is at."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Iterable
from ipaddress import ip_address

from netguard.admin.asked import Answer, Asked, line
from netguard.secret import Secret

CHALLENGES = ('Bearer realm="netguard"', 'Basic realm="netguard"')
"""A line each: browsers understand no more than the first of a line."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")


class Access:
    """Judges a request before any page sees it.

    Args:
        names: the names by which the service may be asked for, besides localhost and any address. A page of somebody
            else's, whose name was made to resolve to us, is asked for by another one (DNS rebinding).
        token: answers what must be shown; None where nothing must.
        certificate: whether a verified certificate is demanded.
    """

    def __init__(
        self, names: Iterable[str] = (), token: Callable[[], Secret] | None = None, *, certificate: bool = False
    ) -> None:
        self._names = {"localhost", *(name.lower() for name in names)}
        self._token = token
        self._certificate = certificate

    def refuse(self, asked: Asked, *, verified: bool) -> Answer | None:
        """Why a request is not answered; None when it is.

        Args:
            asked: the request.
            verified: whether the client has a certificate that was verified.
        """
        if not self._is_ours(asked.headers.get("host")):
            return line("by this name I am not to be asked; see --admin-host", 421)
        if self._certificate and not verified:
            return line("a client certificate is needed here", 403)
        if self._token is not None and not _shows(asked.headers.get("authorization", ""), self._token()):
            # Browsers know no Bearer: they ask for a name, which is anything, and a password, which is the token.
            return line("a token is needed here", 401, WWW_Authenticate=CHALLENGES)
        return None

    def _is_ours(self, host: str | None) -> bool:
        if host is None:
            return True  # HTTP/1.0 of a health check: browsers always name a host
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].strip("[]").lower()
        return name.removesuffix(".") in self._names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _shows(authorization: str, token: Secret) -> bool:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            value = b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return Secret(value.strip()) == token  # which takes a time that tells nothing
