"""The workers of a service, in real processes: who is served by whom, and what becomes of everybody when one ends."""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from pathlib import Path
from threading import Thread

import pytest

from netguard.units import Prefix
from netguard.workers.steering import worker_of
from tests.crewserver import PORT, Caller, crew, ctl, install, is_served, kill, lives, pids, start, until
from tests.popserver import PATIENCE, Server, assert_clean, environment

SOURCES = [f"127.0.0.{n}" for n in range(1, 9)]
QUIET = ["--max-per-peer", "off", "--max-connections", "off"]

pytestmark = pytest.mark.slow


def test_each_peer_has_its_worker(tmp_path: Path) -> None:
    """All its connections, of either family, on every port; both workers have some, and the parent serves nobody."""
    both = ("tcp:0:interface=127.0.0.1", "tcp:0:interface=\\:\\:")
    with crew(cwd=tmp_path, listen=both) as server:
        plain, dual = server.ports(2)
        workers = pids(server)
        answered = Counter[int]()
        for source in [*SOURCES, "::1"]:
            expected = workers[worker_of(source, 2, Prefix()) + 1]
            for port in (dual,) if ":" in source else (plain, dual):
                for _ in range(3):
                    with Caller(port, source) as caller:
                        assert caller.answerer == expected
                        answered[expected] += 1
        assert set(answered) == set(workers.values())
        assert server.process.pid not in workers.values()
        assert [each["transport"] for each in server.events("listening")] == ["native", "native"]


def test_the_limit_of_a_peer_is_exact(tmp_path: Path) -> None:
    """Whatever number of workers there is: its connections are all counted by one."""
    with crew("--max-per-peer", "3", cwd=tmp_path, workers=3) as server:
        (port,) = server.ports()
        for source in SOURCES[:4]:
            callers = [Caller(port, source) for _ in range(5)]
            assert [bool(each.answerer) for each in callers] == [True] * 3 + [False] * 2
            for each in callers:
                each.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_one_that_dies_loses_its_own_alone(tmp_path: Path, how: signal.Signals) -> None:
    """The others' go on; who comes meanwhile waits in the queue of its socket, and is served by the successor."""
    with crew(*QUIET, cwd=tmp_path) as server:
        (port,) = server.ports()
        workers = pids(server)
        mine = {number: [s for s in SOURCES if worker_of(s, 2, Prefix()) == number - 1] for number in workers}
        dying, staying = (Caller(port, mine[number][0]) for number in (1, 2))
        assert (dying.answerer, staying.answerer) == (workers[1], workers[2])
        until(lambda: ctl(tmp_path, "status")["workers"][0]["connections"] == 1)
        kill(workers[1], how)
        (told,) = server.wait_for("worker_ended")
        assert dying.say(b"still there?") == b""
        with Caller(port, mine[1][0]) as waiting, Caller(port, mine[2][0]) as newcomer:
            assert newcomer.answerer == workers[2]
            successor = waiting.answerer
            assert successor == pids(server, 3)[1] not in workers.values()
        assert staying.say(b"still there?") == b"still there?"
        assert (told["worker"], told["pid"], told["again"], told["connections"]) == (1, workers[1], 0.1, 1)
        assert told["reason"] == how.name
        dying.close()
        staying.close()


