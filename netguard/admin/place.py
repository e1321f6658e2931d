"""Where the pages are to be had, and who could reach that place."""

from __future__ import annotations

from ipaddress import ip_address

from attrs import evolve, frozen

from netguard.endpoint_strings import Description
from netguard.errors import OptionError

_LOOPBACK = {"tcp": "127.0.0.1", "tls": "127.0.0.1", "tcp6": "::1"}
_KINDS = "tcp:PORT, tcp6:PORT, tls:PORT or unix:PATH"


@frozen
class Place:
    """One endpoint.

    Args:
        written: as the operator wrote it.
        endpoint: as :func:`netguard.endpoints.server_endpoint` takes it; TLS is not part of it.
        tls: whether TLS is from the first byte.
        near: whether only programs of this machine can reach it.
    """

    written: str
    endpoint: str
    tls: bool
    near: bool

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read what an operator wrote.

        A port without an interface is on loopback. A UNIX socket without a mode is its owner's.

        Args:
            text: ``tcp:PORT``, ``tcp6:PORT``, ``tls:PORT`` or ``unix:PATH``, each with the keywords of Twisted's.

        Raises:
            OptionError: it is none of these.
        """
        given = Description.parse(text)
        kind = given.type
        if kind == "unix":
            keywords = {"mode": "600", **given.keywords}
            return cls(text, str(evolve(given, keywords=keywords)), tls=False, near=True)
        if kind not in _LOOPBACK:
            raise OptionError(f"{text[:60]!r} is not {_KINDS}")
        interface = given.keywords.get("interface", _LOOPBACK[kind])
        words = ("tcp" if kind == "tls" else kind, *given.words[1:])
        endpoint = Description(words, {**given.keywords, "interface": interface})
        return cls(text, str(endpoint), tls=kind == "tls", near=_is_loopback(interface))

    @property
    def anybody(self) -> bool:
        """Whether every user of this machine can reach it."""
        return not self.endpoint.lower().startswith("unix")


def _is_loopback(interface: str) -> bool:
    try:
        return ip_address(interface).is_loopback
    except ValueError:
        return interface.lower() == "localhost"
