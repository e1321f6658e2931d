"""What is promised of the engine, with real Redis: an ACL user, TLS that is verified, and what it can say wrong."""

from __future__ import annotations

import signal
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from twisted.internet.protocol import Factory, Protocol

from netguard.fleet.ledger import AT_ONCE, BEGINNING, Answer, LedgerError, Letter
from netguard.fleet.redis import RedisLedger, _answer
from netguard.fleet.redis_url import RedisURL
from netguard.wire.resp import Reply
from tests.programs import LOOPBACK, free_port, needs
from tests.redisserver import PASSWORD, USER, redis, redis_with_tls, with_user

PATIENCE = 20.0
LETTER = Letter("aa", 30.0, state=b"state", news=b"news", gone=["bb"], learn=["cc"], follow={"dd": BEGINNING})


def _reactor() -> Any:
    from twisted.internet import reactor

    return cast("Any", reactor)


async def told(url: str, letter: Letter = LETTER) -> Answer:
    """One exchange over a connection of its own."""
    ledger = RedisLedger(RedisURL.parse(url), _reactor())
    try:
        return await ledger.exchange(letter).addTimeout(PATIENCE, _reactor())
    finally:
        ledger.close()


async def refused(url: str) -> str:
    """Why an exchange is not possible."""
    with pytest.raises(LedgerError) as found:
        await told(url)
    return str(found.value)


@needs("redis-server")
async def test_as_a_user_who_may_do_nothing_else(tmp_path: Path) -> None:
    """The rights that the documentation names are enough for all that is ever asked for; others are refused."""
    with redis(tmp_path, *with_user(tmp_path)) as server:
        mine = f"redis://{USER}:{PASSWORD}@{LOOPBACK}:{server.port}/2?name=mail"
        answer = await told(mine)
        assert answer.machines == ["aa"]
        assert answer.position is not None
        assert await refused(mine.replace("name=mail", "name=other")) in (
            "it refuses: NOPERM this user has no permissions to access one of the keys used as arguments",  # Redis 7
            "it refuses: NOPERM No permissions to access a key",  # Valkey 8
        )
        assert await refused(mine.replace(PASSWORD, "wrong")) == "it refuses: WRONGPASS"
        assert (await refused(f"redis://{LOOPBACK}:{server.port}")).startswith("it refuses: NOAUTH")
        assert (await refused(f"{mine}&x=1".replace("/2", "/99").replace("&x=1", ""))).startswith("it refuses: ERR")


@needs("redis-server")
async def test_tls_is_verified_and_a_certificate_shown(tmp_path: Path) -> None:
    """By the authority and the name that are given; whoever else answers is not believed."""
    with redis_with_tls(tmp_path) as (_, port, ca, client):
        good = f"rediss://{LOOPBACK}:{port}/0?ca={ca}&certificate={client}"
        assert (await told(good)).machines == ["aa"]
        assert (await told(good.replace(LOOPBACK, "localhost"))).machines == ["aa"]
        stranger = tmp_path / "stranger.pem"
        trustme.CA().cert_pem.write_to_path(stranger)
        assert "certificate verify failed" in await refused(good.replace(str(ca), str(stranger)))
        assert "certificate verify failed" in await refused(f"rediss://{LOOPBACK}:{port}/0?certificate={client}")
        assert await refused(f"rediss://{LOOPBACK}:{port}/0?ca={ca}")
        assert await refused(good.replace(f"{LOOPBACK}:", "127.0.0.2:"))


@needs("redis-server")
async def test_a_connection_goes_on_and_is_made_anew_when_it_was_lost(tmp_path: Path) -> None:
    """Whoever ended it."""
    with redis(tmp_path) as server:
        ledger = RedisLedger(RedisURL.parse(server.url()), _reactor())

        async def ask() -> Answer:
            return await ledger.exchange(LETTER).addTimeout(PATIENCE, _reactor())

        await ask()
        await ask()
        assert len(server.ask("CLIENT", "LIST", "TYPE", "normal").splitlines()) == 2  # and redis-cli
        server.ask("CLIENT", "KILL", "TYPE", "normal")
        with pytest.raises(LedgerError, match="the connection is over"):
            await _again_and_again(ask)
        await ask()
        ledger.close()
        await ask()
        server.send(signal.SIGSTOP)
        waiting = ledger.exchange(LETTER)
        ledger.close()
        with pytest.raises(LedgerError, match="given up"):
            await waiting
        server.send(signal.SIGCONT)
        await ask()
        ledger.close()


async def _again_and_again(ask: Callable[[], Awaitable[object]]) -> None:
    while True:
        await ask()


