"""What a flood would make too much of: some events are let through, the others are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, field

from netguard.events import emit

_Fields = Mapping[str, object] | Callable[[], Mapping[str, object]]


@define
class Sampler:
    """Lets some events of a flood through and counts the others, so that the log stays bounded and truthful.

    Args:
        seconds: the clock; it may be set, forwards or backwards.
        most: how many of one kind are let through in a second.
    """

    seconds: Callable[[], float]
    most: int = 10
    _kinds: dict[str, _Kind] = field(factory=dict, init=False)

    def emit(self, name: str, kind: str, fields: _Fields) -> None:
        """Emit the event, or count it towards the next of its kind.

        Args:
            name: a word of the vocabulary.
            kind: what is sampled together, such as the class of a refusal.
            fields: the fields of this event, or what makes them, which is called only for an event that is emitted;
                ``count`` is added.
        """
        now = self.seconds()
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = _Kind(now)
        if known.shown < self.most or known.is_over(now):
            known.show(now)
            held, known.held = known.held, 0
            emit(name, {**_made(fields), "count": held + 1})
        else:
            known.held += 1
            known.name, known.fields = name, fields

    @property
    def holding(self) -> bool:
        """Whether something was counted and not told."""
        return any(each.held for each in self._kinds.values())

    def flush(self) -> None:
        """Emit what was counted and not told, one line a kind; called at every sweep, and at the end."""
        now = self.seconds()
        for each in [*self._kinds.values()]:  # whoever hears of one may cause another
            if each.held and each.is_over(now):
                each.tell()

    def finish(self) -> None:
        """Emit everything that was counted and not told."""
        for each in [*self._kinds.values()]:
            if each.held:
                each.tell()


class _Kind:
    """What is sampled together.

    Args:
        began: when the present second began.

    Attributes:
        shown: how many were let through in it.
        held: how many were counted since, and not told; with the name and the fields of the last of them.
    """

    __slots__ = ("began", "fields", "held", "name", "shown")

    def __init__(self, began: float) -> None:
        self.began = began
        self.shown = self.held = 0
        self.name = ""
        self.fields: _Fields = {}

    def is_over(self, now: float) -> bool:
        """Whether the second is; also when the clock was set back, so that nothing stays untold until it catches up."""
        return not 0 <= now - self.began < 1

    def show(self, now: float) -> None:
        """One is let through, in this second or in a new one."""
        if self.is_over(now):
            self.began, self.shown = now, 0
        self.shown += 1

    def tell(self) -> None:
        """Emit what was held, as one line."""
        # The line stands for many: whose last one it was would mislead.
        fields = _made(self.fields)
        about = {key: value for key, value in fields.items() if not key.startswith(("client.", "session"))}
        held, self.held, self.fields = self.held, 0, {}
        emit(self.name, {**about, "count": held})


def _made(fields: _Fields) -> Mapping[str, object]:
    return fields() if callable(fields) else fields
