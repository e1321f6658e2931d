"""The same dialogues through netguard-relay and through HAProxy: the same bytes, and, but for resets, the same ends."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from attrs import define, field, frozen

from tests.popserver import PATIENCE, serving
from tests.programs import LOOPBACK, free_port, needs, running

BIG = bytes(range(256)) * 20_000
LESS = BIG[:60_000]
FIN, RESET = "FIN", "reset"
CLIENT, SERVER = "client", "server"


@define
class End:
    """One end of a connection, on a blocking socket.

    Attributes:
        got: the bytes that came.
        end: how it ended: by a FIN, or by a reset.
    """

    socket: socket.socket
    got: bytearray = field(factory=bytearray)
    end: str = ""

    def say(self, data: bytes) -> None:
        """Send; the other side may have gone."""
        try:
            self.socket.sendall(data)
        except OSError:
            self.end = RESET

    def hear(self, count: int) -> None:
        """Read until so many bytes have come in all, or the end."""
        while not self.end and len(self.got) < count:
            self._read()

    def hear_all(self) -> None:
        """Read until the end."""
        while not self.end:
            self._read()

    def _read(self) -> None:
        try:
            more = self.socket.recv(65_536)
        except OSError:
            self.end = RESET
        else:
            self.got += more
            self.end = "" if more else FIN

    def finish(self) -> None:
        """Send a FIN, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@frozen
class Dialogue:
    """What both ends do, each on its own; then its socket is closed.

    Args:
        client: what the client does.
        server: what the server does.
        reset: whose connection netguard-relay resets, where HAProxy may close it in order.
        varies: whose connection HAProxy now closes in order, and now resets.
        loses: what the client sends, where HAProxy may lose the end of that; 2.6 does.
    """

    client: Callable[[End], object]
    server: Callable[[End], object]
    reset: str = ""
    varies: str = ""
    loses: bytes = b""


def does(*steps: tuple[str, object] | str) -> Callable[[End], None]:
    """The steps, one after another."""

    def do(end: End) -> None:
        for step in steps:
            if isinstance(step, str):
                getattr(end, step)()
            else:
                getattr(end, step[0])(step[1])

    return do


DIALOGUES = {
    "question and answer": Dialogue(
        does(("say", b"question"), ("hear", 6), "finish", "hear_all"),
        does(("hear", 8), ("say", b"answer"), "hear_all"),
    ),
    "the server speaks first": Dialogue(
        does(("hear", 5), ("say", b"hi"), "hear_all"), does(("say", b"hello"), ("hear", 2), ("say", b"bye"))
    ),
    "an answer behind the client's FIN": Dialogue(
        does(("say", BIG), "finish", "hear_all"), does("hear_all", ("say", BIG))
    ),
    "a client that goes on behind the server's FIN": Dialogue(
        does("hear_all", ("say", BIG), "finish"), does(("say", b"all of it"), "finish", "hear_all"), loses=BIG
    ),
    "both at once": Dialogue(
        does(("say", LESS), "finish", "hear_all"), does(("say", LESS[::-1]), "finish", "hear_all"), loses=LESS
    ),
    "a FIN alone": Dialogue(does("finish", "hear_all"), does("hear_all"), varies=SERVER),
    "a server that closes at once": Dialogue(does("hear_all"), does()),
    "a client that resets": Dialogue(
        does(("say", b"last words"), ("hear", 2), "reset"), does(("hear", 10), ("say", b"ok"), "hear_all"),
        reset=SERVER,
    ),
    "a server that resets": Dialogue(does(("say", b"question"), "hear_all"), does(("hear", 8), "reset"), reset=CLIENT),
    "a server that answers and resets": Dialogue(
        does(("say", b"question"), "hear_all"), does(("hear", 8), ("say", b"half an answer"), "reset"), reset=CLIENT
    ),
}  # fmt: skip


@contextmanager
def served(serve: Callable[[End], object]) -> Iterator[tuple[int, list[End]]]:
    """A server that has one dialogue for each connection; each in a thread of its own."""
    ends: list[End] = []
    threads: list[threading.Thread] = []
    with socket.create_server((LOOPBACK, 0)) as listening:

        def work(end: End) -> None:
            with end.socket:
                serve(end)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                connection.settimeout(PATIENCE)
                ends.append(End(connection))
                threads.append(threading.Thread(target=work, args=[ends[-1]], daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listening.getsockname()[1], ends
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join(PATIENCE)
        for each in threads:
            each.join(PATIENCE)


@contextmanager
def haproxy(folder: Path, target: int) -> Iterator[int]:
    """HAProxy, in one process."""
    port, ready = free_port(), free_port()
    config = folder / "haproxy.cfg"
    config.write_text(f"""
defaults
    mode tcp
    timeout connect 10s
    timeout client 30s
    timeout server 30s
listen it
    bind {LOOPBACK}:{port}
    server ours {LOOPBACK}:{target}
listen ready
    bind {LOOPBACK}:{ready}
""")
    with running("haproxy", "-db", "-f", str(config), cwd=folder, port=ready):
        yield port


@contextmanager
def relay(folder: Path, target: int, transport: str = "native") -> Iterator[int]:
    """netguard-relay."""
    words = ["--listen", f"tcp:0:interface={LOOPBACK}", "--to", f"tcp:{LOOPBACK}:{target}", "--transport", transport]
    with serving(*words, cwd=folder, service="netguard-relay") as server:
        yield server.ports()[0]


def heard(
    dialogue: Dialogue, through: Callable[[Path, int], AbstractContextManager[int]], folder: Path
) -> dict[str, tuple[bytes, str]]:
    """What each of both heard, and how that ended."""
    with (
        served(dialogue.server) as (target, ends),
        through(folder, target) as port,
        socket.create_connection((LOOPBACK, port), PATIENCE) as connection,
    ):
        client = End(connection)
        dialogue.client(client)
    (server,) = ends
    return {CLIENT: (bytes(client.got), client.end), SERVER: (bytes(server.got), server.end)}


@needs("haproxy")
@pytest.mark.parametrize("dialogue", DIALOGUES.values(), ids=DIALOGUES.keys())
@pytest.mark.parametrize("transport", ["native", "stock"])
def test_both_do_the_same(transport: str, dialogue: Dialogue, tmp_path: Path) -> None:
    """And where they do not, it is that a reset stays one, so that what was cut off does not look whole."""
    theirs = heard(dialogue, haproxy, tmp_path)
    ours = heard(dialogue, partial(relay, transport=transport), tmp_path)
    if dialogue.reset:
        theirs[dialogue.reset] = theirs[dialogue.reset][0], RESET
    if dialogue.varies:
        assert ours[dialogue.varies][1] == FIN
        theirs[dialogue.varies] = theirs[dialogue.varies][0], FIN
    if dialogue.loses:
        got, end = theirs[SERVER]
        assert dialogue.loses.startswith(got)
        theirs[SERVER] = dialogue.loses, end
    assert ours == theirs
