"""The ``guard:`` endpoint strings, for servers and for clients.

``guard:tcp:8080:idle=30s`` is the endpoint ``tcp:8080`` with an idle limit. Twisted hands its parsers a list of words
and one flat dictionary of keywords, so where a guard's keyword stands does not matter; which keywords are guards' is
decided by their names, and no option is ever named like a keyword of Twisted's parsers. A port may be a service name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from attrs import frozen
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin, getPlugins
from twisted.protocols.haproxy import proxyEndpoint
from zope.interface import Interface, implementer

from netguard.before_tls import BeforeTls
from netguard.endpoint_strings import CLIENTS, PROXIED, SERVERS, Description, Kind
from netguard.errors import OptionError, UnknownOption
from netguard.guarded_endpoints import GuardedClientEndpoint, GuardedServerEndpoint
from netguard.one_line import end_in_one_line
from netguard.policy import Policy, words

PREFIX = "guard"
_SURFACE = "guard"
_EXAMPLE = "guard:tcp:8080:idle=30s"

_parsing: ContextVar[bool] = ContextVar("guard_parsing", default=False)


@frozen
class _Side:
    """What servers and clients differ in."""

    kinds: Mapping[str, Kind]
    build: Callable[[Any, str], Any]
    parsers: type[Interface]


_SERVER = _Side(SERVERS, serverFromString, IStreamServerEndpointStringParser)
_CLIENT = _Side(CLIENTS, clientFromString, IStreamClientEndpointStringParserWithReactor)


def server_endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    """Twisted's ``serverFromString``, with service names for ports and one clear line for a mistake.

    Args:
        reactor: the reactor that listens.
        description: any server endpoint string but ``guard:``: whoever asks for one here guards it by itself.

    Raises:
        OptionError: it describes no endpoint.
    """
    endpoint: IStreamServerEndpoint = _inside(_SERVER, reactor, Description.parse(description))
    return endpoint


def client_endpoint(reactor: Any, description: str) -> IStreamClientEndpoint:
    """Twisted's ``clientFromString``, with service names for ports and one clear line for a mistake.

    Args:
        reactor: the reactor that connects.
        description: any client endpoint string but ``guard:``.

    Raises:
        OptionError: it describes no endpoint.
    """
    endpoint: IStreamClientEndpoint = _inside(_CLIENT, reactor, Description.parse(description))
    return endpoint


def nested_endpoint(reactor: Any, description: str) -> IStreamClientEndpoint:
    """The same for a string that stands in another one, which takes ``guard:`` too, unless it is guarded itself.

    Args:
        reactor: the reactor that connects.
        description: any client endpoint string.

    Raises:
        OptionError: it describes no endpoint.
    """
    endpoint: IStreamClientEndpoint = _made(_CLIENT, reactor, Description.parse(description))
    return endpoint


@implementer(IPlugin, IStreamServerEndpointStringParser)
class GuardServerParser:
    """``guard:`` in front of any server endpoint: the endpoint, under guards."""

    prefix = PREFIX

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> GuardedServerEndpoint:
        """Make the endpoint.

        Args:
            reactor: the reactor that listens, and the guards' clock.
            args: the words behind ``guard:``.
            kwargs: the keywords, guards' and others'.

        Raises:
            OptionError: with one line for the person who wrote the string.
        """
        endpoint, policy = _parse(_SERVER, reactor, args, kwargs)
        return GuardedServerEndpoint(endpoint, policy, reactor)


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class GuardClientParser:
    """``guard:`` in front of any client endpoint: the endpoint, under guards."""

    prefix = PREFIX

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> GuardedClientEndpoint:
        """Make the endpoint.

        Args:
            reactor: the reactor that connects, and the guards' clock.
            args: the words behind ``guard:``.
            kwargs: the keywords, guards' and others'.

        Raises:
            OptionError: with one line for the person who wrote the string.
        """
        endpoint, policy = _parse(_CLIENT, reactor, args, kwargs)
        return GuardedClientEndpoint(endpoint, policy, reactor)


def _parse(side: _Side, reactor: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Policy]:
    """The endpoint inside, and the guards around it."""
    try:
        given = Description.of(args, kwargs)
        policy = _policy(given)
        inner = Description(given.words, {key: text for key, text in given.keywords.items() if key not in _ours()})
        if policy.before_tls and side is _SERVER:
            _refuse_another_reader(inner)
            reactor = BeforeTls(reactor)
        return _inside(side, reactor, inner, _ours()), policy
    except OptionError as why:
        end_in_one_line(why)
        raise


def _refuse_another_reader(inner: Description) -> None:
    if inner.type == PROXIED:
        raise OptionError(
            f"endpoint guard:{inner.shown}: option proxy-from reads the PROXY header;"
            " leave out haproxy:, which believes everybody"
        )


def _policy(given: Description) -> Policy:
    if _parsing.get():
        raise OptionError("guard: stands inside what is guarded already; give its options there instead")
    options = {key: text for key, text in given.keywords.items() if key in _ours()}
    try:
        return Policy.from_options(options, _SURFACE)
    except OptionError as why:
        raise OptionError(f"endpoint guard:{given.shown}: {why}") from None


def _ours() -> tuple[str, ...]:
    return words()


def _inside(side: _Side, reactor: Any, inner: Description, guards: tuple[str, ...] = ()) -> Any:
    """The endpoint inside what is guarded."""
    if not inner.type:
        raise OptionError(f"guard: names no endpoint to guard; write it as in {_EXAMPLE}")
    _refuse_bare_options(inner, guards)
    token = _parsing.set(True)
    try:
        return _made(side, reactor, inner, guards)
    finally:
        _parsing.reset(token)


def _made(side: _Side, reactor: Any, inner: Description, guards: tuple[str, ...] = ()) -> Any:
    """An endpoint; every way in which its description can be wrong is one line."""
    numbered = inner.numbered(side.kinds)
    _refuse_unknown_keywords(side, inner, guards)
    try:
        return _build(side, reactor, numbered)
    except OptionError:
        raise
    except Exception as why:  # a foreign parser may raise anything about what an operator wrote
        raise _explained(side, inner, guards, why) from why


def _build(side: _Side, reactor: Any, description: Description) -> Any:
    if side is _SERVER and description.type == PROXIED:
        # Twisted's own parser loses the escapes of "=" on the way in.
        return proxyEndpoint(_build(side, reactor, description.inner()))
    return side.build(reactor, str(description))


def _refuse_unknown_keywords(side: _Side, inner: Description, guards: tuple[str, ...]) -> None:
    """Of types that are known; what others take their parsers know."""
    shown = _shown(inner, guards)
    while inner.type == PROXIED:
        inner = inner.inner()
    kind = side.kinds.get(inner.type)
    for unknown in inner.unknown([*guards, *kind.keywords]) if kind else ():
        raise OptionError(f"endpoint {shown}: {unknown}")


def _explained(side: _Side, inner: Description, guards: tuple[str, ...], why: Exception) -> OptionError:
    """What is wrong with a description, in the words of who wrote it, as far as that can be known."""
    shown = _shown(inner, guards)
    while inner.type == PROXIED:
        inner = inner.inner()
    kind = side.kinds.get(inner.type)
    if kind is None:
        if inner.type not in (known := _prefixes(side)):
            return OptionError(f"endpoint {shown}: {UnknownOption(inner.type, known, 'endpoint type')}")
        for unknown in inner.unknown(guards):
            if unknown.suggestion:
                return OptionError(f"endpoint {shown}: {unknown}")
    elif isinstance(why, TypeError):
        expects = ", ".join(kind.keywords)
        return OptionError(f"endpoint {shown}: something is missing or too much; {inner.type} takes {expects}")
    return OptionError(f"endpoint {shown}: {type(why).__name__}: {' '.join(str(why).split())}")


def _shown(inner: Description, guards: tuple[str, ...]) -> str:
    return ("guard:" if guards else "") + inner.shown


def _refuse_bare_options(inner: Description, guards: tuple[str, ...]) -> None:
    """``guard:tcp:8080:idle`` would listen on an interface called idle; the first word may well be a path."""
    for word in inner.words[2:]:
        if word in guards:
            raise OptionError(f"endpoint guard:{inner.shown}: option {word} needs a value, as in {word}=...")


def _prefixes(side: _Side) -> list[str]:
    parsers: Iterable[Any] = getPlugins(side.parsers)
    return [*side.kinds, *(str(each.prefix) for each in parsers)]
