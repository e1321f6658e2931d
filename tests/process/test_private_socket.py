"""Tests for netguard.process.private_socket: nobody else can open it, and nothing else is ever removed."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netguard.process.private_socket import PrivateSocket, SocketError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def place(tmp_path: Path) -> Iterator[PrivateSocket]:
    """A socket that may remove old ones."""
    made = PrivateSocket(tmp_path / "control", alone=True)
    yield made
    made.close()


def left_behind(path: Path) -> None:
    """What a process that was killed leaves."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_its_mode_is_never_another_one(place: PrivateSocket, mask: int) -> None:
    """Whatever the mask; a stricter one makes it stricter. Nothing changes the mode after bind, which made the name."""
    before = os.umask(mask)
    try:
        place.listen()
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.path.lstat().st_mode) == 0o600 & ~mask


def test_it_listens_and_its_name_goes_with_it(place: PrivateSocket) -> None:
    """It does not block; whoever is queued finds that it has gone."""
    sock = place.listen()
    assert not sock.getblocking()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place.path))
        place.close()
        with pytest.raises(ConnectionError):
            client.recv(1)
    assert not place.path.exists()


def test_a_name_that_was_left_to_another_is_not_taken_away(place: PrivateSocket) -> None:
    """Not even when the other takes it while this one ends: nobody would find that again."""
    place.listen()
    place.bequeath()
    place.close()
    assert place.path.exists()
    place.path.unlink()


def test_it_may_be_given_away(place: PrivateSocket) -> None:
    """To who the process will become; here, to ourselves."""
    place.listen(owner=(os.getuid(), -1))
    assert place.path.lstat().st_uid == os.getuid()


def test_what_a_dead_instance_left_is_removed_only_by_who_is_alone(tmp_path: Path) -> None:
    """The lock says so; without one, the operator has to."""
    path = tmp_path / "control"
    left_behind(path)
    with pytest.raises(SocketError, match=r"is in the way; only under a lock"):
        PrivateSocket(path, alone=False).listen()
    assert path.exists()
    place = PrivateSocket(path, alone=True)
    place.listen()
    place.close()


def test_a_socket_to_which_somebody_listens_stays(tmp_path: Path) -> None:
    """Even when nobody accepts there, and the queue is full."""
    path = tmp_path / "control"
    sock, first, second = (socket.socket(socket.AF_UNIX) for _ in range(3))
    with sock, first, second:
        sock.bind(str(path))
        sock.listen(0)
        for alone in (False, True):
            with pytest.raises(SocketError, match="somebody listens on the socket"):
                PrivateSocket(path, alone=alone).listen()
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(str(path))
        with pytest.raises(SocketError, match="somebody listens on the socket"):
            PrivateSocket(path, alone=True).listen()
        assert path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling"])
def test_what_is_no_socket_stays(tmp_path: Path, kind: str) -> None:
    """A mistyped path removes nothing, and nothing is reached through a link."""
    path, other = tmp_path / "control", tmp_path / "other"
    match kind:
        case "file":
            path.write_text("precious")
        case "folder":
            path.mkdir()
        case "link":
            left_behind(other)
            path.symlink_to(other)
        case _:
            path.symlink_to(other)
    with pytest.raises(SocketError, match="is in the way, and is no socket"):
        PrivateSocket(path, alone=True).listen()
    assert path.is_symlink() or path.exists()
    assert other.exists() == (kind == "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_socket_stays(tmp_path: Path) -> None:
    """It may be a trap."""
    path = tmp_path / "control"
    left_behind(path)
    os.chown(path, 65534, -1)
    with pytest.raises(SocketError, match="belongs to another user"):
        PrivateSocket(path, alone=True).listen()
    assert path.exists()


@pytest.mark.parametrize(("name", "why"), [("x" * 200, "too long"), ("no/where", "No such file or directory")])
def test_a_name_that_cannot_be_is_one_line(tmp_path: Path, name: str, why: str) -> None:
    """And leaves nothing open."""
    with pytest.raises(SocketError, match=why) as error:
        PrivateSocket(tmp_path / name, alone=True).listen()
    assert "\n" not in str(error.value)


def test_a_successors_socket_stays(tmp_path: Path) -> None:
    """Two instances that do not know each other: the name is the second one's by now."""
    path = tmp_path / "control"
    first, second = PrivateSocket(path, alone=True), PrivateSocket(path, alone=True)
    first.listen()
    path.unlink()
    second.listen()
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()
    second.close()


def test_one_that_follows_has_another_name_until_the_one_before_has_left(tmp_path: Path) -> None:
    """Who connects in between reaches the one before; what a failed follower has left behind is no hindrance."""
    before, after = (
        PrivateSocket(tmp_path / "ctl", alone=True),
        PrivateSocket(tmp_path / "ctl", alone=False, follows=True),
    )
    before.listen()
    failed = PrivateSocket(tmp_path / "ctl", alone=False, follows=True)
    failed.listen()
    assert failed.socket is not None
    failed.socket.close()
    after.listen()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(tmp_path / "ctl"))
        assert before.socket is not None
        before.socket.accept()[0].close()
    after.follow()
    before.close()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(tmp_path / "ctl"))
        assert after.socket is not None
        after.socket.accept()[0].close()
    assert [each.name for each in tmp_path.iterdir()] == ["ctl"]
    after.close()
    assert list(tmp_path.iterdir()) == []
