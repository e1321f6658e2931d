"""Promise 8: no assumption about content. All bytes have a defined outcome, and none are raw in a log."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import pytest
from twisted.logger import globalLogPublisher

from netguard.events import as_json, as_text, emit, line_observer
from netguard.guards.byte_limit import ByteLimit
from netguard.policy import Policy, defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from tests.attacks.conftest import Site

    Serve = Callable[..., AbstractAsyncContextManager[Site]]

pytestmark = pytest.mark.filterwarnings("ignore:.*(pyOpenSSL|cryptography):DeprecationWarning")

EVERYTHING = Policy.from_options({**defaults("pop"), "max-item": "off", "max-in": "10MiB"}).guards

CONTENTS = {
    "nul": b"\0" * 5000,
    "bare-cr": b"\r" * 5000,
    "bare-lf": b"\n" * 5000,
    "eight-bit": bytes(range(256)) * 20,
    "escapes": b"\x1b[2J\x1b]0;owned\x07" * 300,
    "format": b"{0.__class__} %s %(x)n {log_source!r}\r\n" * 100,
    "utf-16": "\ufeff\u202egnp.exe\u2028".encode("utf-16") * 200,
    "random": random.Random(1).randbytes(5000),  # noqa: S311 - the same in every run
}


@pytest.fixture
def lines() -> Iterator[Callable[[], list[str]]]:
    """Everything that is logged, as text and as JSON, line by line."""
    out = io.StringIO()
    observers = [line_observer(out, write, verbose=True) for write in (as_text, as_json)]
    for each in observers:
        globalLogPublisher.addObserver(each)
    yield lambda: out.getvalue().splitlines()
    for each in observers:
        globalLogPublisher.removeObserver(each)


@pytest.mark.parametrize("content", CONTENTS)
async def test_any_bytes_reach_the_application_as_they_are(
    site: Serve, read: Any, lines: Callable[[], list[str]], content: str
) -> None:
    """And come back as they are; the log says nothing of them."""
    data = CONTENTS[content]

    def echo(subject: Any, piece: bytes) -> None:
        subject.transport.write(piece)
        if len(subject.got) == len(data):
            subject.transport.loseConnection()

    async with site(*EVERYTHING, came=echo) as here:
        peer = here.connect()
        peer.send(data)
        assert await read(peer) == data
        await here.end()
        assert bytes(here.subjects[0].got) == data
    assert all(line.isprintable() for line in lines())
    assert sum("closed client=127.0.0.1" in line for line in lines()) == 2


@pytest.mark.parametrize("content", CONTENTS)
async def test_garbage_instead_of_a_handshake_is_one_line(
    site: Serve, read: Any, lines: Callable[[], list[str]], content: str
) -> None:
    """A TLS port ends such a connection at once: no traceback, nothing of the garbage in the log or in the answer."""
    data = CONTENTS[content]
    async with site(*EVERYTHING, where="ssl") as here:
        peer = here.connect()
        peer.send(data)
        answer = await read(peer)
        took, why = await here.end()
        assert took < 5
        assert why is not None
        assert here.subjects[0].pieces == 0
        assert len(answer) < 100
        assert data[:20] not in answer
    told = [line for line in lines() if "closed client=127.0.0.1" in line]
    assert len(told) == 2
    assert all(line.isprintable() and len(line) < 2000 for line in lines())


@pytest.mark.parametrize("content", CONTENTS)
async def test_what_an_application_tells_of_a_peers_bytes_is_escaped_and_bounded(
    site: Serve, pause: Any, lines: Callable[[], list[str]], content: str
) -> None:
    """An event with foreign bytes in it stays one printable line, and formats nothing."""
    data = CONTENTS[content]

    def tell(_: object, piece: bytes) -> None:
        emit("malformed", {"client.address": "127.0.0.1", "reason": piece})

    async with site(came=tell) as here:
        here.connect().send(data)
        subject = await here.subject()
        for _ in range(500):
            if subject.got:
                break
            await pause(0.01)
    told = [line for line in lines() if "malformed" in line]
    assert len(told) >= 2
    assert all(line.isprintable() and len(line) < 6000 for line in lines())
    assert not any("<class" in line or "Logger" in line for line in told)


@pytest.mark.parametrize("delimiter", [b"\n", b"\r\n", b"\0", b"\n\n"])
async def test_items_are_found_in_any_bytes(site: Serve, pause: Any, delimiter: bytes) -> None:
    """Whatever else is between the delimiters, and however the network cuts it."""
    chance = random.Random(2)  # noqa: S311 - the same in every run
    items = [chance.randbytes(chance.randrange(200)).replace(delimiter[:1], b"?") for _ in range(500)]
    stream = delimiter.join([*items, b""])
    async with site(ByteLimit(item=200, delimiter=delimiter)) as here:
        peer = here.connect()
        for at in range(0, len(stream), 777):
            peer.send(stream[at : at + 777])
            await pause(0)
        subject = await here.subject()
        for _ in range(500):
            if len(subject.got) == len(stream):
                break
            await pause(0.01)
        assert bytes(subject.got) == stream
        assert not subject.ended.called
