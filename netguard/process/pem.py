"""PEM files of certificates and keys: what is wrong with one is said in one line, with the file's name and the line.

The rules of this file:

* A private key is refused when everybody may read it or somebody else may write it, as ssh refuses one. Its
  group may read it: that is how distributions share keys with services (Debian's group ssl-cert).
* Symlinks are followed, as certificate managers lay them; what is no regular file is not read, and no file without end.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from typing import TYPE_CHECKING

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from netguard.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# A key and a long chain are some 20 KiB.
_LARGEST = 1024 * 1024
_BEGIN = re.compile(rb"^-----BEGIN ([A-Z0-9 ]+)-----", re.MULTILINE)


class TLSTrouble(OptionError):
    """A certificate or key that cannot be used. Its text is one line for the operator."""


@frozen
class Block:
    """One part of a PEM file.

    Args:
        label: what its first line says that it is.
        octets: all of it, from its first line on.
        where: its file and line, for a person.
    """

    label: str
    octets: bytes
    where: str


@frozen
class Pem:
    """What a PEM file holds.

    Args:
        path: where it lies.
        option: the option that named it.
        certificates: its certificates, in their order.
        keys: its private keys, not yet read.
    """

    path: Path
    option: str
    certificates: tuple[x509.Certificate, ...]
    keys: tuple[Block, ...]

    def trouble(self, what: str) -> TLSTrouble:
        """An error about this file."""
        return TLSTrouble(f"{self.option} {self.path}: {what}")


def read_pem(path: Path, option: str) -> Pem:
    """Read a PEM file.

    Args:
        path: the file.
        option: the option that named it, for what is said of it.

    Raises:
        TLSTrouble: it cannot be read, a certificate in it is damaged, or a key in it is open to others.
    """
    content, mode = _read(path, option)
    blocks = list(_blocks(content, f"{option} {path}"))
    keys = tuple(each for each in blocks if each.label.endswith("PRIVATE KEY"))
    if keys:
        _judge(path, option, mode)
    certificates = tuple(_certificate(each) for each in blocks if each.label.endswith("CERTIFICATE"))
    return Pem(path, option, certificates, keys)


def private_key(block: Block) -> PrivateKeyTypes:
    """Read a private key.

    Args:
        block: where it stands.

    Raises:
        TLSTrouble: it is damaged, or needs a passphrase.
    """
    try:
        return load_pem_private_key(block.octets, password=None)
    except TypeError:
        raise TLSTrouble(
            f"{block.where}: this private key needs a passphrase, and nobody is there to type it;"
            " 'openssl pkey' writes one without"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise TLSTrouble(
            f"{block.where}: this private key is damaged, or of a kind that OpenSSL does not know"
        ) from None


def _certificate(block: Block) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(block.octets)
        certificate.public_key()  # it is only looked at here
    except (ValueError, UnsupportedAlgorithm):
        raise TLSTrouble(f"{block.where}: this certificate is damaged") from None
    return certificate


def _blocks(content: bytes, file: str) -> Iterator[Block]:
    """The parts between BEGIN and END; what stands around them is comment."""
    for begin in _BEGIN.finditer(content):
        line = content.count(b"\n", 0, begin.start()) + 1
        where = f"{file}:{line}"
        end = b"-----END " + begin[1] + b"-----"
        at = content.find(end, begin.end())
        following = _BEGIN.search(content, begin.end())
        if at < 0 or (following is not None and following.start() < at):
            raise TLSTrouble(f"{where}: what begins here has no end (-----END {begin[1].decode()}-----)")
        yield Block(begin[1].decode(), content[begin.start() : at + len(end)] + b"\n", where)


def _read(path: Path, option: str) -> tuple[bytes, int]:
    try:
        # Without O_NONBLOCK a FIFO would hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise TLSTrouble(f"{option} {path}: {error.strerror}") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise TLSTrouble(f"{option} {path}: is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(_LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(content) > _LARGEST:
        raise TLSTrouble(f"{option} {path}: is larger than {_LARGEST} octets, so it is no certificate")
    return content, mode


def _judge(path: Path, option: str, mode: int) -> None:
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise TLSTrouble(
            f"{option} {path}: its private key is open to others (mode {stat.S_IMODE(mode):04o}, at most 0640);"
            f" run: chmod 600 {shlex.quote(str(path))}"
        )
