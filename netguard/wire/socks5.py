"""SOCKS 5 (RFC 1928), client side: CONNECT, without a login or by user name and password (RFC 1929).

GSSAPI is not offered, and refused when a proxy chooses it all the same.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from netguard.wire.tunnel import (
    Event,
    Host,
    LoginRefused,
    Negotiation,
    NoAcceptableMethod,
    NoProxy,
    Refused,
    Unsendable,
    target,
)

_VERSION, _LOGIN_VERSION = 5, 1
_NO_LOGIN, _PASSWORD, _NONE = 0, 2, 0xFF
_IPV4, _NAME, _IPV6 = 1, 3, 4
_CONNECT = b"\5\1\0"
_LONGEST = 255


class GeneralFailure(Refused):
    """Code 1: something is wrong with the proxy."""

    summary = "the proxy has a general failure"


class NotAllowed(Refused):
    """Code 2: the proxy's rules do not allow the connection."""

    summary = "the proxy's rules do not allow a connection to the target"


class NetworkUnreachable(Refused):
    """Code 3."""

    summary = "the target's network cannot be reached from the proxy"


class HostUnreachable(Refused):
    """Code 4; also what many proxies say for a name that they cannot resolve."""

    summary = "the target cannot be reached from the proxy"


class TargetRefused(Refused):
    """Code 5: nothing listens at the target's port."""

    summary = "the target refused the connection"


class TtlExpired(Refused):
    """Code 6; in practice, that connecting took the proxy too long."""

    summary = "the proxy's way to the target is too long"


class CommandNotSupported(Refused):
    """Code 7: the proxy knows no CONNECT."""

    summary = "the proxy does not know the command to connect"


class AddressNotSupported(Refused):
    """Code 8: the proxy does not take this kind of address."""

    summary = "the proxy does not take this kind of address"


_REASONS: dict[int, type[Refused]] = {
    1: GeneralFailure,
    2: NotAllowed,
    3: NetworkUnreachable,
    4: HostUnreachable,
    5: TargetRefused,
    6: TtlExpired,
    7: CommandNotSupported,
    8: AddressNotSupported,
}


class Socks5(Negotiation):
    """A negotiation with a SOCKS 5 proxy.

    Args:
        host: an address, or a name, which the proxy resolves.
        port: 1 to 65535.
        login: user name, 1 to 255 bytes, and secret, at most as many; they are told only to a proxy that asks for them.
            None offers no login. RFC 1929 knows no empty secret, but proxies and their other clients do.

    Raises:
        Unsendable: the target or the login cannot be said in this protocol.
    """

    def __init__(self, host: Host, port: int, login: tuple[bytes, bytes] | None = None) -> None:
        where, port = target(host, port)
        self._request = _CONNECT + _packed(where) + port.to_bytes(2, "big")
        self._login = b""
        if login is not None:
            if not login[0] or any(len(each) > _LONGEST for each in login):
                raise Unsendable(f"a user name for SOCKS 5 has 1 to {_LONGEST} bytes, and a secret at most {_LONGEST}")
            self._login = b"\1" + b"".join(bytes([len(each)]) + each for each in login)
        super().__init__(b"\5\2\0\2" if self._login else b"\5\1\0", self._method)

    def _method(self) -> Event | None:
        """The proxy chooses a way to log in."""
        self._check_version()
        if len(self._buffer) < 2:  # noqa: PLR2004 - version and method
            return None
        method = self._take(2)[1]
        if method == _NONE:
            raise NoAcceptableMethod(method)
        if method == _PASSWORD and self._login:
            self._step = self._logged_in
            return self._login
        if method != _NO_LOGIN:
            raise NoProxy("it chose a login that was not offered")
        self._step = self._reply
        return self._request

    def _logged_in(self) -> Event | None:
        """The proxy takes the login or not."""
        # Some proxies say the version of SOCKS here.
        if self._buffer[0] not in {_LOGIN_VERSION, _VERSION}:
            raise NoProxy("its answer to the login has another version")
        if len(self._buffer) < 2:  # noqa: PLR2004 - version and status
            return None
        status = self._take(2)[1]
        if status != 0:
            raise LoginRefused(status)
        self._step = self._reply
        return self._request

    def _reply(self) -> Event | None:
        """The proxy has connected us or not."""
        self._check_version()
        if len(self._buffer) > 1 and self._buffer[1] != 0:
            code = self._buffer[1]  # what follows a failure is often left out: do not wait for it
            raise _REASONS.get(code, Refused)(code)
        size = self._size_of_reply()
        if size is None or len(self._buffer) < size:
            return None
        reply = self._take(size)
        return self._granted((_unpacked(reply[3], reply[4:-2]), int.from_bytes(reply[-2:], "big")))

    def _size_of_reply(self) -> int | None:
        """How long the reply is, address and port included; None while that is not known."""
        if len(self._buffer) < 5:  # noqa: PLR2004 - version, reply, reserved, type, and the length of a name
            return None
        lengths = {_IPV4: 4, _IPV6: 16, _NAME: 1 + self._buffer[4]}
        if self._buffer[3] not in lengths:
            raise NoProxy("its reply has an unknown type of address")
        return 4 + lengths[self._buffer[3]] + 2

    def _check_version(self) -> None:
        if self._buffer[0] != _VERSION:
            raise NoProxy("its answer has another version than 5")


def _packed(where: Host) -> bytes:
    if isinstance(where, str):
        return bytes([_NAME, len(where)]) + where.encode("ascii")
    return bytes([_IPV4 if isinstance(where, IPv4Address) else _IPV6]) + where.packed


def _unpacked(kind: int, address: bytes) -> Host:
    if kind == _NAME:
        return address[1:].decode("latin-1")
    return IPv4Address(address) if kind == _IPV4 else IPv6Address(address)
