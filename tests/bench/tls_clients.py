"""Clients of TLS that come and go, many at once: non-blocking, in the benchmark's own process.

They are pyOpenSSL's, since the OpenSSL that this brings makes handshakes in half the time of the one that Python's own
``ssl`` has on many machines. A client takes longer for a handshake than a server; one that is slow measures itself.
"""

from __future__ import annotations

import select
import socket
from typing import Any

import clients
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from OpenSSL import SSL

AT_ONCE = 16
_NAME = b"relay.example"
_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


def context(version: str) -> SSL.Context:
    """A client's TLS, of one version, with one cipher and one curve, so that all servers do the same work."""
    made = SSL.Context(SSL.TLS_METHOD)
    made.set_min_proto_version(_VERSIONS[version])
    made.set_max_proto_version(_VERSIONS[version])
    made.set_cipher_list(b"ECDHE-ECDSA-AES256-GCM-SHA384")
    made.set_tls13_ciphersuites(b"TLS_AES_256_GCM_SHA384")
    made.set_tmp_ecdh(SECP256R1())
    made.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # which would have each session used once
    return made


class _Client:
    """One connection: a handshake, one line there and back, and ``close_notify`` both ways."""

    session: Any = None

    def __init__(self, port: int, tls: SSL.Context, session: Any) -> None:
        self.socket = clients.connect(port)
        self.socket.setblocking(False)
        self._tls = SSL.Connection(tls, self.socket)
        self._tls.set_connect_state()
        self._tls.set_tlsext_host_name(_NAME)
        self._resumes = session is not None
        if self._resumes:
            self._tls.set_session(session)
        self._steps = [self._greet, self._heard, self._ended]

    def goes_on(self) -> bool:
        """Do what can be done now; whether there is more to be done."""
        try:
            while self._steps:
                self._steps[0]()
                del self._steps[0]
        except SSL.WantReadError:
            return True
        self.socket.close()
        return False

    def _greet(self) -> None:
        self._tls.do_handshake()
        if self._resumes and self._tls.get_verified_chain():  # who resumes is sent no certificate
            message = "the session was not resumed"
            raise RuntimeError(message)
        self._tls.send(clients.LINE)

    def _heard(self) -> None:
        if self._tls.recv(4096) != clients.LINE:
            message = "no echo"
            raise RuntimeError(message)
        self.session = self._tls.get_session()  # by now, tickets have come as well
        self._tls.shutdown()
        self.socket.shutdown(socket.SHUT_WR)

    def _ended(self) -> None:
        try:
            self._tls.recv(4096)
        except SSL.ZeroReturnError:
            return
        message = "more than an echo"
        raise RuntimeError(message)


def churn(port: int, times: int, version: str, *, resumes: bool) -> int:
    """So many connections, some at once.

    Args:
        port: the server's.
        times: how many.
        version: of TLS.
        resumes: whether each resumes the session of one before, but for the first ones.

    Returns:
        How many there were.
    """
    tls, poll, live = context(version), select.epoll(), dict[int, _Client]()
    session: Any = None
    begun = ended = 0
    while ended < times:
        while begun < times and len(live) < (AT_ONCE if session or not resumes else 1):
            each = _Client(port, tls, session)
            live[each.socket.fileno()] = each
            poll.register(each.socket, select.EPOLLIN)
            each.goes_on()
            begun += 1
        for number, _ in poll.poll(10):
            each = live[number]
            if not each.goes_on():
                del live[number]
                ended += 1
                session = each.session if resumes else None
    return ended
