"""A peer of TLS 1.3 that changes its keys in the middle of a stream (RFC 8446, section 4.6.3), as ``openssl`` does."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet.protocol import Protocol
from twisted.internet.threads import deferToThread

from netguard.testing.applications import Echo
from tests.native.conftest import WITHIN, Ground, until
from tests.native.test_secure import listen
from tests.programs import needs

pytestmark = [needs("openssl"), pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")]

THEIRS, OURS = (f"{way} TLS 1.3, Handshake [length 0005], KeyUpdate".encode() for way in (">>>", "<<<"))
MANY = 3_000_000
ODD = b"\xab"
"""What is in nothing that ``openssl`` says by itself."""


class Client:
    """An ``openssl s_client``: lines go to the server, but for K and k, which change its keys.

    Attributes:
        said: all that it has said.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        self.said = b""

    def type(self, line: bytes) -> None:
        """Type a line."""
        os.write(self._in, line + b"\n")

    def until(self, words: bytes, times: int = 1) -> None:
        """Wait until it has said something, as often as that."""
        end = time.monotonic() + 2 * WITHIN
        while self.said.count(words) < times:
            assert select.select([self._out], [], [], end - time.monotonic())[0], self.said[-2000:]
            data = os.read(self._out, 1 << 20)
            assert data, self.said[-2000:]
            self.said += data


@contextmanager
def client(port: Any, *words: str) -> Iterator[Client]:
    """One that is connected."""
    at = f"127.0.0.1:{port.getHost().port}"
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect", at, "-tls1_3", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield Client(process)
    finally:
        process.kill()
        process.communicate()


def between_lines(port: Any) -> bytes:
    """Change keys between lines; all that the client has said."""
    with client(port, "-msg") as it:
        it.type(b"one")
        it.until(b"\none")
        for number, command in enumerate((b"K", b"k", b"K", b"k"), 1):
            it.type(command)
            it.until(THEIRS, number)
            it.type(b"behind %d" % number)
            it.until(b"\nbehind %d" % number)
        return it.said


async def test_a_peer_changes_its_keys(ground: Ground) -> None:
    """Whether it wants us to change ours (K) or not (k): if it does, we do, and what follows is understood."""
    port = listen(ground, Echo)
    said = await deferToThread(between_lines, port)
    await until(lambda: not port.factory.population)
    assert said.count(OURS) == 2


class Flood(Protocol):
    """Answers with much."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """Send it."""
        for _ in range(100):
            self.transport.write(ODD * (MANY // 100))


def in_the_middle(port: Any) -> bytes:
    """Change keys while much comes; all that the client has said."""
    with client(port) as it:
        it.type(b"go")
        for number in range(10):
            it.until(ODD, number * MANY // 20 + 1)
            it.type(b"K" if number % 2 else b"k")
            it.until(b"KEYUPDATE", number + 1)  # of two lines that it reads together it takes one for a command
        it.until(ODD, MANY)
        return it.said


async def test_keys_change_while_much_is_sent(ground: Ground) -> None:
    """Nothing is lost, and nothing comes twice."""
    port = listen(ground, Flood)
    said = await deferToThread(in_the_middle, port)
    await until(lambda: not port.factory.population)
    assert said.count(ODD) == MANY
