"""A POP3 machine with mail, and what it says; for tests of its modules."""

from __future__ import annotations

from dataclasses import dataclass

from netguard.wire import otp, sasl, scram
from netguard.wire import pop3_events as ev
from netguard.wire.mechanisms import Circumstances
from netguard.wire.pop3 import Pop3Machine

STAMP = b"<0123456789abcdef0123456789abcdef@mail.example>"
DIGEST = b"0123456789abcdef" * 2


@dataclass
class Mail:
    """A message as the machine sees one."""

    size: int
    uid: str


MAILS = [Mail(120, "a1"), Mail(200, "b2"), Mail(30, "c3")]


def new(*, secure: bool = False, stls: bool = False, enabled: tuple[str, ...] = ()) -> Pop3Machine:
    """A machine before login, in circumstances that allow these mechanisms."""
    bindings = {"tls-exporter": bytes(32)} if secure else {}
    circumstances = Circumstances(enabled, secure=secure, bindings=bindings, certificate=secure)
    return Pop3Machine(STAMP, stls=stls, circumstances=circumstances, random=bytes, host="mail.example")


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
            done.append(b"".join(event.pieces) if isinstance(event, ev.Listing) else event)
            act(outcome(machine, event))

    for chunk in chunks:
        data = chunk
        while events := machine.receive(data):
            act(events)
            data = b""
    return done


def outcome(machine: Pop3Machine, event: ev.Event) -> list[ev.Event]:
    """What the machine says when a request is granted."""
    match event:
        case ev.Consult(_, question):
            return machine.answered(found(question))
        case ev.Disproved():
            return machine.denied(ev.Denial.CREDENTIALS)
        case ev.Commit():
            return machine.committed(0)
        case ev.Listing() | ev.Fetch():
            return machine.listed() if isinstance(event, ev.Listing) else machine.fetched()
    return machine.opened(MAILS) if isinstance(event, ev.LOGINS) else []


def found(question: sasl.Question) -> object:
    """An answer to a question: everybody is right by what needs one step, and nobody else."""
    if isinstance(question, sasl.FindVerifier):
        return scram.mock(b"secret", question.name, scram.LEAST_ITERATIONS)
    if isinstance(question, sasl.FindOtp):
        return otp.mock(b"secret", question.name)
    return question.name if isinstance(question.name, str) else question.name.decode("utf-8", "replace")


def answers(events: list[ev.Event]) -> list[bytes]:
    """The answers among the events."""
    return [event for event in events if isinstance(event, bytes)]


def said(machine: Pop3Machine, command: bytes) -> bytes:
    """The one answer to a command."""
    (answer,) = answers(drain(machine, command + b"\r\n"))
    return answer
