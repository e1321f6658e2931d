"""A POP3 machine with mail, and what it says; for tests of its modules."""

from __future__ import annotations

from dataclasses import dataclass

from netguard.wire import pop3_events as ev
from netguard.wire.pop3 import Pop3Machine

STAMP = b"<0123456789abcdef0123456789abcdef@mail.example>"
DIGEST = b"0123456789abcdef" * 2


@dataclass
class Mail:
    """A message as the machine sees one."""

    size: int
    uid: str


MAILS = [Mail(120, "a1"), Mail(200, "b2"), Mail(30, "c3")]


def new(*, secure: bool = False, stls: bool = False) -> Pop3Machine:
    """A machine before login."""
    machine = Pop3Machine(STAMP, stls=stls)
    machine.secure = secure
    return machine


def logged_in(mails: list[Mail] | None = None, *, secure: bool = False) -> Pop3Machine:
    """A machine after login."""
    machine = new(secure=secure)
    machine.receive(b"APOP u " + DIGEST + b"\r\n")
    machine.opened(MAILS if mails is None else mails)
    return machine


def drain(machine: Pop3Machine, data: bytes = b"") -> list[ev.Event]:
    """All events until the machine waits."""
    found = machine.receive(data)
    while more := machine.receive(b""):
        found = found + more
    return found


def played(machine: Pop3Machine, chunks: list[bytes]) -> list[object]:
    """All events of a session whose requests are all granted, listings as their text."""
    done: list[object] = []

    def act(events: list[ev.Event]) -> None:
        for event in events:
            if isinstance(event, ev.Listing):
                done.append(b"".join(event.pieces))
                act(machine.listed())
                continue
            done.append(event)
            if isinstance(event, ev.Apop | ev.Password):
                act(machine.opened(MAILS))
            elif isinstance(event, ev.Fetch):
                act(machine.fetched())
            elif isinstance(event, ev.Commit):
                act(machine.committed(0))

    for chunk in chunks:
        data = chunk
        while events := machine.receive(data):
            act(events)
            data = b""
    return done


def answers(events: list[ev.Event]) -> list[bytes]:
    """The answers among the events."""
    return [event for event in events if isinstance(event, bytes)]


def said(machine: Pop3Machine, command: bytes) -> bytes:
    """The one answer to a command."""
    (answer,) = answers(drain(machine, command + b"\r\n"))
    return answer
