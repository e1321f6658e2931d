"""A proxy as a URL says it, the way of ``ALL_PROXY``; and who we are to it. No text that is made here has a secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

from netguard.secret import Secret, hidden
from netguard.units import Unit

_SCHEMES = {
    "socks4": ("4", 1080),
    "socks4a": ("4a", 1080),
    "socks5": ("5", 1080),
    "socks5h": ("5", 1080),
    "http": ("http", 80),
}
"""The kind of proxy, and its port where the URL says none."""

VARIABLES = ("ALL_PROXY", "all_proxy")
ENVIRONMENT = "env"
"""What an operator says for the proxy that one of these names."""


@frozen
class Credentials:
    """Who we are to a proxy. The secret is in no representation of it.

    Args:
        user: the user's name.
        secret: the password, text or :class:`~netguard.secret.Secret`; empty for SOCKS 4, which has none.
    """

    user: str
    secret: Secret = field(factory=Secret, converter=hidden)

    def encoded(self) -> tuple[bytes, bytes]:
        """Both as UTF-8; to be used at once."""
        return self.user.encode(), self.secret.reveal()


@frozen
class ProxyURL:
    """What a proxy's URL says.

    Args:
        version: the kind of proxy: ``4``, ``4a``, ``5`` or ``http``.
        host: where it is.
        port: where it listens.
        credentials: who we are to it, or None.
    """

    version: str
    host: str
    port: int
    credentials: Credentials | None = None

    @classmethod
    def parse(cls, url: str) -> ProxyURL:
        """Read a URL.

        Args:
            url: such as ``socks5h://user:secret@proxy.example:1080``. What ``socks5`` and ``socks5h`` differ in for
                others, who resolves names, is no difference here: it is always the proxy.

        Raises:
            ValueError: it names no proxy. Its text is not repeated, for it may have a secret in it.
        """
        scheme, colon, _ = url.partition("://")
        if not colon or scheme.lower() not in _SCHEMES:
            raise ValueError(f"the proxy's URL has to begin with one of {', '.join(f'{each}://' for each in _SCHEMES)}")
        version, port = _SCHEMES[scheme.lower()]
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or port
        except ValueError:
            host = ""
        if not host or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(f"the proxy's URL is not of the form {scheme.lower()}://user:secret@host:port")
        who = None if parts.username is None else Credentials(unquote(parts.username), unquote(parts.password or ""))
        return cls(version, host, port, who)


def url_of(environment: Mapping[str, str]) -> str:
    """The proxy's URL of an environment.

    Args:
        environment: has ``ALL_PROXY`` or ``all_proxy``. ``NO_PROXY`` is not looked at: who asked for the proxy gets it.

    Raises:
        ValueError: it has neither; to go without a proxy then would be a surprise.
    """
    for name in VARIABLES:
        if environment.get(name):
            return environment[name]
    raise ValueError(f"the environment has no proxy: {' or '.join(VARIABLES)} has to name one")


def proxy_of(word: str) -> ProxyURL:
    """The proxy that an operator means.

    Args:
        word: a URL, or ``env``.

    Raises:
        ValueError: it means none.
    """
    return ProxyURL.parse(url_of(os.environ) if word == ENVIRONMENT else word)


def _word(value: Any) -> str:
    """A URL without a secret, or ``env``, as it is; what it means is read again when it is needed."""
    if not isinstance(value, str):
        raise ValueError("a proxy is a URL such as socks5h://127.0.0.1:1080, or env")  # noqa: TRY004 - as all units do
    who = proxy_of(value).credentials
    if who is not None and who.secret and value != ENVIRONMENT:
        raise ValueError(f"others see a secret that stands here: put the URL into {VARIABLES[0]}, and say env")
    return value


class _Proxy(Unit):
    """A unit whose complaint does not repeat the value, which may have a secret in it."""

    def __call__(self, value: Any) -> Any:
        """Read a value."""
        return self.parse(value)


proxy = _Proxy("proxy", "the URL of a proxy such as socks5h://127.0.0.1:1080, or env for the one in ALL_PROXY", _word)
