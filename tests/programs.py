"""Real programs of others, for tests of any folder: servers for the time of a block, on loopback, in the foreground."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.popserver import PATIENCE, environment

LOOPBACK = "127.0.0.1"


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where a program is absent; servers may lie where not every user looks."""
    return pytest.mark.skipif(path_of(program) is None, reason=f"{program} is not installed")


def path_of(program: str) -> str | None:
    """Where a program is; None when it is absent."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


_FIRST, _LAST = 15_000, 32_767
_next = count(os.getpid() * 101)


def free_port() -> int:
    """A port that nobody has, none of those that the kernel gives to whoever wants any: nobody gets it meanwhile."""
    while True:
        port = _FIRST + next(_next) % (_LAST - _FIRST)
        with socket.socket() as free, suppress(OSError):
            free.bind((LOOPBACK, port))
            return port


@contextmanager
def running(*command: str, cwd: Path, port: int) -> Iterator[None]:
    """A server for the time of a block, once it listens; it stays in the foreground, and it ends with the block."""
    program, *words = command
    with (cwd / "output").open("ab") as output:
        process = subprocess.Popen(
            [path_of(program) or program, *words],
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            _wait_for(process, port, cwd / "output")
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _wait_for(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    end = monotonic() + PATIENCE
    while monotonic() < end and process.poll() is None:
        try:
            socket.create_connection((LOOPBACK, port), PATIENCE).close()
        except ConnectionRefusedError:
            sleep(0.02)
        else:
            return
    pytest.fail(f"it does not listen:\n{output.read_text()[-2000:]}")


def run(*command: str, home: Path, said: bytes = b"") -> bytes:
    """Run a program to its end, with a home of its own; returns its output."""
    ended = subprocess.run(
        command,
        input=said,
        capture_output=True,
        timeout=4 * PATIENCE,
        env=environment() | {"HOME": str(home), "FETCHMAILHOME": str(home)},
        check=False,
    )
    assert ended.returncode == 0, (ended.stderr + ended.stdout[-2000:]).decode(errors="replace")
    return ended.stdout


def private(path: Path, text: str) -> str:
    """A file that only its owner may read."""
    path.touch(0o600)
    path.write_text(text)
    return str(path)