@needs("redis-server")
async def test_nothing_stays_for_ever(tmp_path: Path) -> None:
    """Every key expires; there are three kinds, and all begin alike."""
    with redis(tmp_path) as server:
        await told(server.url("name=mail"))
        keys = server.ask("KEYS", "*").split()
        assert sorted(keys) == ["netguard:mail:machines", "netguard:mail:news:aa", "netguard:mail:state:aa"]
        assert all(0 < int(server.ask("PTTL", key)) <= 240_000 for key in keys)


async def test_nobody_there(tmp_path: Path) -> None:
    """One line says so."""
    assert (await refused(f"redis://{LOOPBACK}:{free_port()}")).startswith("it cannot be reached: ")
    assert "it cannot be reached" in await refused("redis://name.invalid")


async def test_it_can_be_given_up_while_it_connects() -> None:
    """Nothing is left of it."""
    ledger = RedisLedger(RedisURL.parse(f"redis://{LOOPBACK}:{free_port()}"), _reactor())
    waiting = ledger.exchange(LETTER)
    ledger.close()
    with pytest.raises(LedgerError):
        await waiting
    ledger.close()


# what is no Redis


@contextmanager
def behind(answer: Callable[[Any], None]) -> Iterator[int]:
    """A server that does this with each connection."""

    class Server(Protocol):
        def connectionMade(self) -> None:
            answer(self.transport)

    port: Any = _reactor().listenTCP(0, Factory.forProtocol(Server), interface=LOOPBACK)
    try:
        yield port.getHost().port
    finally:
        port.stopListening()


def chargen(transport: Any, line: bytes) -> None:
    """Send a line without end, as fast as it is taken."""

    class Endless:
        def resumeProducing(self) -> None:
            transport.write(line * max(1, 65_536 // len(line)))

        def stopProducing(self) -> None:
            """The other side has had enough."""

    transport.registerProducer(Endless(), False)


@pytest.mark.parametrize(
    "line",
    [
        b" !\"#$%&'()*+,-./0123456789\r\n", b"+OK\r\n", b":1\r\n", b"-x\r\n", b"$1048000\r\n", b"*9\r\n", b"\0", b"+",
        b"*1\r\n", b"\r\n", b"$1000000\r\n" + b"x" * 1_000_000 + b"\r\n",
    ],
)  # fmt: skip
async def test_a_chargen_costs_a_bounded_number_of_bytes_and_ends(line: bytes) -> None:
    """Whatever it is that comes without end, and however it resembles Redis."""
    with behind(lambda transport: chargen(transport, line)) as port:
        tracemalloc.start()
        reason = await refused(f"redis://{LOOPBACK}:{port}")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert reason.startswith(("what answers is no Redis: ", "it refuses: "))
    assert peak < 24 * 1024 * 1024


async def test_a_mail_server_and_one_that_says_nothing_more() -> None:
    """One line each."""
    with behind(lambda transport: transport.write(b"220 mail.example ESMTP\r\n")) as port:
        assert (await refused(f"redis://{LOOPBACK}:{port}")) == "what answers is no Redis: what came is no RESP2"
    with behind(lambda transport: transport.loseConnection()) as port:
        assert (await refused(f"redis://{LOOPBACK}:{port}")).startswith("the connection is over")
    with behind(lambda transport: transport.write(b"220 mail.example ESMTP\r\n")) as port:
        assert "wrong version number" in await refused(f"rediss://{LOOPBACK}:{port}")


JUNK: list[Reply] = [None, 1, b"", b"\xff\xfe", [], [None], [[]], [[b"k"]], [[b"k", None]], [[b"k", [[b"1-0"]]]]]


@pytest.mark.parametrize(
    "junk",
    [
        *JUNK,
        [[b"a:dd", [[b"x", [b"e", b"v"]]]]],
        [[b"a:dd", [[b"1-0", [b"f", b"v"]]]]],
        [[1, [[b"1-0", [b"e", b"v"]]]]],
    ],
)
def test_replies_of_another_form_are_passed_over(junk: Reply) -> None:
    """Wherever they stand."""
    answer = _answer([junk] * 9, LETTER)
    assert (answer.position, answer.news.get("dd", [])) == (None, [])
    assert all(isinstance(each, str) for each in answer.machines)
    assert all(isinstance(each, bytes) for each in answer.states.values())


def test_more_news_than_were_asked_for_are_not_taken() -> None:
    """What is kept is what was asked for."""
    stream: Reply = [[b"a:dd", [[b"%d-0" % number, [b"e", b"v"]] for number in range(9)]]]
    assert len(_answer([*[None] * 8, stream], LETTER).news["dd"]) == AT_ONCE
