"""Which worker a peer belongs to: what the kernel does is what Python says."""

from __future__ import annotations

import socket
from collections import Counter
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as some

from netguard.packed import packed, peer_key, unpacked
from netguard.units import Prefix
from netguard.workers.sockets import opened, steer
from netguard.workers.steering import masks, program, worker_of

_WORD = 0xFFFFFFFF


def run(made: list[tuple[int, int, int, int]], packet: bytes) -> int:  # noqa: C901, PLR0912 - one case for each code
    """What a program of classic BPF returns for a packet's network header; only what programs of ours use."""
    a = x = at = 0
    kept = {0: 0}
    while True:
        code, true, false, k = made[at]
        at += 1
        place = k + 0x100000
        match code:
            case 0x30:
                a = packet[place]
            case 0x20:
                a = int.from_bytes(packet[place : place + 4])
            case 0x00:
                a = k
            case 0x61:
                x = kept[k]
            case 0x02:
                kept[k] = a
            case 0x54:
                a &= k
            case 0x74:
                a >>= k
            case 0x24:
                a = a * k & _WORD
            case 0x94:
                a %= k
            case 0xAC:
                a ^= x
            case 0x15:
                at += true if a == k else false
            case _:
                assert code == 0x16
                return a


def header(host: str) -> bytes:
    """As much of a packet's network header as is looked at."""
    address = ip_address(host).packed
    return b"\x45" + bytes(11) + address if len(address) == 4 else b"\x60" + bytes(7) + address


addresses = some.ip_addresses().map(str)


@given(addresses, some.integers(2, 64), some.integers(0, 32), some.integers(0, 128))
def test_the_program_says_what_python_says(host: str, workers: int, ipv4: int, ipv6: int) -> None:
    """For any peer, any number of workers, and any bits that make a peer."""
    prefix = Prefix(ipv4, ipv6)
    plain = unpacked(packed(host) or b"")  # a mapped address is an IPv4 packet
    assert run(program(workers, prefix), header(plain)) == worker_of(host, workers, prefix) < workers


@given(addresses, some.integers(2, 64), some.integers(0, 32), some.integers(0, 128))
def test_all_of_one_peer_are_one_workers(host: str, workers: int, ipv4: int, ipv6: int) -> None:
    """Whatever a guard counts as one peer."""
    prefix = Prefix(ipv4, ipv6)
    key = peer_key(packed(host), prefix)
    assert isinstance(key, bytes)
    assert worker_of(unpacked(key), workers, prefix) == worker_of(host, workers, prefix)


@pytest.mark.parametrize(
    ("hosts", "prefix"),
    [
        ([f"192.0.2.{n}" for n in range(256)], Prefix()),
        ([f"10.{n}.7.9" for n in range(256)], Prefix(16)),
        ([f"2001:db8:{n:x}:1::5" for n in range(256)], Prefix(32, 48)),
        ([f"2001:db8:0:{n:x}::5" for n in range(256)], Prefix()),
    ],
)
@pytest.mark.parametrize("workers", [2, 3, 4, 8])
def test_neighbours_are_spread(hosts: list[str], prefix: Prefix, workers: int) -> None:
    """No worker has more than one and a half times its share, nor less than half of it."""
    counted = Counter(worker_of(host, workers, prefix) for host in hosts)
    share = len(hosts) / workers
    assert set(counted) == set(range(workers))
    assert max(counted.values()) <= 1.5 * share
    assert min(counted.values()) >= 0.5 * share


def test_masks_are_whole_words() -> None:
    """From the left."""
    assert masks(32, 1) == [_WORD]
    assert masks(0, 1) == [0]
    assert masks(64, 4) == [_WORD, _WORD, 0, 0]
    assert masks(36, 4) == [_WORD, 0xF0000000, 0, 0]


@pytest.mark.parametrize(
    ("interface", "there"), [("127.0.0.1", "127.0.0.1"), ("", "127.0.0.1"), ("::", "127.0.0.1"), ("::", "::1")]
)
@pytest.mark.parametrize("workers", [2, 3])
def test_the_kernel_does_it(interface: str, there: str, workers: int) -> None:
    """Every connection of a peer comes to its worker's socket, on ports of one family and of both."""
    group = opened(interface, 0, 50, workers)
    prefix = Prefix()
    steer(group, program(workers, prefix))
    sources = ["::1"] if ":" in there else [f"127.0.0.{n}" for n in range(1, 9)]
    try:
        for source in sources * 3:
            expected = worker_of(source, workers, prefix)
            with socket.create_connection((there, group[0].getsockname()[1]), 5, (source, 0)) as caller:
                group[expected].settimeout(5)
                accepted, _ = group[expected].accept()
                with accepted:
                    assert accepted.getpeername()[1] == caller.getsockname()[1]
    finally:
        for each in group:
            each.close()
