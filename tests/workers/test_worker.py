"""One worker as its parent sees it, with programs that are no service."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater

from netguard.workers import worker as module
from netguard.workers.assignment import VARIABLE
from netguard.workers.totals import memory
from netguard.workers.worker import Post, Program, Worker

reactor: Any = global_reactor

SAYS = """
import json, os, pathlib, socket, sys
told = json.loads(os.environ["NETGUARD_WORKER"])
line = socket.socket(fileno=told["lifeline"])
"""


async def run(folder: Path, program: str, hear: Any = None) -> Worker:
    """Run a program as a worker, to its end."""
    ended: list[str] = []

    def heard(who: Worker, word: str) -> None:
        ended.append(word)
        if hear is not None:
            hear(who, word)

    totals = memory(2)
    made = Worker(Post(2, 2, totals, [("127.0.0.1", 0, (totals, totals)), ("::1", 0, (totals,))]), reactor, heard)
    made.start(Program((sys.executable, "-c", SAYS + program), str(folder), {"HOME": "/"}), 1_000_002, {"idle": "5m"})
    while "ended" not in ended:
        await deferLater(reactor, 0.01)
    assert made.ended
    return made


@pytest.fixture
def cried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went to the parent's standard error."""
    said: list[str] = []
    monkeypatch.setattr(module, "cry", said.append)
    return said


@pytest.mark.usefixtures("cried")
async def test_it_is_told_what_it_is(tmp_path: Path) -> None:
    """And where it is: in the folder, with the environment, and with nothing else open."""
    program = """
fds = sorted(int(each) for each in os.listdir("/proc/self/fd"))[:-1]
pathlib.Path("told").write_text(json.dumps([told, fds, dict(os.environ), os.fstat(5).st_size]))
"""
    made = await run(tmp_path, program)
    told, descriptors, environment, size = json.loads((tmp_path / "told").read_text())
    assert (told["number"], told["workers"], told["first"]) == (2, 2, 1_000_002)
    assert told["limits"] == {"idle": "5m"}
    assert told["sockets"] == [["127.0.0.1", 0, [5, 6]], ["::1", 0, [7]]]
    assert descriptors[:6] == [0, 1, 2, told["lifeline"], told["totals"], 5]
    assert environment["HOME"] == "/"
    assert VARIABLE in environment
    assert size > 0
    assert made.reason == "it ended by itself"
    assert made.pid


@pytest.mark.usefixtures("cried")
async def test_it_says_that_it_serves_and_whom_it_has_cut(tmp_path: Path) -> None:
    """Words that nobody knows are nobody's."""
    words: list[Any] = []
    program = 'line.send(b"rea"); line.send(b"dy\\nhello\\ncut 3\\ncut off\\n"); os._exit(0)'
    made = await run(tmp_path, program, lambda who, word: words.append((word, who.ready)))
    assert words == [("ready", True), ("ended", True)]
    assert made.cut == 3


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("os._exit(3)", "status 3"),
        ("os.write(2, b'first\\nlast words\\n'); os._exit(1)", "status 1: last words"),
        ("os.kill(os.getpid(), 11)", "SIGSEGV"),
    ],
)
async def test_how_it_ended(tmp_path: Path, cried: list[str], program: str, reason: str) -> None:
    """With its last words, which are the parent's, too."""
    made = await run(tmp_path, program)
    assert made.reason == reason
    assert "".join(cried) == ("first\nlast words\n" if "words" in reason else "")


@pytest.mark.usefixtures("cried")
async def test_it_can_be_killed(tmp_path: Path) -> None:
    """Even twice; one that is gone is left alone."""

    def kill(who: Worker, _: str) -> None:
        who.kill()
        who.kill()

    made = await run(tmp_path, 'line.send(b"ready\\n"); line.recv(1)', kill)
    assert made.reason == "SIGKILL"


HANGS = """
import faulthandler, signal, time
faulthandler.register(signal.SIGQUIT, file=2, all_threads=False)
def inner():
    line.send(b"ready\\n"), time.sleep(60)  # on one line, whichever of both it is doing
def outer(): inner()
def deep(more): deep(more - 1) if more else outer()
exec(compile("\\n" * 6 + "deep(DEPTH)", "/somewhere/shop.py", "exec"))
"""


@pytest.mark.parametrize("depth", [0, 90])
async def test_one_that_hangs_says_where(tmp_path: Path, cried: list[str], depth: int) -> None:
    """Innermost first, however long its whole stack is; how it ended is another matter."""
    who: list[Worker] = []
    where: list[str] = []

    def show(made: Worker, word: str) -> None:
        if word == "ready":
            who.append(made)
            made.show_where()

    running = ensureDeferred(run(tmp_path, HANGS.replace("DEPTH", str(depth)), show))
    while "shop.py" not in "".join(cried):
        await deferLater(reactor, 0.01)
    where.append(who[0].where())
    where.append(who[0].where())
    who[0].kill()
    made = await running
    last = "deep (<string>:11)" if depth else "<module> (shop.py:7)"
    assert where == [f"inner (<string>:9) < outer (<string>:10) < deep (<string>:11) < {last}", ""]
    assert made.reason == "SIGKILL"


@pytest.mark.usefixtures("cried")
async def test_without_a_standard_output_it_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon's is closed."""
    monkeypatch.setattr(module, "_is_open", lambda _: False)
    await run(tmp_path, 'pathlib.Path("where").write_text(os.readlink("/proc/self/fd/1"))')
    assert (tmp_path / "where").read_text() == "/dev/null"


def test_what_is_open() -> None:
    """And what is not."""
    assert module._is_open(0)
    assert not module._is_open(987654)
