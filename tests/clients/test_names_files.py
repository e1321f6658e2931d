"""hosts(5) and resolv.conf(5): what is read of them, when, and what cannot hurt."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from netguard.clients import names_files
from netguard.clients.names_files import Watched, parse_hosts, parse_servers

HOSTS = """
# a comment
127.0.0.1   localhost loopback   # and another
::1         localhost ip6-localhost
192.0.2.1   Mail.Example. mail
192.0.2.1   later.example
192.0.2.2   bad!name good.example
::ffff:192.0.2.3 mapped.example
fe80::1%eth0 zoned.example
not-an-address x.example
192.0.2.4
"""


def test_hosts() -> None:
    """The first name of an address is its name; a name has all of its addresses."""
    hosts = parse_hosts(HOSTS.splitlines())
    names = {str(where): name for where, name in hosts.names.items()}
    assert names == {
        "127.0.0.1": "localhost",
        "::1": "localhost",
        "192.0.2.1": "mail.example",
        "192.0.2.2": "good.example",
        "192.0.2.3": "mapped.example",
        "fe80::1": "zoned.example",
    }
    assert hosts.addresses["localhost"] == {ip_address("127.0.0.1"), ip_address("::1")}
    assert hosts.addresses["later.example"] == {ip_address("192.0.2.1")}
    assert "x.example" not in hosts.addresses


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ["127.0.0.1"]),
        ("search example\noptions timeout:1\n", ["127.0.0.1"]),
        ("nameserver 192.0.2.53\n", ["192.0.2.53"]),
        ("nameserver 192.0.2.53\n\tnameserver ::1 \nnameserver 192.0.2.53", ["192.0.2.53", "::1"]),
        ("nameserver\nnameserver dns.example\n#nameserver 192.0.2.1\n;nameserver 192.0.2.2", ["127.0.0.1"]),
        ("nameserver fe80::1%eth0", ["fe80::1%eth0"]),
        ("".join(f"nameserver 192.0.2.{number}\n" for number in range(5)), ["192.0.2.0", "192.0.2.1", "192.0.2.2"]),
        ("nameserver6 ::1\nnameserver 192.0.2.1", ["192.0.2.1"]),
    ],
)
def test_servers(text: str, servers: list[str]) -> None:
    """Three at most, addresses only; without any, this machine's own."""
    assert parse_servers(text.splitlines()) == tuple((each, 53) for each in servers)


def watch(path: Path, clock: Clock) -> Watched[list[str]]:
    """Watch a file's lines."""
    return Watched(str(path), list, clock.seconds)


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    """But it is looked at only so often, and where it has not changed its content is the same object."""
    path, clock = tmp_path / "file", Clock()
    path.write_text("one")
    watched = watch(path, clock)
    first = watched.current()
    assert first == ["one"]
    path.write_text("another")
    clock.advance(4.9)
    assert watched.current() is first
    clock.advance(0.1)
    assert watched.current() == ["another"]
    second = watched.content
    clock.advance(60)
    assert watched.current() is second
    path.unlink()
    clock.advance(5)
    assert watched.current() == []
    path.write_text("back")
    clock.advance(5)
    assert watched.current() == ["back"]


def test_a_clock_that_is_set_back_does_no_harm(tmp_path: Path) -> None:
    """The file is looked at, then."""
    path, clock = tmp_path / "file", Clock()
    clock.advance(100)
    path.write_text("one")
    watched = watch(path, clock)
    path.write_text("another")
    clock.rightNow = 3.0
    assert watched.current() == ["another"]


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path, logged: Any) -> None:
    """Which is no error."""
    assert watch(tmp_path / "nothing", Clock()).current() == []
    assert logged.named("error") == []


@pytest.mark.parametrize("what", ["pipe", "directory", "large", "device"])
def test_what_cannot_be_used_changes_nothing_and_is_told_once(tmp_path: Path, logged: Any, what: str) -> None:
    """Above all, it does not stop the process: a pipe that nobody writes to would, for ever."""
    path, clock = tmp_path / "file", Clock()
    path.write_text("one")
    watched = watch(path, clock)
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"x" * (names_files._LARGEST + 1))
    for _ in range(3):
        clock.advance(5)
        assert watched.current() == ["one"]
    (event,) = logged.named("error")
    assert (event["path"], event["doing"]) == (str(path), "reading a file of names")
    assert event["reason"]


def test_the_largest_file_is_read_and_octets_are_no_trouble(tmp_path: Path) -> None:
    """What is not ASCII is no name."""
    path = tmp_path / "file"
    path.write_bytes(b"192.0.2.1 caf\xc3\xa9 \xff good.example\n" + b"#" * (names_files._LARGEST - 38))
    watched = Watched(str(path), parse_hosts, Clock().seconds)
    assert watched.current().names == {ip_address("192.0.2.1"): "good.example"}
