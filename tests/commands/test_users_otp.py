"""`netguard users otp`."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from typing import TYPE_CHECKING

import pytest

from netguard.accounts.store import Store
from netguard.commands.contract import Refusal
from netguard.wire import otp

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[str, str]]
    Secrets = Callable[[str], str]

PHRASE = "This is a test."


def chain(store: Store) -> otp.State:
    """Where alice's chain stands."""
    return otp.State.parse(store.secret("alice", "otp") or "")


@pytest.fixture(autouse=True)
def alice(store: Store) -> None:
    """The one user."""
    store.create()
    store.add("alice", {"apop": "x"})


@pytest.mark.parametrize(
    ("words", "count"), [((), 100), (("--count", "1"), 1), (("--count", "3", "--algorithm", "md5"), 3)]
)
def test_a_list_on_paper_works_from_top_to_bottom(run: Run, store: Store, words: tuple[str, ...], count: int) -> None:
    """Each line is the next one-time password, until none is left; nothing else of the user changes."""
    out, err = run("otp", "alice", *words)
    lines = [re.fullmatch(r" *(\d+) ((?:[A-Z]+ ){5}[A-Z]+)", line) for line in out.splitlines()]
    state = chain(store)
    assert [int(line[1]) for line in lines if line] == list(range(count, 0, -1))
    for line in lines:
        assert line
        assert state.challenge.split()[1] == line[1]
        spent = state.after(otp.from_words(line[2]) or b"")
        assert spent is not None
        state = spent
    assert state.left == 0
    assert f"alice has {count} new one-time passwords" in err
    assert store.secret("alice", "apop") == "x"


def test_a_pass_phrase_is_not_shown(run: Run, store: Store, secrets: Secrets) -> None:
    """Only what a generator has to know is: algorithm, number and seed."""
    out, err = run("otp", "alice", "--secret-file", secrets(PHRASE))
    state = chain(store)
    assert out == f"otp-sha1 499 {state.seed}\n"
    assert PHRASE not in err
    assert state.after(otp.generate("sha1", PHRASE.encode(), state.seed, 499)) is not None
    out, _ = run("otp", "alice", "--secret-file", secrets(PHRASE), "--count", "9998", "--algorithm", "md5")
    assert out.startswith("otp-md5 9998 ")


@pytest.mark.parametrize(("text", "why"), [("short", "10 to 63"), ("one phrase here\ntwo phrases", "2 lines for one")])
def test_what_is_no_pass_phrase_is_refused(run: Run, store: Store, secrets: Secrets, text: str, why: str) -> None:
    """And no chain begins."""
    with pytest.raises(Refusal, match=why):
        run("otp", "alice", "--secret-file", secrets(text))
    assert store.secret("alice", "otp") is None


def test_nobody_is_refused(run: Run) -> None:
    """With the nearest name."""
    with pytest.raises(Refusal, match="did you mean 'alice'"):
        run("otp", "alcie")


def test_who_is_removed_meanwhile_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was printed is then of no use, and that is an error."""
    monkeypatch.setattr(Store, "change", lambda *_: False)
    with pytest.raises(Refusal, match="no user 'alice'"):
        run("otp", "alice")


class Full(io.StringIO):
    """Standard output on a full disk."""

    def write(self, text: str) -> int:
        """Have no space."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_list_that_cannot_be_printed_is_not_in_force(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old chain still is."""
    run("otp", "alice")
    before = chain(store)
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="No space left"):
        run("otp", "alice")
    assert chain(store) == before
