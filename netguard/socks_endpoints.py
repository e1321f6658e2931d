r"""The ``socks:`` endpoint strings, for clients.

``socks:mail.example:pop3:proxy=tcp\:127.0.0.1\:1080`` is ``SOCKSEndpoint`` around ``tcp:127.0.0.1:1080``. The way to
the proxy is any client endpoint string, the URL of a proxy, or ``env`` for the URL in ``ALL_PROXY``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.plugin import IPlugin
from zope.interface import implementer

from netguard.clients.secret_file import read_secret
from netguard.clients.socks import SOCKSEndpoint
from netguard.endpoint_strings import CLIENTS, Description
from netguard.endpoints import nested_endpoint
from netguard.errors import OptionError
from netguard.one_line import end_in_one_line
from netguard.proxy_url import ENVIRONMENT, Credentials, ProxyURL, proxy_of

PREFIX = "socks"
_EXAMPLE = r"socks:mail.example:pop3:proxy=tcp\:127.0.0.1\:1080"


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class SocksClientParser:
    """``socks:``, the endpoint through a proxy."""

    prefix = PREFIX

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> SOCKSEndpoint:
        """Make the endpoint.

        Args:
            reactor: the reactor that connects, and the clock.
            args: the words behind ``socks:``: the host and the port.
            kwargs: these by name, and ``proxy``, ``version``, ``user``, ``secret-file`` and ``within``.

        Raises:
            OptionError: with one line for the person who wrote the string, and without the value of any keyword.
        """
        given = Description.of((PREFIX, *args), kwargs)
        try:
            return _endpoint(reactor, given)
        except OptionError as why:
            end_in_one_line(why)
            raise


def _endpoint(reactor: Any, given: Description) -> SOCKSEndpoint:
    for unknown in given.unknown(CLIENTS[PREFIX].keywords):
        raise OptionError(f"endpoint {given.shown}: {unknown}")
    host, port = _target(given)
    proxy, within = given.keywords.get("proxy", ""), given.keywords.get("within", "30s")
    try:
        if proxy == ENVIRONMENT or "://" in proxy:
            found = _by_url(proxy, given.keywords)
            return SOCKSEndpoint.from_proxy(reactor, found, host, port, within)
        if not proxy:
            raise OptionError(f"it names no proxy; write it as in {_EXAMPLE}, or proxy={ENVIRONMENT} for ALL_PROXY")
        way = nested_endpoint(reactor, proxy)
        version, who = given.keywords.get("version", "5"), _credentials(given.keywords)
        return SOCKSEndpoint(way, host, port, version, who, within, reactor=reactor)
    except ValueError as why:
        raise OptionError(f"endpoint {given.shown}: {why}") from None


def _target(given: Description) -> tuple[str, str]:
    """Whom to connect to: a word each, unless it is given by name."""
    words = iter(given.words[1:])
    host, port = (given.keywords[key] if key in given.keywords else next(words, "") for key in ("host", "port"))
    if not host or not port or next(words, None) is not None:
        raise OptionError(f"endpoint {given.shown}: it needs a host and a port, and no other word, as in {_EXAMPLE}")
    return host, port


def _by_url(text: str, keywords: Mapping[str, str]) -> ProxyURL:
    """What the URL says; what it has no secret for may have one in a file."""
    found = proxy_of(text)
    who = found.credentials
    if who is not None and who.secret and text != ENVIRONMENT:
        raise OptionError("others see the string: put the secret into a file, and say secret-file=FILE")
    for key in ("version", *(("user",) if who else ()), *(("secret-file",) if who and who.secret else ())):
        if key in keywords:
            raise OptionError(f"option {key}: the proxy's URL says it already")
    return evolve(found, credentials=_credentials(keywords, who))


def _credentials(keywords: Mapping[str, str], who: Credentials | None = None) -> Credentials | None:
    if "user" in keywords:
        who = Credentials(keywords["user"])
    if "secret-file" not in keywords:
        return who
    if who is None:
        raise OptionError("option secret-file: the secret is whose? say user=NAME, too")
    return evolve(who, secret=read_secret(keywords["secret-file"]))
