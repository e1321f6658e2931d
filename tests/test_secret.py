"""What is promised of secrets: nothing shows them by accident, and they can be overwritten where they lie."""

from __future__ import annotations

import copy
import ctypes
import gc
import json
import logging
import pickle
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger
from twisted.python.failure import Failure

from netguard.events import as_json, as_text, printable
from netguard.secret import Secret, WipedError, hidden, wipe_all

if TYPE_CHECKING:
    from collections.abc import Callable

HUSH = "correct horse battery"


@attrs.frozen
class Holder:
    """As settings hold one."""

    user: str
    secret: Secret


class Plain:
    """As any object does."""

    def __init__(self) -> None:
        self.secret = Secret(HUSH)


SHOWN: list[Callable[[Secret], object]] = [
    repr,
    str,
    ascii,
    "{}".format,
    "{!r}".format,
    "{:>40}".format,
    lambda secret: f"{secret:x}",
    lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - the old way, too
    lambda secret: [secret],
    lambda secret: {"a": (secret,)},
    lambda secret: Holder("joe", secret),
    lambda secret: attrs.asdict(Holder("joe", secret)),
    printable,
    dir,
    lambda secret: json.dumps({"secret": secret}, default=str),
    lambda secret: logging.LogRecord("x", 1, "x", 1, "%s", (secret,), None).getMessage(),
    lambda _: vars(Plain()),
]


@pytest.mark.parametrize("show", SHOWN)
def test_nothing_shows_it_by_accident(show: Callable[[Secret], object]) -> None:
    """Neither the text nor a part of it, nor its length."""
    text = str(show(Secret(HUSH)))
    for part in HUSH.split():
        assert part not in text
    assert str(show(Secret("x"))) == text.replace(str(len(HUSH)), "1") or str(len(HUSH)) not in text


def test_a_traceback_with_all_variables_has_none(logged: Any) -> None:
    """Twisted's, the most talkative there is, and Python's own; in a log, too."""

    def fail(secret: Secret) -> None:
        held = [secret, Holder("joe", secret)]
        raise ValueError(secret, held)

    backwards = HUSH[::-1]  # the module's own constant stands in such a traceback
    secret = Secret(backwards)
    del backwards
    try:
        fail(secret)
    except ValueError:
        failure = Failure(captureVars=True)
        text = failure.getTraceback(detail="verbose") + failure.getTraceback() + traceback.format_exc()
        Logger().failure("it failed with {secret}", secret=secret)
    logged.take_failures(ValueError)
    texts = [text, *(write(each) for each in logged.events for write in (as_text, as_json))]
    assert all("Secret(...)" in each for each in texts)
    assert not any(part[::-1] in each for each in texts for part in HUSH.split())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(protocol: int) -> None:
    """Nor anything that has one."""
    for each in (Secret(HUSH), Holder("joe", Secret(HUSH)), Plain()):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(each, protocol)


def test_a_copy_is_itself() -> None:
    """To be wiped in one place."""
    secret = Secret(HUSH)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


@pytest.mark.parametrize("value", [HUSH, HUSH.encode(), bytearray(HUSH.encode())])
def test_who_asks_gets_the_octets(value: Any) -> None:
    """Text as UTF-8; a bytearray is empty of it afterwards."""
    assert Secret(value).reveal() == HUSH.encode()
    if isinstance(value, bytearray):
        assert value == bytes(len(HUSH))


def test_what_is_one_already_stays_one() -> None:
    """For converters."""
    secret = Secret(HUSH)
    assert hidden(secret) is secret
    assert hidden(HUSH) == secret


@given(st.binary(), st.binary())
def test_equal_are_those_that_hide_the_same(one: bytes, other: bytes) -> None:
    """And their hashes; whatever is no secret is another thing."""
    assert (Secret(one) == Secret(other)) is (one == other)
    assert hash(Secret(one)) == hash(Secret(one))
    assert Secret(one) != one
    assert bool(Secret(one)) is bool(one)


def test_what_is_wiped_is_gone() -> None:
    """From the memory in which it lay; who asks again is told so."""
    secret = Secret(HUSH)
    size = len(HUSH)
    where = ctypes.addressof((ctypes.c_char * size).from_buffer(secret._octets))
    gc.collect()
    assert ctypes.string_at(where, size) == HUSH.encode()
    secret.wipe()
    assert ctypes.string_at(where, size) == bytes(size)
    secret.wipe()
    with pytest.raises(WipedError, match="has been wiped"):
        secret.reveal()
    assert (secret == Secret(bytes(size)), Secret(bytes(size)) == secret, secret == secret) == (False, False, True)  # noqa: PLR0124


def test_what_nobody_can_reach_is_overwritten() -> None:
    """As soon as nobody can."""
    secret = Secret(HUSH)
    octets = secret._octets
    del secret
    gc.collect()
    assert octets == bytes(len(HUSH))


def test_what_was_never_made_has_nothing_to_overwrite() -> None:
    """A wrong argument is a TypeError and no more."""
    wrong: Any = None
    with pytest.raises(TypeError):
        Secret(wrong)


def test_all_are_wiped_at_once() -> None:
    """Those that are equal, too. In a process of its own, since the tests have secrets."""
    code = (
        "from netguard.secret import Secret, wipe_all\n"
        "kept = [Secret('a'), Secret('a'), Secret('b')]; Secret('dropped')\n"
        "print(wipe_all(), [bytes(each._octets) for each in kept], wipe_all())\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == r"3 [b'\x00', b'\x00', b'\x00'] 3" + "\n"
    assert callable(wipe_all)
