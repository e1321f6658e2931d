"""The steps of a look-up, for a person's eyes: what was asked and answered, all of it printable ASCII."""

from __future__ import annotations

from ipaddress import ip_address

from attrs import frozen

from netguard.clients.names_server import Asked
from netguard.clients.names_text import described
from netguard.nameservers import written
from netguard.verdict import Failure, Timeout
from netguard.wire.dns import AAAA, CNAME, NXDOMAIN, PTR, A, Name, Record, Reply

KINDS = {A: "A", AAAA: "AAAA", PTR: "PTR", CNAME: "CNAME"}

_CODES = {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED"}
_SHOWN = 16


@frozen
class Step:
    """One question of a look-up.

    Args:
        name: what was asked for.
        kind: the type of record.
        answers: what came, as it would stand in a zone file, 16 records at most.
        outcome: ``answered``, ``nothing``, ``no such name``, ``no answer``, ``no usable answer``, or ``failed`` and
            the server's code.
        server: who has answered, with its port; or the path of a file; or a dash.
        over: ``UDP``, ``TCP``, ``file`` or a dash.
        seconds: how long it took.
    """

    name: str
    kind: str
    answers: tuple[str, ...]
    outcome: str
    server: str = "-"
    over: str = "-"
    seconds: float = 0.0


def step_of(name: Name, kind: int, asked: Asked | Timeout, seconds: float) -> Step:
    """The step that a question was.

    Args:
        name: what was asked for.
        kind: the type of record.
        asked: what came of it.
        seconds: how long it took.
    """
    shown, taken = described(name), round(seconds, 6)
    answers: tuple[str, ...] = ()
    if isinstance(asked, Timeout):
        return Step(shown, KINDS[kind], answers, "no answer", seconds=taken)
    outcome = asked.outcome
    if isinstance(outcome, Reply):
        answers = tuple(map(_written, outcome.answers[:_SHOWN]))
    return Step(shown, KINDS[kind], answers, _outcome(outcome), written(asked.server), asked.over, taken)


def code_text(code: int) -> str:
    """A server's code, by name where it has a usual one."""
    return _CODES.get(code, f"code {code}")


def _outcome(outcome: Reply | Failure) -> str:
    if isinstance(outcome, Failure):
        code = outcome.rcode
        return "no usable answer" if code is None else f"failed ({code_text(code)})"
    if outcome.rcode == NXDOMAIN:
        return "no such name"
    return "answered" if outcome.answers else "nothing"


def _written(record: Record) -> str:
    value = record.value
    text = str(ip_address(value)) if isinstance(value, bytes) else described(value)
    return f"{described(record.owner)} {KINDS[record.kind]} {text}"
