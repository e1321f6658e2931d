"""Which worker a peer belongs to: a program for the kernel, and the same in Python.

The sockets of one port are a group (``SO_REUSEPORT``, socket(7)), and a classic BPF program says which of them takes a
newcomer (``SO_ATTACH_REUSEPORT_CBPF``). It looks at the source address alone, and at as many bits of it as make one
peer. So all connections of a peer, whatever its port and ours, are one worker's, and whatever is counted by peer
(connections, rates, penalties) needs nothing that processes share.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING

from netguard.packed import packed

if TYPE_CHECKING:
    from netguard.units import Prefix

ATTACH = 51
"""``SO_ATTACH_REUSEPORT_CBPF``, which Python's socket has no name for."""

_NETWORK = -0x100000
"""``SKF_NET_OFF``: from here on, loads count from the packet's network header."""
_IPV4_SOURCE, _IPV6_SOURCE = 12, 8
_SPREAD, _HIGH = 0x9E3779B1, 16
"""Knuth's multiplicative hash: neighbours, and networks whose last bits are 0, are spread over all workers."""
_WORD = 0xFFFFFFFF
_IPV4_BYTES = 4

_LD_B, _LD_W, _LD_IMM, _LDX_MEM, _ST = 0x30, 0x20, 0x00, 0x61, 0x02
_AND, _RSH, _MUL, _MOD, _XOR_X = 0x54, 0x74, 0x24, 0x94, 0xAC
_JEQ, _RET_A = 0x15, 0x16

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, and the operand (``struct sock_filter``)."""


def masks(bits: int, words: int) -> list[int]:
    """What of each word of 32 bits of an address counts.

    Args:
        bits: how many leading bits make one peer.
        words: how many words the address has.
    """
    whole = (1 << bits) - 1 << words * 32 - bits
    return [whole >> 32 * (words - at - 1) & _WORD for at in range(words)]


def program(workers: int, prefix: Prefix) -> list[Instruction]:
    """The program: it returns the number of a socket of the group.

    Args:
        workers: how many there are.
        prefix: how many bits make one peer. An IPv4 peer of a port of both families is an IPv4 packet here, too.
    """
    end = [(_MUL, 0, 0, _SPREAD), (_RSH, 0, 0, _HIGH), (_MOD, 0, 0, workers), (_RET_A, 0, 0, 0)]
    ipv6 = [*_folded(_IPV6_SOURCE, masks(prefix.ipv6, 4)), *end]
    ipv4 = [*_folded(_IPV4_SOURCE, masks(prefix.ipv4, 1)), *end]
    return [(_LD_B, 0, 0, _NETWORK), (_RSH, 0, 0, 4), (_JEQ, 0, len(ipv6), 6), *ipv6, *ipv4]


def _folded(source: int, words: Sequence[int]) -> list[Instruction]:
    """Load the words that count, and fold them into one."""
    made: list[Instruction] = [(_LD_IMM, 0, 0, 0), (_ST, 0, 0, 0)]
    for at, mask in enumerate(words):
        if mask:
            made += [(_LD_W, 0, 0, _NETWORK + source + 4 * at), (_AND, 0, 0, mask)]
            made += [(_LDX_MEM, 0, 0, 0), (_XOR_X, 0, 0, 0), (_ST, 0, 0, 0)]
    return made


def attach(sock: socket.socket, made: Sequence[Instruction]) -> None:
    """Let a program decide for the group of a socket; it stays the group's for as long as that exists.

    Args:
        sock: any one of the group.
        made: the program.

    Raises:
        OSError: this kernel, or a sandbox, does not do it.
    """
    code = b"".join(struct.pack("=HBBI", each[0], each[1], each[2], each[3] & _WORD) for each in made)
    kept = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(socket.SOL_SOCKET, ATTACH, struct.pack("HL", len(made), ctypes.addressof(kept)))


def worker_of(host: str, workers: int, prefix: Prefix) -> int:
    """The place, from 0, of the worker that a peer belongs to.

    Args:
        host: its address.
        workers: how many there are.
        prefix: how many bits make one peer.
    """
    address = packed(host) or bytes(_IPV4_BYTES)
    words = struct.unpack(f"!{len(address) // 4}I", address)
    kept = masks(prefix.ipv4 if len(address) == _IPV4_BYTES else prefix.ipv6, len(words))
    folded: int = reduce(xor, (word & mask for word, mask in zip(words, kept, strict=True)))
    return ((folded * _SPREAD & _WORD) >> _HIGH) % workers
