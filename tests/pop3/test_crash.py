"""Killed at any moment of UPDATE, the server has lost nothing that was not to be deleted, and the mailbox opens.

A child process runs the commit, and is killed (SIGKILL) before its first call of the operating system, then another
before its second, and so on until one comes to the end. What is on the disk after each is looked at from here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from twisted.internet.defer import maybeDeferred

from netguard.pop3.maildrop import MaildirOpener
from netguard.pop3.quota import NAME as QUOTA

if TYPE_CHECKING:
    from collections.abc import Iterator

CHILD = """
import os, shutil, signal, sys
from twisted.internet.defer import Deferred, maybeDeferred
from netguard.pop3.maildrop import MaildirOpener

folder, doing = sys.argv[1:]
CALLS = ["open", "close", "read", "write", "stat", "lstat", "fstat", "scandir", "unlink", "rename", "fsync", "fdopen"]

async def session(mailboxes, left):
    failures = []
    def mortal(real):
        def call(*args, **kwargs):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*args, **kwargs)
        return call
    drop = await MaildirOpener(mailboxes + "/{user}", in_thread=maybeDeferred).open("alice")
    if doing == "moved":
        for name in os.listdir(mailboxes + "/alice/new"):
            os.rename(f"{mailboxes}/alice/new/{name}", f"{mailboxes}/alice/cur/{name}:2,S")
    reading = await drop.read(1)
    while await reading.next():
        pass
    for name in CALLS:
        setattr(os, name, mortal(getattr(os, name)))
    await drop.commit([0, 2, 3, 5])
    drop.release()

def main():
    number, over = 0, False
    while not over:
        mailboxes = f"{folder}/{number}"
        shutil.copytree(f"{folder}/original", mailboxes)
        child = os.fork()
        if not child:
            Deferred.fromCoroutine(session(mailboxes, [number])).addErrback(lambda why: os._exit(3))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        over = status != -signal.SIGKILL
        number += 1
    print(number - 1, status)

main()
"""
NAMES = [f"{number}.x" for number in range(6)]
DELETED = {NAMES[index] for index in (0, 2, 3, 5)}
CONTENT = {name: f"Subject: {name}\n\nbody\n".encode() for name in NAMES}


@pytest.fixture(params=["still", "moved"])
def remains(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[Path]]:
    """The mailboxes that a server left which was killed at each of its calls in turn; the last was not killed.

    The first message has a lying size in its name, so that after the commit something is kept for the next session.
    """
    alice = tmp_path / "original" / "alice"
    for folder in ("tmp", "new", "cur"):
        (alice / folder).mkdir(parents=True)
    for number, name in enumerate(NAMES):
        lie = ",W=99" if number == 1 else ""
        (alice / ("new", "cur")[number % 2] / f"{name}{lie}").write_bytes(CONTENT[name])
    (alice / QUOTA).write_bytes(b"1000S\n100 6\n")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), request.param],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    count, status = map(int, done.stdout.split())
    assert (done.stderr, status) == ("", 0)
    yield [tmp_path / str(number) for number in range(count + 1)]
    shutil.rmtree(tmp_path)


async def test_a_crash_at_any_call_loses_nothing_else(remains: list[Path]) -> None:
    """Messages that stay are whole; those that go are there whole or gone; the next session serves what is there."""
    assert len(remains) > 20
    left_after = []
    for mailboxes in remains:
        reports: list[dict[str, object]] = []

        def report(_: str, fields: dict[str, object], to: list[dict[str, object]] = reports) -> None:
            to.append(fields)

        opener = MaildirOpener(f"{mailboxes}/{{user}}", in_thread=maybeDeferred, report=report)
        drop = await opener.open("alice")
        left = [message.name for message in drop.messages]
        assert set(NAMES) - DELETED <= set(left) <= set(NAMES)
        for index, name in enumerate(left):
            reading = await drop.read(index)
            assert await reading.next() == CONTENT[name].replace(b"\n", b"\r\n") + b".\r\n"
        assert await drop.commit(range(len(left))) == 0
        drop.release()
        assert [each["reason"] for each in reports] in ([], ["listed with 99 octets on the wire, but it has 22"])
        left_after.append(len(left))
        quota = [line.split() for line in (mailboxes / "alice" / QUOTA).read_text().splitlines()[1:]]
        assert all(int(size) and int(count) for size, count in quota)
    # Only forward, and to the end.
    assert left_after == sorted(left_after, reverse=True)
    assert (left_after[0], left_after[-1]) == (6, 2)
