"""A listening UNIX socket that nobody else can open, not even for a moment."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

MODE = 0o600
NEXT = ".next"
"""What stands behind the name for as long as another instance has it."""
_LONGEST = 107
"""Bytes of a path that fit into a socket's address (unix(7): 108 with the NUL at the end)."""


class SocketError(Exception):
    """The socket cannot be had. The text is one line for the operator."""


class PrivateSocket:
    """Listens, for as long as somebody wants; its name goes with it.

    The mode is set before the name exists, so there is no moment at which others could connect.

    Args:
        path: its name.
        alone: whether it is certain that no other instance of the service lives, so that a socket of that name to
            which nobody listens is an old one, and may be removed.
        follows: whether an instance listens there that will leave: then the name is another one until :meth:`follow`.

    Attributes:
        socket: the socket, once it listens.
    """

    def __init__(self, path: str | Path, *, alone: bool, follows: bool = False) -> None:
        self._wanted = Path(path)
        self.path = Path(f"{path}{NEXT}") if follows else self._wanted
        self.alone = alone
        self.socket: socket.socket | None = None
        self._place: tuple[int, int] | None = None

    def listen(self, owner: tuple[int, int] | None = None) -> socket.socket:
        """Listen.

        Args:
            owner: user and group to whom the name is to belong; who we are, unless given.

        Raises:
            SocketError: something else has that name, or it cannot be had.
        """
        if len(os.fsencode(self.path)) > _LONGEST:
            raise SocketError(f"the name of the socket {self.path} is too long, at most {_LONGEST} bytes")
        self._clear()
        sock = self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(sock.fileno(), MODE)  # on Linux, the name that bind makes has the mode of the socket
            sock.bind(str(self.path))
            about = self.path.lstat()
            self._place = (about.st_dev, about.st_ino)
            if owner is not None:
                os.chown(self.path, *owner, follow_symlinks=False)
            sock.listen(16)
            sock.setblocking(False)
        except OSError as why:
            self.close()
            raise SocketError(f"cannot listen on the socket {self.path}: {why.strerror or why}") from None
        return sock

    def _clear(self) -> None:
        """Make way: remove what an instance that died has left behind, and nothing else."""
        try:
            about = self.path.lstat()
        except OSError:  # it is not there, or bind says why it cannot be
            return
        if not stat.S_ISSOCK(about.st_mode):
            raise SocketError(f"{self.path} is in the way, and is no socket")
        if about.st_uid not in (0, os.geteuid()):
            raise SocketError(f"the socket {self.path} belongs to another user")
        if self._is_answered():
            raise SocketError(f"somebody listens on the socket {self.path} already")
        if not self.alone and self.path == self._wanted:
            raise SocketError(
                f"the socket {self.path} is in the way; only under a lock is it certain to be an old one:"
                " remove it, or use --lock"
            )
        with suppress(FileNotFoundError):
            self.path.unlink()

    def _is_answered(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self.path))
            except BlockingIOError:  # somebody listens, and is busy
                return True
            except OSError:
                return False
        return True

    def follow(self) -> None:
        """Have the name that was wanted, whoever has it.

        Raises:
            OSError: it cannot be had.
        """
        self.path.rename(self._wanted)
        self.path = self._wanted

    def bequeath(self) -> None:
        """Another instance takes the name, perhaps just when this one ends: from now on, it is not removed here."""
        self._place = None

    def remove(self) -> None:
        """Take the name away, if it is still this socket's."""
        place, self._place = self._place, None
        with suppress(OSError):  # its folder may be one that only root may write in; the next start removes it
            about = self.path.lstat()
            if (about.st_dev, about.st_ino) == place:
                self.path.unlink()

    def close(self) -> None:
        """Listen no more."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        self.remove()
