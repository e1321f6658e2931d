"""The other end of the control socket, for programs that wait for each answer."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from netguard.process.commands import ControlError

PATIENCE = 30.0
"""Seconds after which a service that does not answer is called stuck."""


class LostError(ControlError):
    """The service has ended the connection, or itself."""


class ControlClient:
    """A connection to the control socket of a service; a context manager.

    Args:
        path: the socket.

    Attributes:
        path: the socket.

    Raises:
        ControlError: nobody can be reached there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(PATIENCE)
            self._socket.connect(path)
        except OSError as why:
            self._socket.close()
            raise ControlError(f"{path}: {why.strerror or why}") from None
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> ControlClient:  # noqa: PYI034 - no subclasses
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._lines.close()
        self._socket.close()

    def ask(self, words: Sequence[str]) -> dict[str, Any]:
        """Give a command, and wait for its answer.

        Args:
            words: the command and its arguments.

        Raises:
            ControlError: it cannot be carried out, or there is no answer.
        """
        self._send(words)
        return self._read()

    def watch(self, words: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Give a command whose answer goes on and on.

        Args:
            words: the command and its arguments.

        Raises:
            ControlError: it cannot be carried out, or the service has ended.
        """
        self._send(words)
        self._socket.settimeout(None)
        while True:
            yield self._read()

    def _send(self, words: Sequence[str]) -> None:
        for word in words:
            if not word.isascii() or not word.isprintable() or " " in word or not word:
                raise ControlError(f"{word[:40]!a} is no word of a command")
        try:
            self._socket.sendall(" ".join(words).encode() + b"\n")
        except OSError as why:  # it may have said why before it closed
            if not isinstance(why, BrokenPipeError | ConnectionResetError):
                raise ControlError(f"{self.path}: {why.strerror or why}") from None

    def _read(self) -> dict[str, Any]:
        return self._answer_of(self._lines.readline)

    def receive(self, words: Sequence[str], descriptors: list[int], most: int) -> dict[str, Any]:
        """Give a command that nothing was asked before, and whose answer brings descriptors along.

        Args:
            words: the command and its arguments.
            descriptors: where to put them; they belong to the caller, also when the command has failed.
            most: how many there may be.

        Raises:
            ControlError: it cannot be carried out, or there is no answer.
        """

        def line() -> bytes:
            got = b""
            while not got.endswith(b"\n"):
                more, came, _, _ = socket.recv_fds(self._socket, 4096, most)
                for each in came:
                    os.set_inheritable(each, False)
                descriptors.extend(came)
                if not more:
                    break
                got += more
            return got

        self._send(words)
        return self._answer_of(line)

    def _answer_of(self, line_of: Callable[[], bytes]) -> dict[str, Any]:
        try:
            line = line_of()
        except TimeoutError:
            raise ControlError(f"{self.path}: no answer within {PATIENCE:.0f}s; is the service stuck?") from None
        except OSError as why:
            kind = LostError if isinstance(why, ConnectionError) else ControlError
            raise kind(f"{self.path}: {why.strerror or why}") from None
        if not line:
            raise LostError(f"{self.path}: the service has closed the connection")
        try:
            answer: Any = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ControlError(f"{self.path}: what answers there is no service of netguard")
        if answer.get("ok") is False:
            raise ControlError(str(answer.get("error")))
        return answer
