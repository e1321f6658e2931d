"""HTTP CONNECT (RFC 9110, section 9.3.6; RFC 9112), client side, with Basic authentication (RFC 7617)."""

from __future__ import annotations

import re
from base64 import b64encode
from ipaddress import IPv6Address

from netguard.wire.tunnel import Event, Host, LoginRefused, Negotiation, NoProxy, Refused, Unsendable, target

LONGEST_HEAD = 16 * 1024
"""Bytes of a reply's head: status line and headers."""

_STATUS = re.compile(rb"HTTP/1\.[0-9] ([1-5][0-9][0-9])(?: [^\r\n\0]*)?\r?\n")
_STATUS_BEGUN = b"HTTP/1."
_END = re.compile(rb"\r?\n\r?\n")
_SWITCHING, _OK, _REDIRECT = 101, 200, 300
_LOGIN_WANTED = {401, 407}
"""407 is the status of proxies; some answer to a wrong login with that of other servers."""


class HttpRefused(Refused):
    """The proxy answered with a status that is not 2xx; it is the code."""

    summary = "the proxy answered with an HTTP status that means no"


class HttpConnect(Negotiation):
    """A negotiation with an HTTP proxy.

    Args:
        host: an address, or a name, which the proxy resolves.
        port: 1 to 65535.
        login: user name, without a colon, and secret; unlike with SOCKS 5, they are told unasked. None for no login.

    Raises:
        Unsendable: the target or the login cannot be said in this protocol.
    """

    def __init__(self, host: Host, port: int, login: tuple[bytes, bytes] | None = None) -> None:
        where, port = target(host, port)
        name = f"[{where}]" if isinstance(where, IPv6Address) else str(where)
        lines = [f"CONNECT {name}:{port} HTTP/1.1", f"Host: {name}:{port}"]
        if login is not None:
            if b":" in login[0]:
                raise Unsendable("a user name for an HTTP proxy has no colon")
            lines.append(f"Proxy-Authorization: Basic {b64encode(b':'.join(login)).decode('ascii')}")
        self._seen = self._passed = 0
        super().__init__("".join(f"{each}\r\n" for each in [*lines, ""]).encode("ascii"), self._reply)

    def _reply(self) -> Event | None:
        """The reply; what only says to wait is passed over, and counts towards what a head may have."""
        while self._buffer:
            head = self._head()
            if head is None:
                break
            code = _status(head)
            if code >= _OK or code == _SWITCHING:
                return self._judge(code)
            self._passed += len(head)
        return None

    def _head(self) -> bytes | None:
        """The next head; None when it is not whole yet."""
        if not _STATUS_BEGUN.startswith(self._buffer[: len(_STATUS_BEGUN)]):
            raise NoProxy("its answer does not begin like one of HTTP/1")
        # The end may have begun in what was looked through before.
        end = _END.search(self._buffer, max(self._seen - 3, 0))
        self._seen = len(self._buffer) if end is None else 0
        if self._passed + (self._seen if end is None else end.end()) > LONGEST_HEAD:
            raise NoProxy(f"its answer has a head of more than {LONGEST_HEAD} bytes")
        return None if end is None else self._take(end.end())

    def _judge(self, code: int) -> Event:
        if code in _LOGIN_WANTED:
            raise LoginRefused(code)
        if not _OK <= code < _REDIRECT:
            raise HttpRefused(code)
        return self._granted()


def _status(head: bytes) -> int:
    status = _STATUS.match(head)
    if status is None:
        raise NoProxy("its answer has no status line of HTTP/1")
    return int(status[1])
