"""The control socket's commands for a service that has workers: each is given to those whom it concerns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import Deferred

from netguard.process.commands import Call, Command, ControlError
from netguard.process.control_session import Rows
from netguard.process.operator import number, window
from netguard.process.rows import rank

if TYPE_CHECKING:
    from netguard.process.live_events import LiveEvents
    from netguard.workers.crew import Crew
    from netguard.workers.place import Place

Do = Callable[[Call], Any]


class Spreading:
    """Gives commands to workers.

    Args:
        crew: they.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._instead: Mapping[str, Callable[[Do, Call], Any]] = {
            "status": self.status,
            "connections": self.connections,
            "cut": self.cut,
            "penalties": self.penalties,
            "clear": self.clear,
            "limits set": self.set_limit,
            "events": self.events,
            "explain": self.explain,
        }

    def table(self, commands: Sequence[Command]) -> list[Command]:
        """The commands, of which some are given to the workers.

        Args:
            commands: what the parent would do by itself.
        """
        return [attrs.evolve(each, do=self._spread(each)) for each in commands]

    def _spread(self, command: Command) -> Do:
        instead, do = self._instead.get(command.name), command.do

        def spread(call: Call) -> Any:
            return do(call) if instead is None else instead(do, call)

        return spread

    async def status(self, do: Do, call: Call) -> Mapping[str, object]:
        """The sums, as they are now, and each worker's part of them."""
        await self._crew.collect()
        return {**do(call), "workers": [self._row(each) for each in self._crew.places]}

    def _row(self, place: Place) -> dict[str, object]:
        told = self._crew.sums.of(place.number)
        about: dict[str, object] = {"worker": place.number, "pid": None if place.worker is None else place.worker.pid}
        counted = {"connections": told.get("now", 0), "accepted": told.get("accepted", 0)}
        return {**about, "serves": place.serves, "silent": place.silent, **counted}

    async def _all(self, command: str) -> list[Mapping[str, Any]]:
        """What those answer who serve; who does not answer is an error, since the answer would not be whole."""
        answers, troubles = await self._crew.gather(command)
        if troubles:
            raise ControlError(troubles[0])
        return answers

    async def connections(self, _do: Do, call: Call) -> Mapping[str, object]:
        """Everybody's, in one list."""
        words = [f"{key}={value}" for key, value in call.keyed.items()]
        told = await self._all(" ".join(["connections", *words]))
        rows = [row for each in told for row in each["connections"]]
        for row in rows:
            row["worker"] = self._crew.owner(row["session"]) + 1
        pick, wanted = window(call)
        if "sort" in call.keyed or wanted:
            key = call.keyed.get("sort", "session")
            rows = pick(wanted or len(rows), rows, key=lambda row: rank(row, key))
        texts = [", ".join(map(json.dumps, rows[at : at + 50])) for at in range(0, len(rows), 50)]
        return {**{key: sum(each[key] for each in told) for key in ("total", "matching")}, "connections": Rows(texts)}

    def cut(self, _do: Do, call: Call) -> Deferred[Any]:
        """By whoever has it."""
        return self._crew.expel(number(call.words[0]))

    async def penalties(self, _do: Do, call: Call) -> Mapping[str, object]:
        """Everybody's."""
        most = number(call.keyed.get("most", "100"))
        rows = [row for each in await self._all(f"penalties most={most}") for row in each["penalties"]]
        return {"penalties": rows[:most]}

    async def clear(self, _do: Do, call: Call) -> Mapping[str, object]:
        """Wherever somebody is remembered."""
        answers = await self._crew.ask_all(f"clear {call.words[0]}")
        cleared = sum(told["cleared"] for good, told in answers if good)
        if not cleared and call.words[0] != "all":
            raise ControlError(f"nothing is known of {call.words[0][:60]!r}")
        return {"cleared": cleared}

    async def set_limit(self, do: Do, call: Call) -> Mapping[str, object]:
        """Here first, where it may be refused; then for everybody, those included who begin later."""
        option, value = call.words
        answer: Mapping[str, object] = do(call)
        self._crew.limits[option] = value
        await self._all(f"limits set {option} {value}")
        return answer

    def explain(self, _do: Do, call: Call) -> Deferred[Any]:
        """By whoever would meet that peer."""
        return self._crew.place_of(call.words[0]).ask(f"explain {call.words[0]}")

    def events(self, do: Do, call: Call) -> Deferred[dict[str, int]]:
        """The parent's, and all workers' that serve now, as they come."""
        done: Deferred[dict[str, int]] = do(call)
        live: LiveEvents = call.client.stream
        words = " ".join(["events", *call.words])
        questions = [each.follow(words, live.pass_on) for each in self._crew.places if each.serves]

        def over(outcome: dict[str, int]) -> dict[str, int]:
            for each in questions:
                each.lose()
            return outcome

        return done.addCallback(over)


def spread(crew: Crew | None, commands: Sequence[Command]) -> Sequence[Command]:
    """The commands of a service, with its workers if it has some.

    Args:
        crew: the workers, or None.
        commands: what the process itself does.
    """
    return commands if crew is None else Spreading(crew).table(commands)
