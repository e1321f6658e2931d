"""Who may come in: by address, and by a name that was verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netguard.errors import Denied, DeniedByFile, NameUnknown, OptionError, PrivilegedPort, Reason
from netguard.guard import LATER, Connection, Gate, Guard, House, Later, Newcomer, Opener, frozen
from netguard.options import choice, option
from netguard.rules import Decision, Rules, decide, read_rules, rules, rules_file
from netguard.verdict import Verdict, Verified, word

FIRST_FREE_PORT = 1024
"""Below it, a port needs privileges on UNIX."""


@frozen
class AccessRules(Guard):
    """Let in, or not, by rules of which the first that concerns the peer decides.

    When none does, the opposite of the last one holds. A rule never proves who somebody is, and none goes by a peer's
    port. Rules about names are about verified ones only, and a peer's name is looked up only where a rule needs it.

    Args:
        rules: rules such as ``allow 10.0.0.0/8`` and ``deny .bad.example``, in order.
        file: a file of rules, which come after those; it is read again when the service reloads its files, and what
            cannot be used then leaves the rules as they were.
        privileged_port: whether to ``allow``, ``log`` or ``refuse`` peers whose port is below 1024.
        names_fail: whether a peer whose name could not be found out, for nobody answered in time or the name servers
            failed, is refused where a rule needs the name (``closed``), or that rule does not concern it (``open``).
    """

    rules: Rules | None = option(
        "rules",
        rules,
        "Let in, or not, by the first of these rules that concerns the peer.",
        default=None,
        shorthands=("allow", "deny"),
    )
    file: str | None = option(
        "access", rules_file, "A file with more such rules, one on each line; reloaded with the service.", default=None
    )
    privileged_port: str | None = option(
        "privileged-port",
        choice("allow", "log", "refuse"),
        "What becomes of a peer whose port is below 1024, which proves nothing.",
        default=None,
    )
    names_fail: str = option(
        "names-fail",
        choice("closed", "open"),
        "Whether a peer whose name could not be found out is refused when a rule needs the name.",
        default="closed",
    )

    def install(self, house: House) -> Opener:
        """Read the rules, and again whenever the service reloads its files."""
        door = Door(self, house)
        if self.file is not None:
            house.when_reloaded(door.reload)
            house.when_reviewed(lambda connection: door.judge(connection, connection.cut))
        return Gate(door.closed, door.note if self.privileged_port == "log" else None, door.ask)


class Door:
    """Where the rules are applied.

    Args:
        guard: the guard.
        house: the service: its resolver, and its clock.

    Raises:
        OptionError: the file cannot be used, or a rule needs names and nobody looks them up.
    """

    def __init__(self, guard: AccessRules, house: House) -> None:
        self.guard = guard
        self.refuses_privileged = guard.privileged_port == "refuse"
        self.house = house
        self.reload()

    def reload(self) -> None:
        """Read the file again; connections see the old rules or the new, and never a mixture."""
        self.rules = self.read()
        self.reasons = dict[Decision, Reason]()  # one for each rule, since many may be refused for it

    def read(self) -> Rules:
        """All rules, in their order."""
        found = self.guard.rules or Rules()
        if self.guard.file is not None:
            found += read_rules(self.guard.file)
        if found.first_name is not None and self.house.names is None:
            why = "rules about names need look-ups, and nobody looks names up (explain: say --name)"
            raise OptionError(f"{Decision('ask', found.first_name).shown}: {why}")
        return found

    def closed(self, newcomer: Newcomer) -> Reason | Later | None:
        """Why a peer may not come in, or None; when it depends on its name, that has to be asked for first."""
        if self.refuses_privileged and _is_privileged(newcomer):
            return PrivilegedPort(FIRST_FREE_PORT, newcomer.port)
        decision = decide(self.rules, newcomer.packed)
        if decision.outcome == "allow":
            return None
        if decision.outcome == "ask":
            return LATER
        reason = self.reasons.get(decision)
        if reason is None:
            reason = self.reasons[decision] = self.reason(decision)
        return reason

    def note(self, connection: Connection) -> None:
        """Let the log say that the port is a privileged one."""
        if _is_privileged(connection):
            connection.learn(privileged=True)

    async def ask(self, connection: Connection) -> None:
        """Decide by the peer's name, and by the rules that held when the peer came."""
        if self.guard.privileged_port == "log":
            self.note(connection)
        await self.judge(connection, connection.refuse)

    async def judge(self, connection: Connection, sentence: Callable[[Reason], object]) -> None:
        """Decide by the rules of now, and by the peer's name where they need it."""
        listed = self.rules
        verdict: Any = connection.peer.name
        decision = decide(listed, connection.packed, verdict, names_fail=self.guard.names_fail)
        if decision.outcome == "ask":
            verdict = await self.house.names.verify(connection.host)
            connection.learn(name=verdict)
            decision = decide(listed, connection.packed, verdict, names_fail=self.guard.names_fail)
        if decision.outcome != "allow":
            sentence(self.reason(decision, verdict))

    def reason(self, decision: Decision, verdict: Verdict | None = None) -> Reason:
        """Say which rule it was, and what was seen, where that is not the address."""
        rule = decision.rule
        seen = verdict.name if isinstance(verdict, Verified) else None if verdict is None else word(verdict)
        if rule is None:
            return (Denied if self.guard.file is None else DeniedByFile)("none of them allows it", seen)
        observed = seen if rule.needs_name else None
        if decision.outcome == "failed":
            return NameUnknown(decision.shown, observed)
        return (DeniedByFile if rule.place else Denied)(decision.shown, observed)


def _is_privileged(newcomer: Newcomer) -> bool:
    return 0 < newcomer.port < FIRST_FREE_PORT
