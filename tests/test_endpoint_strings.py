"""Descriptions survive the way into text and back, and what is known of Twisted's parsers is true."""

from __future__ import annotations

import inspect
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import endpoints as twisted_endpoints
from twisted.internet.endpoints import quoteStringArgument

from netguard.endpoint_strings import CLIENTS, PROXIED, SERVERS, Description, quote
from netguard.errors import OptionError

TEXT = st.text(max_size=12)
ESCAPED = st.text(st.sampled_from("ab\\:="), max_size=8)
DESCRIPTIONS = st.builds(
    Description,
    st.lists(TEXT | ESCAPED, min_size=1, max_size=4).map(tuple),
    st.dictionaries(ESCAPED, TEXT | ESCAPED, max_size=3),
)


def as_twisted_reads(text: str) -> Description:
    """The words and keywords that Twisted hands to its parsers."""
    return Description.of(*twisted_endpoints._parse(text))


@given(DESCRIPTIONS)
def test_twisted_reads_back_what_was_written(description: Description) -> None:
    """No backslash, colon or equals sign in a path or a password changes its meaning on the way."""
    assert as_twisted_reads(str(description)) == description
    assert Description.parse(str(description)) == description


@given(st.text(st.sampled_from("ab\\:="), max_size=20))
def test_any_text_is_read_as_twisted_reads_it(text: str) -> None:
    """Our reader and Twisted's agree, except where Twisted fails or overwrites a repeated keyword."""
    try:
        ours = Description.parse(text)
    except OptionError as why:
        assert "backslash" in str(why) or "twice" in str(why)  # noqa: PT017 - which of the two, hypothesis chooses
    else:
        assert ours == as_twisted_reads(text)


@given(TEXT | ESCAPED)
def test_a_word_quoted_by_twisted_is_read_alike_unless_it_has_an_equals_sign(word: str) -> None:
    """The only difference to Twisted's quoting is that an equals sign stays part of the word."""
    if "=" not in word:
        assert quote(word) == quoteStringArgument(word)
    assert Description.parse(quote(word)).words == (word,)


def test_bytes_and_text_make_the_same_description() -> None:
    """Twisted takes client strings as bytes, too."""
    assert Description.of((b"tcp", "host"), {b"port": b"80"}) == Description(("tcp", "host"), {"port": "80"})


@pytest.mark.parametrize("text", ["tcp:80\\", "tcp:80:backlog=1:backlog=2"])
def test_what_twisted_would_overlook_is_refused(text: str) -> None:
    """A lone backslash is a StopIteration in Twisted, and of a repeated keyword it keeps the last."""
    with pytest.raises(OptionError, match=r"^endpoint tcp:80"):
        Description.parse(text)


POP3, POP3S = str(socket.getservbyname("pop3")), str(socket.getservbyname("pop3s"))


@pytest.mark.parametrize(
    ("text", "numbered"),
    [
        ("tcp:pop3", f"tcp:{POP3}"),
        ("tcp:8080", "tcp:8080"),
        ("TCP6:pop3s:interface=\\:\\:1", f"TCP6:{POP3S}:interface=\\:\\:1"),
        ("tcp:interface=127.0.0.1:port=pop3", f"tcp:interface=127.0.0.1:port={POP3}"),
        ("ssl:pop3s:privateKey=key.pem", f"ssl:{POP3S}:privateKey=key.pem"),
        ("tls:pop3:pop3s", f"tls:pop3:{POP3S}"),
        ("tls:certificates", "tls:certificates"),
        ("haproxy:tcp:pop3", f"haproxy:tcp:{POP3}"),
        ("haproxy:haproxy:tcp6:pop3", f"haproxy:haproxy:tcp6:{POP3}"),
        ("unix:pop3", "unix:pop3"),
        ("systemd:INET:name=pop3", "systemd:INET:name=pop3"),
        ("stranger:pop3", "stranger:pop3"),
        ("tcp", "tcp"),
        ("", ""),
    ],
)
def test_the_port_of_a_server_may_be_a_service(text: str, numbered: str) -> None:
    """Only where Twisted's parser takes a port is a word looked up."""
    assert str(Description.parse(text).numbered(SERVERS)) == numbered