def test_the_total_is_exact_to_one_connection_a_worker(tmp_path: Path) -> None:
    """However many come at once: what one worker counts, the other knows."""
    with crew("--max-connections", "100", "--max-per-peer", "off", cwd=tmp_path) as server:
        (port,) = server.ports()
        callers: list[Caller] = []

        def call(part: int) -> None:
            for number in range(50):
                caller = Caller(port, f"127.0.{part}.{number + 1}")
                caller.say(b"let me in")
                callers.append(caller)

        threads = [Thread(target=call, args=(part,)) for part in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        served = sum(bool(each.answerer) for each in callers)
        assert 100 <= served <= 102
        status = ctl(tmp_path, "status")
        assert status["connections"] == served
        assert status["accepted"] == served
        assert status["refused"] == {"ConnectionLimit": 200 - served}
        assert min(each["connections"] for each in status["workers"]) > 20
        for each in callers:
            each.close()
        until(lambda: ctl(tmp_path, "status")["connections"] == 0)
        assert is_served(port)


def test_places_of_the_dead_are_free(tmp_path: Path) -> None:
    """A worker that was killed gives back what it had counted."""
    with crew("--max-connections", "4", "--max-per-peer", "off", cwd=tmp_path) as server:
        (port,) = server.ports()
        mine = [next(s for s in SOURCES if worker_of(s, 2, Prefix()) == at) for at in (0, 1)]
        doomed = [Caller(port, mine[0]) for _ in range(4)]
        assert all(each.answerer for each in doomed)
        with Caller(port, mine[1]) as refused:
            assert not refused.answerer
        kill(pids(server)[1])
        server.wait_for("worker_ended")
        staying = [Caller(port, mine[1]) for _ in range(4)]
        assert all(each.answerer for each in staying)
        for each in (*doomed, *staying):
            each.close()


def test_a_total_rate_holds_for_all_together(tmp_path: Path) -> None:
    """What is used up by one is used up for the other."""
    with crew("--connect-rate", "6/h", cwd=tmp_path) as server:
        (port,) = server.ports()
        served = [is_served(port, source) for source in SOURCES * 2]
        assert served == [True] * 6 + [False] * 10


def test_load_is_shed_by_the_number_of_all(tmp_path: Path) -> None:
    """``connections>`` means those of the service."""
    with crew("--shed", "connections>5", *QUIET, cwd=tmp_path) as server:
        (port,) = server.ports()
        callers = [Caller(port, source) for source in SOURCES * 2]
        served = sum(bool(each.answerer) for each in callers)
        assert 6 <= served <= 8
        for each in callers:
            each.close()


def test_everybody_finishes_when_it_drains(tmp_path: Path) -> None:
    """Newcomers are refused, who is at rest goes, and the end is as good as that of one process."""
    with crew(cwd=tmp_path) as server:
        (port,) = server.ports()
        callers = [Caller(port, source) for source in SOURCES]
        assert all(each.answerer for each in callers)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining", connections=8)
        with pytest.raises(ConnectionRefusedError):
            until(lambda: Caller(port).close())
        for each in callers:
            assert each.socket.recv(1) == b""
            each.close()
        server.wait_for("stopped", connections=8, cut=0)
        server.process.wait(PATIENCE)  # a second signal would end what is left of it
        assert server.events("worker_ended") == []


@pytest.mark.parametrize("by", ["a second signal", "the deadline"])
def test_who_does_not_finish_is_cut(tmp_path: Path, by: str) -> None:
    """All of them, by a second signal or at the deadline; the status tells that somebody had to be."""
    within = "1s" if by == "the deadline" else "1h"
    with crew("--drain", within, cwd=tmp_path, status=-signal.SIGTERM) as server:
        (port,) = server.ports()
        callers = [Caller(port, source) for source in SOURCES]
        for each in callers:
            each.socket.sendall(b"who\r\nand so on")  # something is under way for ever
            each.socket.recv(1)
        until(lambda: ctl(tmp_path, "status")["connections"] == 8)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        if by == "a second signal":
            server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopped", connections=8, cut=8)
        for each in callers:
            each.close()


def test_without_a_drain_it_ends_at_once(tmp_path: Path) -> None:
    """And its workers with it."""
    with crew("--drain", "off", cwd=tmp_path, status=-signal.SIGTERM) as server:
        (port,) = server.ports()
        workers = pids(server)
        with Caller(port) as caller:
            assert caller.answerer
            server.process.send_signal(signal.SIGTERM)
            assert caller.say(b"still there?") in (b"", b"still there?")
            server.process.wait(PATIENCE)
        assert not any(map(lives, workers.values()))


def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    """A parent that is killed is noticed: nobody new is let in, those who are in may finish, and then they end."""
    server = start("--workers", "2", cwd=tmp_path)
    server.wait_for("started")
    (port,) = server.ports()
    workers = pids(server)
    with Caller(port) as caller:
        assert caller.answerer in workers.values()
        server.process.kill()
        server.process.wait()
        server.wait_for("orphaned", 2)
        assert caller.say(b"still there?") == b"still there?"
        with pytest.raises(ConnectionRefusedError):
            until(lambda: Caller(port).close())
        assert caller.socket.recv(1) == b""
    until(lambda: not any(map(lives, workers.values())))
    server.out.wait(lambda _: server.out.ended)
    server.err.wait(lambda _: server.err.ended)


def test_one_that_cannot_start_ends_the_service(tmp_path: Path) -> None:
    """What is wrong with one is wrong with all: one line, status 1, and nothing stays behind."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nif 'NETGUARD_WORKER' in os.environ:\n    os.write(2, b'no luck\\n')\n    os._exit(3)\n"
    )
    server = start("--workers", "2", cwd=tmp_path)
    assert server.process.wait(PATIENCE) == 1
    server.err.wait(lambda _: server.err.ended)
    server.out.wait(lambda _: server.out.ended)
    assert "netguard: a worker cannot start: status 3: no luck" in server.err.lines
    assert "Traceback" not in server.log
    assert server.events("started") == []


REFUSED = {
    "unix": ("unix:there", "--workers shares ports of TCP alone, and this is none: cannot listen on there"),
    "taken": ("tcp:{port}:interface=127.0.0.1", "Address already in use: cannot listen on 127.0.0.1:{port}"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_port_that_cannot_be_shared_is_one_line(tmp_path: Path, what: str) -> None:
    """At the start, and not later."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        listen, line = (each.format(port=port) for each in REFUSED[what])
        server = start("--workers", "2", cwd=tmp_path, listen=(listen,))
        assert server.process.wait(PATIENCE) == 1
        server.err.wait(lambda _: server.err.ended)
    assert len(server.err.lines) == 1
    assert line in server.err.lines[0]


def within(folder: Path) -> dict[str, str]:
    """The environment of a process that finds a plugin in a folder."""
    there = environment()
    return there | {"PYTHONPATH": f"{there['PYTHONPATH']}{os.pathsep}{folder}"}


def test_another_reactor_serves_as_well(tmp_path: Path) -> None:
    """Workers have their parent's: each peer has its worker, one that dies is replaced, and all drain at the end."""
    install(tmp_path)
    words = ["--reactor=asyncio", "netguard-wrap", "--log-format", "json", "--workers", "2", "--control", "ctl"]
    server = Server.twistd(*words, "--", "talker", "--listen", PORT, cwd=tmp_path, env=within(tmp_path))
    try:
        server.wait_for("started")
        (port,) = server.ports()
        workers = pids(server)
        callers = {source: Caller(port, source) for source in SOURCES}
        for source, each in callers.items():
            assert each.answerer == workers[worker_of(source, 2, Prefix()) + 1]
        assert ctl(tmp_path, "status")["connections"] == len(SOURCES)
        kill(workers[1])
        after = pids(server, 3)
        assert (after[1] != workers[1], after[2]) == (True, workers[2])
        for source in SOURCES:
            assert is_served(port, source)
        for each in callers.values():
            each.close()
    finally:
        status = server.stop()
    assert status == 0
    assert_clean(server.log)
    assert server.log.count("AsyncioSelectorReactor") == 4


def test_a_proxy_steers_for_those_behind_it(tmp_path: Path) -> None:
    """What that means for limits is told at the start."""
    with crew("--proxy-from", "127.0.0.1", cwd=tmp_path) as server:
        (told,) = server.wait_for("unsteered")
        assert "the proxy's address steers" in told["reason"]


def test_it_reloads_all(tmp_path: Path) -> None:
    """A rule that has changed holds in both workers; a file that cannot be used is told once."""
    rules = tmp_path / "net.rules"
    rules.write_text("allow 0.0.0.0/0\n")
    with crew("--access", str(rules), cwd=tmp_path) as server:
        (port,) = server.ports()
        assert all(is_served(port, source) for source in SOURCES)
        rules.write_text("deny 127.0.0.0/8\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("reloaded")
        assert not any(is_served(port, source) for source in SOURCES)
        rules.write_text("nonsense\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("reload_failed")
        assert len(server.events("reload_failed")) == 1


def test_one_log_is_rotated_by_one(tmp_path: Path) -> None:
    """All write into it, whole lines; the parent rotates it, and the workers follow."""
    log = tmp_path / "log"
    words = ["-n", "--pidfile=", f"--logfile={log}", "netguard-wrap", "--log-format", "json", "--log-size", "4KiB"]
    assert not log.exists()
    server = _started(*words, cwd=tmp_path)
    try:
        until(lambda: log.exists() and '"started"' in log.read_text())
        port = int(log.read_text().partition('"server.port": ')[2].partition(",")[0].partition("}")[0])

        def rotated() -> bool:
            assert all(is_served(port, source) for source in SOURCES)
            return (tmp_path / "log.2").exists()

        until(rotated)
    finally:
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
    lines = [line for each in tmp_path.glob("log*") for line in each.read_text().splitlines()]
    assert all(line.startswith("{") and line.endswith("}") for line in lines)


def _started(*words: str, cwd: Path) -> Server:
    from subprocess import DEVNULL, PIPE, Popen

    from tests.crewserver import PORT, install
    from tests.popserver import TWISTD, Output, environment

    install(cwd)
    process = Popen(
        [TWISTD, *words, "--workers", "2", "--", "talker", "--listen", PORT],
        cwd=cwd,
        env=environment() | {"PYTHONPATH": f"{environment()['PYTHONPATH']}{os.pathsep}{cwd}"},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    return Server(process, Output(process.stdout), Output(process.stderr))
