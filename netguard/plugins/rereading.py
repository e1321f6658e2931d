"""The configuration file, read again while the service runs: what can change does, and what cannot is told.

The rules of this file:

* The whole file is understood before anything of it is used: a mistake changes nothing, and is one line with its place.
* What stands on the command line wins, as at the start.
* Only what has changed in the file is changed: a limit that an operator has set meanwhile stays otherwise.
* Listeners whose guards are the same count together, so they change together, or not before the next start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from netguard import config as files
from netguard.options import Dial, options_of

if TYPE_CHECKING:
    from netguard.guard import Guard
    from netguard.policy import Policy
    from netguard.service import Service as House

OFF = "off"


class Given(Protocol):
    """What is needed of a plugin's options."""

    config: files.Config

    def policy_of(self, listener: str | None, config: files.Config | None = None) -> Policy:
        """The guards of one listener, by a file."""


class Rereading:
    """Reads a configuration file again.

    Args:
        path: the file.
        given: the options.
        listeners: whose policies there are.
        house: what the guarded factories have in common.
    """

    def __init__(self, path: str, given: Given, listeners: Sequence[str | None], house: House) -> None:
        self._path = path
        self._given = given
        self._house = house
        self._policies = {each: given.policy_of(each) for each in listeners}
        self._before = {each: policy.options() for each, policy in self._policies.items()}

    def __call__(self) -> None:
        """Read it, and use what is new in it.

        Raises:
            OptionError: there is a mistake in it.
        """
        config = files.load(self._path)
        config.refuse_others([each for each in self._policies if each is not None])
        now = {each: self._given.policy_of(each, config).options() for each in self._policies}
        for flag in sorted({flag for texts in (*now.values(), *self._before.values()) for flag in texts}):
            self._compare(flag, now)

    def _compare(self, flag: str, now: Mapping[str | None, Mapping[str, str]]) -> None:
        wanted: dict[Any, set[str | None]] = defaultdict(set)
        changed: dict[Any, list[str | None]] = defaultdict(list)
        for listener, policy in self._policies.items():
            guard = _whose(flag, policy)
            text = now[listener].get(flag)
            wanted[guard].add(text)
            if text != self._before[listener].get(flag):
                changed[guard].append(listener)
        for guard, listeners in changed.items():
            before = self._before[listeners[0]].get(flag, OFF)
            text = now[listeners[0]].get(flag)
            dials = [each for each in self._house.dials if each.option.flag == flag and each.guard == guard]
            if dials and text is not None and len(wanted[guard]) == 1:
                self._change(flag, dials, text)
                for listener in listeners:
                    self._before[listener][flag] = text
            else:
                about = {"option": flag, "limit": before, "wanted": text or OFF}
                self._house.tell("restart_needed", about)

    def _change(self, flag: str, dials: Sequence[Dial], text: str) -> None:
        about = {"option": flag, "before": dials[0].text, "limit": text}
        for each in dials:
            each.set(text)
        self._house.tell("limit_changed", about)


def _whose(flag: str, policy: Policy) -> Guard | None:
    """The guard of a policy that has an option, or None."""
    return next((each for each in policy.guards if flag in {one.flag for one in options_of(type(each))}), None)