@pytest.mark.parametrize(
    ("text", "numbered"),
    [
        ("tcp:pop3:pop3", f"tcp:pop3:{POP3}"),
        ("tcp:pop3:host=mail", f"tcp:{POP3}:host=mail"),
        ("tcp:mail:port=pop3", f"tcp:mail:port={POP3}"),
        ("tcp:host=mail:port=pop3", f"tcp:host=mail:port={POP3}"),
        ("ssl:mail:pop3s:timeout=3", f"ssl:mail:{POP3S}:timeout=3"),
        ("tls:mail:pop3s", f"tls:mail:{POP3S}"),
        ("unix:pop3", "unix:pop3"),
    ],
)
def test_the_port_of_a_client_may_be_a_service(text: str, numbered: str) -> None:
    """A host that is called like a service stays a host."""
    assert str(Description.parse(text).numbered(CLIENTS)) == numbered


@pytest.mark.parametrize("port", ["65536", "-1", "no-such-service", "", "8080x"])
def test_a_port_that_is_none_is_refused_before_anything_listens(port: str) -> None:
    """Twisted would take the number until the bind, and call the name an invalid literal."""
    with pytest.raises(OptionError, match="is not a port from 0 to 65535 or a service"):
        Description.parse(f"tcp:{port}").numbered(SERVERS)


@pytest.mark.parametrize("port", ["0", "65535"])
def test_the_first_and_the_last_port_are_ports(port: str) -> None:
    """The limits themselves are inside."""
    assert str(Description.parse(f"tcp:{port}").numbered(SERVERS)) == f"tcp:{port}"


def parameters(parser: Any, *ours: str) -> list[str]:
    """What a parser of Twisted takes by name, without what Twisted itself passes to it."""
    return [name for name in inspect.signature(parser).parameters if name not in ("self", "reactor", "factory", *ours)]


@pytest.mark.parametrize(
    ("kind", "parser"),
    [
        ("tcp", twisted_endpoints._parseTCP),
        ("ssl", twisted_endpoints._parseSSL),
        ("unix", twisted_endpoints._parseUNIX),
        ("tcp6", twisted_endpoints._TCP6ServerParser._parseServer),
        ("tls", twisted_endpoints._TLSServerEndpointParser._actualParseStreamServer),
        ("systemd", twisted_endpoints._SystemdParser._parseServer),
        ("stdio", twisted_endpoints._StandardIOParser._parseServer),
    ],
)
def test_the_table_of_servers_is_what_twisted_takes(kind: str, parser: Any) -> None:
    """A new keyword or another order in Twisted must not go unnoticed."""
    taken = parameters(parser)
    place = SERVERS[kind].port
    assert sorted(SERVERS[kind].keywords) == sorted(taken)
    assert place is None or taken[place] == "port"


@pytest.mark.parametrize(
    ("kind", "endpoint", "ours", "own"),
    [
        ("tcp", twisted_endpoints.TCP4ClientEndpoint, (), ()),
        (
            "ssl",
            twisted_endpoints.SSL4ClientEndpoint,
            ("sslContextFactory",),
            ("privateKey", "certKey", "caCertsDir", "hostname"),
        ),
        ("unix", twisted_endpoints.UNIXClientEndpoint, ("checkPID",), ("lockfile",)),
        ("tls", twisted_endpoints._parseClientTLS, ("kwargs",), ()),
    ],
)
def test_the_table_of_clients_is_what_twisted_takes(kind: str, endpoint: Any, ours: Any, own: Any) -> None:
    """Twisted passes a client's keywords on to the endpoint, and replaces some."""
    assert sorted(CLIENTS[kind].keywords) == sorted([*parameters(endpoint, *ours), *own])


def test_every_server_that_twisted_has_is_known() -> None:
    """A new built-in type would lose its service names otherwise."""
    from twisted.plugins import twisted_core

    plugins = [
        getattr(each, "prefix", None) for each in vars(twisted_core).values() if hasattr(each, "parseStreamServer")
    ]
    assert {*twisted_endpoints._serverParsers, *plugins} - {None} == {*SERVERS, PROXIED}


def test_a_secret_in_a_keyword_is_not_shown() -> None:
    """Errors show the words of a description and not the values of its keywords."""
    assert Description.parse("onion:80:password=hush").shown == "onion:80"
