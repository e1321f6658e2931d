"""The stand-in for every connection."""

from __future__ import annotations

import pytest

from netguard.plan import EMPTY, Memory
from netguard.recorder import NotAlikeError, Recorder
from netguard.taps import EVERY


def test_a_recorder_takes_what_is_alike_and_knows_nothing_else() -> None:
    """Every verb that sets something, and no fact."""
    recorder = Recorder(Memory())
    recorder.after(1, print)
    recorder.when_silent(2, print)
    recorder.when_stalled(3, print)
    recorder.when_received(4, print)
    recorder.when_sent(5, print)
    recorder.when_sent(6, print, held=True)
    recorder.settled(print)
    recorder.at_end(print)
    recorder.tap(print)
    assert [each.limit for each in recorder.plan.watches] == [1, 2, 3, 4, 5, 6]
    assert (recorder.plan.sent_mark, recorder.settlers, recorder.ends, recorder.looks) == (
        5,
        (print,),
        (print,),
        ((print, EVERY),),
    )
    assert EMPTY.watches == ()
    for name in ("host", "cut", "refuse", "pause", "untap", "received"):
        with pytest.raises(NotAlikeError):
            getattr(recorder, name)
