r"""Endpoint descriptions as Twisted writes them: words and keywords, with escapes, and ports by name.

``tcp:8080:interface=127.0.0.1`` is the words ``tcp`` and ``8080`` and one keyword. A backslash takes the meaning from
the character behind it. Twisted's own parsers take port numbers only and complain about nothing else until the bind;
what is known here about them is one table, so that a port may be named and a mistake be told in one line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from attrs import evolve, frozen

from netguard import units
from netguard.errors import OptionError, UnknownOption


@frozen
class Kind:
    """What Twisted's parser of one type of endpoint takes.

    Args:
        keywords: everything it knows by name.
        port: the place of the port among the words behind the type; None when it has none.
        before: the keyword which, when it is given by name, moves the port one place to the front.
    """

    keywords: tuple[str, ...]
    port: int | None = None
    before: str = ""


_TLS_FILES = ("privateKey", "certKey")

SERVERS: Mapping[str, Kind] = {
    "tcp": Kind(("port", "interface", "backlog"), 0),
    "tcp6": Kind(("port", "interface", "backlog"), 0),
    "ssl": Kind(
        ("port", *_TLS_FILES, "sslmethod", "interface", "backlog", "extraCertChain", "dhParameters"),
        0,
    ),
    "tls": Kind(("path", "port", "backlog", "interface"), 1),
    "unix": Kind(("address", "mode", "backlog", "lockfile")),
    "systemd": Kind(("domain", "index", "name")),
    "stdio": Kind(()),
}
"""The servers that Twisted has. ``haproxy`` is not one by itself: it stands before one of these."""

_CONNECTING = ("host", "port", "timeout", "bindAddress")

CLIENTS: Mapping[str, Kind] = {
    "tcp": Kind(_CONNECTING, 1, "host"),
    "ssl": Kind((*_CONNECTING, *_TLS_FILES, "caCertsDir", "hostname"), 1, "host"),
    "tls": Kind((*_CONNECTING, "certificate", "privateKey", "trustRoots", "endpoint"), 1),
    "unix": Kind(("path", "timeout", "lockfile")),
    "socks": Kind(("host", "port", "proxy", "version", "user", "secret-file", "within"), 1, "host"),
}
"""The clients that Twisted has, and ours."""

PROXIED = "haproxy"
"""The type that stands before another one."""


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def quote(text: str) -> str:
    r"""Text as a word of a description: ``\``, ``:`` and ``=`` escaped.

    Twisted's ``quoteStringArgument`` leaves ``=`` alone, and turns a path that has one into a keyword.
    """
    return "".join("\\" + each if each in "\\:=" else each for each in text)


def _pieces(text: str) -> Iterable[tuple[str, ...]]:
    """The parts between colons, each as one string or as a key and its value."""
    part = [""]
    characters = iter(text)
    for each in characters:
        if each == ":":
            yield tuple(part)
            part = [""]
        elif each == "=" and len(part) == 1:
            part.append("")
        elif each == "\\":
            following = next(characters, None)
            if following is None:
                raise OptionError(f"endpoint {text}: nothing follows the last backslash")
            part[-1] += following
        else:
            part[-1] += each
    yield tuple(part)


@frozen
class Description:
    """One endpoint description.

    Args:
        words: what stands without a name: the type first.
        keywords: what stands with one.
    """

    words: tuple[str, ...]
    keywords: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Description:
        """Read a description.

        Raises:
            OptionError: it ends in a lone backslash, or has a keyword twice.
        """
        words: list[str] = []
        keywords: dict[str, str] = {}
        for key, *value in _pieces(text):
            if not value:
                words.append(key)
            elif key in keywords:
                raise OptionError(f"endpoint {text}: {key} is given twice")
            else:
                keywords[key] = value[0]
        return cls(tuple(words), keywords)

    @classmethod
    def of(cls, words: Iterable[Any], keywords: Mapping[Any, Any]) -> Description:
        """A description from what Twisted hands to its parsers, text or bytes."""
        return cls(tuple(map(_text, words)), {_text(key): _text(value) for key, value in keywords.items()})

    def __str__(self) -> str:
        """The description, so that Twisted reads the same words and keywords from it."""
        named = (f"{quote(key)}={quote(value)}" for key, value in self.keywords.items())
        return ":".join([*map(quote, self.words), *named])

    @property
    def type(self) -> str:
        """The type of endpoint, in lower case; empty when there is none."""
        return self.words[0].lower() if self.words else ""

    @property
    def shown(self) -> str:
        """What may be told of it: its words. A keyword's value may be a secret."""
        return ":".join(self.words)

    def unknown(self, expected: Collection[str]) -> list[UnknownOption]:
        """The keywords that nobody takes, each with what may have been meant.

        Args:
            expected: the keywords that somebody takes.
        """
        return [UnknownOption(key, expected) for key in self.keywords if key not in expected]

    def inner(self) -> Description:
        """The same without its type."""
        return evolve(self, words=self.words[1:])

    def numbered(self, kinds: Mapping[str, Kind]) -> Description:
        """The same with a number for its port.

        Args:
            kinds: :data:`SERVERS` or :data:`CLIENTS`; other types are left alone.

        Raises:
            OptionError: the port is neither a number from 0 to 65535 nor a service that this machine knows.
        """
        if self.type == PROXIED:
            inside = self.inner().numbered(kinds)
            return evolve(inside, words=(self.words[0], *inside.words))
        kind = kinds.get(self.type)
        if kind is None or kind.port is None:
            return self
        if "port" in self.keywords:
            return evolve(self, keywords={**self.keywords, "port": self._port(self.keywords["port"])})
        place = 1 + kind.port - (kind.before in self.keywords)
        words = [self._port(word) if at == place else word for at, word in enumerate(self.words)]
        return evolve(self, words=tuple(words))

    def _port(self, text: str) -> str:
        try:
            return str(units.port(text))
        except ValueError as why:
            raise OptionError(f"endpoint {self.shown}: {why}") from None
