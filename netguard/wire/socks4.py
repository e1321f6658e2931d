"""SOCKS 4 and 4a, client side: CONNECT.

The protocol has no standard but its authors' notes: http://www.openssh.com/txt/socks4.protocol and
http://www.openssh.com/txt/socks4a.protocol, for names that the proxy resolves.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from netguard.wire.tunnel import Event, Host, Negotiation, NoProxy, Refused, Unsendable, target

_REPLY = 8
_GRANTED = 90
LONGEST_USER = 255


class Rejected(Refused):
    """Code 91: the request was rejected, or failed; the proxy does not say which."""

    summary = "the proxy rejected the request, or could not connect to the target"


class IdentUnreachable(Refused):
    """Code 92: the proxy cannot reach an ident server on this machine."""

    summary = "the proxy wants an ident server on this machine, and reaches none"


class IdentMismatch(Refused):
    """Code 93: the ident server on this machine names another user."""

    summary = "the ident server on this machine names another user than the proxy was told"


_REASONS = {91: Rejected, 92: IdentUnreachable, 93: IdentMismatch}


class Socks4(Negotiation):
    """A negotiation with a SOCKS 4 or 4a proxy.

    Args:
        host: an IPv4 address, or with `names` a name.
        port: 1 to 65535.
        user: the user's name, which the proxy believes or compares with what ident says; it has no secret.
        names: whether the proxy knows 4a, and so resolves names.

    Raises:
        Unsendable: the target or the user cannot be said in this protocol.
    """

    def __init__(self, host: Host, port: int, user: bytes = b"", *, names: bool = True) -> None:
        where, port = target(host, port)
        if len(user) > LONGEST_USER or b"\0" in user:
            raise Unsendable(f"a user name for SOCKS 4 has at most {LONGEST_USER} bytes, and no NUL")
        name = b""
        if isinstance(where, str):
            if not names:
                raise Unsendable(f"SOCKS 4 knows no names, only IPv4 addresses; {where[:60]!r} needs 4a or 5")
            # An address that cannot exist says that a name follows.
            name, packed = where.encode("ascii") + b"\0", b"\0\0\0\1"
        elif isinstance(where, IPv4Address):
            packed = where.packed
            if packed[:3] == b"\0\0\0":
                raise Unsendable(f"{host} is no address that SOCKS 4 can say")
        else:
            raise Unsendable(f"SOCKS 4 knows no IPv6; {host} needs version 5")
        super().__init__(b"\4\1" + port.to_bytes(2, "big") + packed + user + b"\0" + name, self._reply)

    def _reply(self) -> Event | None:
        # Version and code decide before the rest is there: a liar is not waited for.
        if self._buffer[0] != 0:
            raise NoProxy("its reply does not begin like one of SOCKS 4")
        if len(self._buffer) > 1 and self._buffer[1] != _GRANTED:
            code = self._buffer[1]
            raise _REASONS.get(code, Refused)(code)
        if len(self._buffer) < _REPLY:
            return None
        reply = self._take(_REPLY)
        return self._granted((IPv4Address(reply[4:]), int.from_bytes(reply[2:4], "big")))
