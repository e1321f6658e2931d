"""A proxy as a URL says it, the way of ``ALL_PROXY``; and who we are to it. No text that is made here has a secret."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

_SCHEMES = {
    "socks4": ("4", 1080),
    "socks4a": ("4a", 1080),
    "socks5": ("5", 1080),
    "socks5h": ("5", 1080),
    "http": ("http", 80),
}
"""The kind of proxy, and its port where the URL says none."""

VARIABLES = ("ALL_PROXY", "all_proxy")


@frozen
class Credentials:
    """Who we are to a proxy. The secret is in no representation of it.

    Args:
        user: the user's name.
        secret: the password; empty for SOCKS 4, which has none.
    """

    user: str
    secret: str = field(default="", repr=False)

    def encoded(self) -> tuple[bytes, bytes]:
        """Both as UTF-8."""
        return self.user.encode(), self.secret.encode()


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
