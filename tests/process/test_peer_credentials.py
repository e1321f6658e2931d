"""Tests for netguard.process.peer_credentials: who is at the other end."""

from __future__ import annotations

import os
import socket

import pytest

from netguard.process.peer_credentials import Credentials, credentials


def test_the_kernel_says_who_connected() -> None:
    """Process, user and group."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert credentials(ours) == Credentials(os.getpid(), os.geteuid(), os.getegid())


def test_what_is_no_unix_socket_has_nobody() -> None:
    """The kernel says so, in one way or another; nobody is taken for root."""
    with socket.socket() as tcp:
        try:
            found = credentials(tcp)
        except OSError:
            return
        assert found.pid == 0
        assert found.uid == 2**32 - 1


def test_a_closed_socket_has_nobody() -> None:
    """It raises."""
    sock = socket.socket(socket.AF_UNIX)
    sock.close()
    with pytest.raises(OSError, match="descriptor"):
        credentials(sock)
