"""What a worker is told by its parent: which one it is, and which descriptors are what.

It stands in an environment variable that a worker removes at once: programs that it starts are no workers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, MutableMapping

from attrs import asdict, field, frozen

VARIABLE = "NETGUARD_WORKER"

Handed = tuple[str, int, tuple[int, ...]]
"""Where it was to be listened: interface and number, as they were written; and the descriptors of its sockets."""


def descriptors(handed: Iterable[Handed]) -> list[int]:
    """All of them, in their order."""
    return [each for _, _, ours in handed for each in ours]


@frozen
class Assignment:
    """One worker's.

    Args:
        number: which worker it is, from 1.
        workers: how many there are.
        first: the number of its first session; it counts in steps of ``workers``.
        lifeline: the descriptor of its connection to the parent.
        totals: that of the memory that all workers share.
        sockets: where it listens.
        limits: what an operator has set since the service began, by option.
    """

    number: int
    workers: int
    first: int
    lifeline: int
    totals: int
    sockets: tuple[Handed, ...]
    limits: Mapping[str, str] = field(factory=dict)

    @property
    def text(self) -> str:
        """For the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str]) -> Assignment | None:
        """Take it out of the environment; None where this is no worker.

        Args:
            environment: such as ``os.environ``.

        Raises:
            ValueError: somebody else has set the variable.
        """
        text = environment.pop(VARIABLE, None)
        if text is None:
            return None
        try:
            told = json.loads(text)
            told["sockets"] = tuple(
                (str(host), int(port), tuple(map(int, ours))) for host, port, ours in told["sockets"]
            )
            made = cls(**told)
            for each in (made.lifeline, made.totals, *descriptors(made.sockets)):
                os.set_inheritable(each, False)
        except (ValueError, TypeError, KeyError, OSError):
            raise ValueError(f"{VARIABLE} is for workers, whom their parent starts; unset it") from None
        return made
