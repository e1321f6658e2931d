"""As lean a relay as Python can be: ``python tests/bench/raw_relay.py PORT BACKEND [PEM]``.

It has no guards, no log, no limits and no timers, holds nothing for a peer that is slow, and believes that each line
is sent by one call: a floor to compare with, and no relay. With a PEM file, TLS ends at it, on the descriptor.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from OpenSSL import SSL

_PLAIN = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_AT_ONCE = 4
_buffer = bytearray(65_536)
_view = memoryview(_buffer)


class Raw:
    """The relay.

    Args:
        port: where it listens.
        backend: the port that it relays to.
        pem: certificate and key, where TLS ends here.
    """

    def __init__(self, port: int, backend: int, pem: str | None = None) -> None:
        self._listening = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._listening.setblocking(False)
        self._listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._backend = ("127.0.0.1", backend)
        self._tls = None if pem is None else _context(pem)
        self._poll = select.epoll()
        self._do: dict[int, Callable[[], None]] = {}
        self._watch(self._listening, self._accept)

    def _watch(self, each: socket.socket, do: Callable[[], None]) -> None:
        self._do[each.fileno()] = do
        self._poll.register(each.fileno(), select.EPOLLIN)

    def run(self) -> None:
        """Relay for ever."""
        poll, do = self._poll.poll, self._do.get
        while True:
            for number, _ in poll():
                what = do(number)
                if what is not None:
                    what()

    def _accept(self) -> None:
        accept: Any = self._listening._accept  # type: ignore[attr-defined]
        for _ in range(_AT_ONCE):
            try:
                number, _ = accept()
            except BlockingIOError:
                return
            client = socket.socket(socket.AF_INET, _PLAIN, 0, number)
            client.setblocking(False)
            if self._tls is None:
                self._join(client)
            else:
                self._greet(client, SSL.Connection(self._tls, client))

    def _reach(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, _PLAIN)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.connect_ex(self._backend)  # on this machine, it is done when this returns
        return made

    def _forget(self, *ends: socket.socket) -> None:
        for each in ends:
            self._do.pop(each.fileno(), None)
            each.close()

    # without TLS

    def _join(self, client: socket.socket) -> None:
        ends = client, self._reach()
        finished: list[socket.socket] = []
        for source, sink in (ends, ends[::-1]):
            self._watch(source, self._way(source, sink, finished))
        self._do[client.fileno()]()  # what it says may have come

    def _way(self, source: socket.socket, sink: socket.socket, finished: list[socket.socket]) -> Callable[[], None]:
        receive, send = source.recv_into, sink.send

        def move() -> None:
            try:
                count = receive(_buffer)
                if count:
                    send(_view[:count])
                    return
            except BlockingIOError:
                return
            except OSError:  # a load that ends, ends all at once
                finished.append(source)
            if finished:
                self._forget(source, sink)
            else:
                finished.append(source)
                self._poll.unregister(source.fileno())
                with suppress(OSError):  # the backend has gone before
                    sink.shutdown(socket.SHUT_WR)

        return move

    # with TLS

    def _greet(self, client: socket.socket, tls: SSL.Connection) -> None:
        tls.set_accept_state()

        def shake() -> None:
            try:
                tls.do_handshake()
            except SSL.WantReadError:
                return
            except SSL.Error:
                self._forget(client)
                return
            self._join_inside(client, tls)

        self._watch(client, shake)

    def _join_inside(self, client: socket.socket, tls: SSL.Connection) -> None:
        backend = self._reach()

        def up() -> None:
            try:
                backend.send(tls.recv(16_384))
            except SSL.WantReadError:
                return
            except (OSError, SSL.Error):  # close_notify, as a rule
                with suppress(SSL.Error):
                    tls.shutdown()
                self._forget(client, backend)

        def down() -> None:
            try:
                data = backend.recv(65_536)
                if data:
                    tls.send(data)
                    return
            except (OSError, SSL.Error):
                pass
            self._forget(client, backend)

        self._do[client.fileno()] = up
        self._watch(backend, down)
        up()


def _context(pem: str) -> SSL.Context:
    made = SSL.Context(SSL.TLS_METHOD)
    made.use_certificate_chain_file(pem)
    made.use_privatekey_file(pem)
    made.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # tickets do
    made.set_session_id(b"raw")
    made.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
    return made


if __name__ == "__main__":
    Raw(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]).run()
