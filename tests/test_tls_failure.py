"""What is said of TLS that fails."""

from __future__ import annotations

from typing import Any

import pytest
from OpenSSL import SSL

from netguard.tls_failure import is_no_tls, words


def accepted(junk: bytes) -> SSL.Error:
    """What OpenSSL makes of bytes where a handshake should begin."""
    connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    connection.set_accept_state()
    connection.bio_write(junk)
    with pytest.raises(SSL.Error) as caught:
        connection.do_handshake()
    return caught.value


@pytest.mark.parametrize(
    "junk",
    [
        b"NOOP\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"CONNECT x:1 HTTP/1.0\r\n",
        b"\x16\x03\x01\xff\xff" + bytes(300),
        b"\x16\x03\x01\x00\x05hello",
        b"\x17\x03\x03\x00\x05hello",
        bytes(100),
    ],
    ids=repr,
)
def test_what_is_no_tls_is_told_from_tls_that_fails(junk: bytes) -> None:
    """Commands, requests, and junk that is dressed as a record."""
    error = accepted(junk)
    assert is_no_tls(error)
    assert "SSL routines" not in words(error)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SSL.Error([("SSL routines", "", "ssl/tls alert certificate unknown")]), "ssl/tls alert certificate unknown"),
        (SSL.Error([("SSL routines", "", "unsupported protocol"), ("x", "", "y")]), "unsupported protocol; y"),
        (SSL.Error(), "no reason given"),
        (SSL.Error("odd"), "odd"),
        (SSL.SysCallError(-1, "Unexpected EOF"), "(-1, 'Unexpected EOF')"),
        (ValueError("wrong version number"), "wrong version number"),
    ],
    ids=repr,
)
def test_who_leaves_or_is_too_old_speaks_tls_all_the_same(error: Any, text: str) -> None:
    """An alert, an old version, and whatever other errors there are."""
    assert words(error) == text
    assert not is_no_tls(error)
