"""What every service of netguard has besides its guards: a lock, a log, and so on. One concern is one module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.policy import Policy
    from netguard.process.inheritance import Inheritance
    from netguard.process.instance import SingleInstance
    from netguard.service import Service
    from netguard.workers.member import Member
    from netguard.workers.worker import Program


class Given(Protocol):
    """What concerns see of a plugin's options; each option by its name, as ``given["lock"]``.

    Attributes:
        parent: the options of twistd itself; None where there is no twistd.
        instance: the lock that lets one instance run, or None.
        inherited: what another instance has handed over, or None.
        member: the worker that this process is; None where it is none.
        crew: how workers are started, and how many; None where there are none.
        patience: seconds for which one of them may not answer.
        reloads: whether SIGHUP has files read again; it ends the process otherwise.
        looks: each looks at a file that is to be read again, in a thread, and raises what is wrong with it.
        policy: the guards, once the options have been parsed.
        surface: whose defaults hold for them.
    """

    parent: Any
    instance: SingleInstance | None
    inherited: Inheritance | None
    member: Member | None
    crew: tuple[Program, int] | None
    patience: float
    reloads: bool
    looks: list[Callable[[], object]]
    policy: Policy
    surface: ClassVar[str]

    def __getitem__(self, name: str) -> Any:
        """The value of an option, or its default."""


class Concern(Protocol):
    """What a module has to have, to stand in :data:`netguard.plugins.guard_options.CONCERNS`.

    Attributes:
        PARAMETERS: its options that take a value, as ``twisted.python.usage`` has them.
        FLAGS: those that take none.
    """

    PARAMETERS: list[list[Any]]
    FLAGS: list[list[Any]]

    def check(self, given: Given, /) -> None:
        """Look at what was given, before anything is made of it.

        Args:
            given: the options.

        Raises:
            UsageError: with one line, when it cannot be honoured.
        """

    def equip(self, service: Any, house: Service, given: Given, /) -> None:
        """Let a service that is about to be returned to twistd have it.

        Args:
            service: what ``makeService`` is about to return.
            house: what its guarded factories have in common.
            given: the options.
        """


def join(service: Any, companion: Any, *, before: bool = False) -> None:
    """Let another service join the same application, whenever a service does.

    Args:
        service: what ``makeService`` is about to return; nothing else of it changes.
        companion: starts behind it, and stops before it.
        before: the other way round: starts before it, and stops behind it.
    """
    join_alone = service.setServiceParent

    def join_both(parent: Any) -> None:
        if before:
            companion.setServiceParent(parent)
        join_alone(parent)
        if not before:
            companion.setServiceParent(parent)

    service.setServiceParent = join_both
