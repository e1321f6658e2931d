"""What an operator can ask of a running service, and have it do: the table of the control socket's commands."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from heapq import nlargest, nsmallest
from typing import TYPE_CHECKING, Any

from attrs import asdict
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from netguard.errors import Expelled
from netguard.options import Dial, options_of
from netguard.process.commands import Call, Command, ControlError
from netguard.process.control_session import Rows
from netguard.process.heartbeat import interval
from netguard.process.live_events import LiveEvents
from netguard.process.rows import SORTS, row
from netguard.process.vitals import Vitals
from netguard.units import count
from netguard.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from netguard.connection import Connection
    from netguard.service import Service

SLICE = 500
"""Connections that are looked at in one turn of the reactor; it takes a millisecond or two."""
DESCRIBED = 50
"""Connections that are described in one turn."""


class Operator:
    """Does what operators want.

    Args:
        house: the service.
        vitals: its figures.
        reactor: the reactor.
        more: further commands, of rooms above.
    """

    def __init__(self, house: Service, vitals: Vitals, reactor: Any, more: Sequence[Command] = ()) -> None:
        self._house = house
        self._vitals = vitals
        self._reactor = reactor
        self.commands: tuple[Command, ...] = (
            Command("status", "", "How the service is: its figures since it began.", self.status),
            Command(
                "connections",
                "[sort=KEY] [most=N] [least=N] [match=TEXT]",
                "The connections: every tally, and what each guard waits for; those with the most, or the least, of KEY"
                f" first, which is one of {', '.join(SORTS)}.",
                self.connections,
            ),
            Command("cut", "SESSION", "End one connection at once.", self.cut, changes=True),
            Command(
                "heartbeat",
                "[on|off|INTERVAL] [INTERVAL]",
                "Switch the heartbeat on or off, or change how often it comes; alone, say how it is.",
                self.heartbeat,
                changes=True,
            ),
            Command("drain", "", "Accept nobody more, let everybody finish, and end.", self.drain, changes=True),
            Command("reload", "", "Read certificates, accounts and rules again.", self.reload, changes=True),
            Command("penalties", "[most=N]", "The peers that have misbehaved lately.", self.penalties),
            Command(
                "clear", "ADDRESS", "Forget what a peer has done, or with 'all' everybody's.", self.clear, changes=True
            ),
            Command("limits", "", "Every option of the guards, and which can be set at run time.", self.limits),
            Command("limits set", "NAME VALUE", "Change a limit until the service ends.", self.set_limit, changes=True),
            Command("events", "[NAME] ...", "Events as they happen, until something is sent.", self.events),
            *more,
            Command("help", "", "These commands.", self.help),
        )

    def status(self, _call: Call) -> Mapping[str, object]:
        """The figures."""
        reading = asdict(self._vitals.read())
        reading["uptime"] = round(reading["uptime"], 3)
        totals = reading.pop("totals")
        drain = self._house.offers.get("drain")
        heart = self._house.offers.get("heartbeat")
        ledger = self._house.offers.get("ledger")
        return {
            "pid": os.getpid(),
            **{key: reading.pop(key) for key in ("uptime", "connections", "peak")},
            **{key: value for key, value in totals.items() if key not in ("refused", "cut")},
            "draining": getattr(drain, "began", None) is not None,
            "heartbeat": "off" if heart is None else heart.setting,
            "transports": dict(self._house.carriers),
            **reading,
            **({} if ledger is None else {"ledger": ledger.reading()}),
        }

    # connections

    async def connections(self, call: Call) -> Mapping[str, object]:
        """Some of them, or all, in slices: the others must not wait for that."""
        sort, match = call.keyed.get("sort"), call.keyed.get("match", "")
        if sort is not None and sort not in SORTS:
            raise ControlError(f"{sort[:40]!r} is no key to sort by: {', '.join(SORTS)}")
        pick, wanted = window(call)
        key = SORTS[sort or "session"]
        live = self._house.connections
        found: list[tuple[Any, int, Connection]] = []
        async for part in self._slices(live, SLICE):
            found += [(key(each), each.number, each) for each in part if match in f"{each.host} {each.number}"]
        chosen = pick(wanted or len(found), found, key=lambda each: each[:2]) if sort or wanted else found
        parts = self._slices([each for _, _, each in chosen], DESCRIBED)
        rows = [", ".join([json.dumps(row(each)) for each in part if each.state != "ended"]) async for part in parts]
        return {"total": len(live), "matching": len(found), "connections": Rows(filter(None, rows))}

    async def _slices(self, things: Sequence[Any], size: int) -> AsyncIterator[Sequence[Any]]:
        """Parts of a list, the reactor having had its turn before each but the first."""
        for at in range(0, len(things), size):
            if at:
                await deferLater(self._reactor, 0)
            yield things[at : at + size]

    def cut(self, call: Call) -> Mapping[str, object]:
        """End one."""
        session = number(call.words[0])
        found = next((each for each in self._house.connections if each.number == session), None)
        if found is None or not found.cut(Expelled()):
            raise ControlError(f"there is no session {session}")
        return {"cut": session}

    # the process

    def _offer(self, name: str) -> Any:
        found = self._house.offers.get(name)
        if found is None:
            raise ControlError(f"this service was started without {name}")
        return found

    def heartbeat(self, call: Call) -> Mapping[str, object]:
        """Switch it."""
        heart = self._offer("heartbeat")
        word, *rest = call.words or ("",)
        every = interval(rest[0]) if rest else None
        if word == "on":
            heart.on(every)
        elif rest:
            raise ControlError("write: heartbeat on INTERVAL")
        elif word:
            every = interval(word)
            heart.off() if every is None else heart.on(every)
        return {"heartbeat": heart.setting}

    def drain(self, _call: Call) -> Mapping[str, object]:
        """Begin."""
        self._offer("drain").begin()
        return {"draining": True, "connections": self._house.figures.now}

    def reload(self, _call: Call) -> Deferred[Mapping[str, object]]:
        """Read files again, and say what came of it."""
        done: Deferred[Mapping[str, object]] = self._offer("reload").reload().addCallback(_reloaded)
        return done

    # penalties

    def penalties(self, call: Call) -> Mapping[str, object]:
        """Who has misbehaved."""
        most = number(call.keyed.get("most", "100"))
        rows = [asdict(each) for ledger in self._house.penalties for each in ledger.rows(most)]
        return {"penalties": [{"peer": each.pop("key"), **each} for each in rows]}

    def clear(self, call: Call) -> Mapping[str, object]:
        """Forget somebody."""
        peer = None if call.words[0] == "all" else call.words[0]
        cleared = sum(ledger.clear(peer) for ledger in self._house.penalties)
        if not cleared and peer is not None:
            raise ControlError(f"nothing is known of {peer[:60]!r}")
        return {"cleared": cleared}

    # limits

    def limits(self, _call: Call) -> Mapping[str, object]:
        """Every option in force."""
        rows: dict[tuple[str, str], dict[str, object]] = {}
        for guard in (guard for factory in self._house.factories for guard in factory.guards):
            for one in options_of(type(guard)):
                dials = (each for each in self._house.dials if each.option.flag == one.flag and each.guard == guard)
                dial: Dial | None = next(dials, None)
                value = getattr(guard, one.field) if dial is None else dial.value
                if value is not None:
                    text = one.unit.text(value)
                    about = {"option": one.flag, "value": text, "guard": type(guard).__name__}
                    rows[one.flag, text] = {**about, "settable": dial is not None}
        return {"limits": list(rows.values())}

    def set_limit(self, call: Call) -> Mapping[str, object]:
        """Change one, wherever it holds."""
        flag, text = call.words
        dials: list[Dial] = [each for each in self._house.dials if each.option.flag == flag]
        if not dials:
            known = ", ".join(sorted({each.option.flag for each in self._house.dials})) or "none"
            raise ControlError(f"{flag[:40]!r} cannot be set while the service runs; what can: {known}")
        before = dials[0].text
        for each in dials:
            each.set(text)
        self._house.tell("limit_changed", {"option": flag, "before": before, "limit": dials[0].text})
        return {"option": flag, "value": dials[0].text, "before": before}

    # the rest

    def events(self, call: Call) -> Deferred[dict[str, int]]:
        """Show them, until the client sends something."""
        unknown = [each for each in call.words if each not in VOCABULARY]
        if unknown:
            raise ControlError(f"{unknown[0][:40]!r} is no event; the reference lists them")
        live = call.client.stream = LiveEvents(call.client.transport.write, call.words, self._reactor)
        return live.done

    def help(self, _call: Call) -> Mapping[str, object]:
        """The table."""
        return {"commands": [{"command": each.synopsis, "help": each.help} for each in self.commands]}


def window(call: Call) -> tuple[Callable[..., list[Any]], int | None]:
    """Which of the connections are wanted.

    Args:
        call: what was asked, perhaps with ``most`` or ``least``.

    Returns:
        What picks them, and how many; None for all.

    Raises:
        ControlError: it is both, or no number.
    """
    if {"most", "least"} <= call.keyed.keys():
        raise ControlError("write most=N or least=N")
    least = "least" in call.keyed
    text = call.keyed.get("least" if least else "most")
    return nsmallest if least else nlargest, None if text is None else number(text)


def _reloaded(troubles: Sequence[str]) -> Mapping[str, object]:
    if troubles:
        raise ControlError("; ".join(troubles))
    return {"reloaded": True}


def number(text: str) -> int:
    """A whole number, as an operator writes it.

    Args:
        text: the word.

    Raises:
        ControlError: it is none.
    """
    try:
        return int(count(text))
    except ValueError as why:
        raise ControlError(str(why)) from None
