"""The filter of fail2ban that ships in docs/: it bans who deserves it, and nobody can have somebody else banned."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pytest
from twisted.logger import LogEvent, Logger, formatEventAsClassicLogText
from twisted.python.failure import Failure

from netguard.events import as_message, as_text, made
from netguard.process.system_logs import JOURNAL
from tests.popserver import PATIENCE, ROOT, TWISTD, Output, Peer, Site, environment
from tests.programs import needs, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = needs("fail2ban-regex")

FILTERS = ROOT / "docs" / "examples" / "fail2ban"
GUESSER, GUEST, FORGER, VICTIM = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.66"


def banned(log: Path, mode: str = "normal") -> list[str]:
    """The addresses that fail2ban finds in a log, once for each line that it takes."""
    command = [path_of("fail2ban-regex") or "", "-c", str(FILTERS), "-o", "ip", str(log), f"netguard[mode={mode}]"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert "ERROR" not in done.stderr + done.stdout, done.stderr
    return [line for line in done.stdout.splitlines() if line]


# What is written


def _file(event: LogEvent) -> str:
    return as_text(event)


def _twistd(event: LogEvent) -> str:
    return (formatEventAsClassicLogText(event) or "").rstrip("\n")


def _syslog(event: LogEvent) -> str:
    return f"Nov 29 13:19:24 mail netguard-pop[42]: {as_message(event)}"


def _newer_syslog(event: LogEvent) -> str:
    return f"2026-11-29T13:19:24.123456+01:00 mail.example netguard-wrap[42]: {as_message(event)}"


WAYS: list[Callable[[LogEvent], str]] = [_file, _twistd, _syslog, _newer_syslog]

SAID = [
    f"[netguard#warn] penalised client={VICTIM}",
    f" [netguard#warn] penalised client={VICTIM} guard=Penalties",
    f"\n[netguard#warn] penalised client={VICTIM} guard=Penalties",
    f"\n2026-11-29T13:19:23.123Z [netguard#warn] penalised client={VICTIM} guard=Penalties",
    f"\nNov 29 13:19:24 mail netguard-pop[42]: [netguard#warn] penalised client={VICTIM} guard=Penalties",
    f"\r\n\t [netguard#warn] refused client={VICTIM} guard=Penalties",
    f"\u2028[netguard#warn] refused client={VICTIM}",
    f"mail netguard-pop[42]: [netguard#warn] penalised client={VICTIM} guard=Penalties",
    f'x" client={VICTIM} denied=9 y="',
    f"x client={VICTIM} port=1 denied=9",
    f"penalised client={VICTIM} guard=Penalties",
    f"session client={VICTIM} denied=9",
    f"malformed client={VICTIM}",
]


def _lines(way: Callable[[LogEvent], str], happened: list[LogEvent], path: Path) -> Path:
    path.write_text("".join(way(each) + "\n" for each in happened), "utf-8", "backslashreplace")
    return path


def _peer(address: str) -> dict[str, object]:
    return {"client.address": address, "client.port": 5, "session": 1}


@pytest.mark.parametrize("mode", ["normal", "aggressive"])
@pytest.mark.parametrize("way", WAYS)
def test_what_peers_say_bans_nobody_else(way: Callable[[LogEvent], str], mode: str, tmp_path: Path) -> None:
    """In any field of ours, in the log of an application that repeats what its peers say, and in its tracebacks."""
    caught: list[LogEvent] = []
    log = Logger(namespace="app", observer=caught.append)  # type: ignore[arg-type]
    for said in SAID:
        for name in ("user", "claimed", "reason", "client.name", "client.ident.claim"):
            caught.append(made("session", {**_peer(GUEST), "reason": "QUIT", "denied": 0, name: said}))
            caught.append(made("closed", {**_peer(GUEST), name: said}))
            caught.append(made("error", {**_peer(GUEST), "doing": said, "problem": said}))
        log.info("{said}", said=said)
        log.info(said.replace("{", "{{"))
        log.failure("{said}", said=said, failure=_failure(said))
    assert banned(_lines(way, caught, tmp_path / "log"), mode) == []


def _failure(said: str) -> Any:
    return Failure(ValueError(said))


@pytest.mark.parametrize("way", WAYS)
def test_who_deserves_it_is_found(way: Callable[[LogEvent], str], tmp_path: Path) -> None:
    """Those who guess, and in the mode for it those who are refused, cut for silence, or talk something else."""
    happened = [
        made("session", {**_peer("192.0.2.1"), "reason": "too many failed logins", "tls": True, "denied": 3}),
        made("session", {**_peer("2001:db8::2"), "reason": "QUIT", "denied": 12, "user": "alice"}),
        made("penalised", {"client.address": "192.0.2.3", "guard": "Penalties", "kinds": "cut"}),
        made("session", {**_peer("192.0.2.90"), "reason": "QUIT", "denied": 0}),
        made("closed", _peer("192.0.2.91")),
        made("refused", {**_peer("192.0.2.4"), "guard": "ConnectionRate", "count": 1}),
        made("refused", {"guard": "ConnectionRate", "count": 91}),
        made("cut", {**_peer("192.0.2.5"), "duration": 60.0, "bytes_in": 0, "guard": "LoginTimeout", "reason": "a b"}),
        made("cut", {**_peer("192.0.2.92"), "guard": "Lifetime"}),
        made("malformed", {**_peer("192.0.2.6"), "problem": "line too long"}),
        made("malformed", {"client.address": "unix", "problem": "line too long"}),
    ]
    log = _lines(way, happened, tmp_path / "log")
    found = ["192.0.2.1", "2001:db8::2", "192.0.2.3"]
    assert banned(log) == found
    assert banned(log, "aggressive") == [*found, "192.0.2.4", "192.0.2.5", "192.0.2.6"]


# The real service


@contextmanager
def serving(site: Site, how: str) -> Iterator[tuple[Callable[[], str], int]]:
    """A netguard-pop that logs in this way: what it has written so far, as the way's reader would find it; its port."""
    log = site.folder / "log"
    twistd, words = ["-n", "--pidfile="], [*site.options, "--listen", "tcp:0:interface=127.0.0.1"]
    ours, theirs = socket.socketpair()
    extra: dict[str, str] = {}
    if how == "journal":
        about = os.fstat(theirs.fileno())
        extra["JOURNAL_STREAM"] = f"{about.st_dev}:{about.st_ino}"
    else:
        twistd += ["--logfile", str(log)]
    if how == "file":
        words += ["--log-format", "text"]
    with ours, theirs, ours.makefile("r") as stream:
        process = subprocess.Popen(
            [TWISTD, *twistd, "netguard-pop", *words],
            cwd=site.folder,
            env=environment() | extra,
            stdin=subprocess.DEVNULL,
            stdout=theirs.fileno(),
            stderr=theirs.fileno(),
        )
        theirs.close()
        output = Output(stream)

        def written() -> str:
            if how != "journal":
                return log.read_text() if log.exists() else ""
            lines = [re.sub(r"^<\d>", "Nov 29 13:19:24 mail netguard-pop[42]: ", each) for each in output.lines]
            return "".join(f"{each}\n" for each in lines)

        try:
            port = _wait(process, written, r"listening server\.address=\S+ server\.port=(\d+)")
            yield written, int(port[1])
        finally:
            process.terminate()
            status = process.wait(PATIENCE)
    assert status == 0


def _wait(process: Any, written: Callable[[], str], pattern: str) -> Any:
    end = monotonic() + PATIENCE
    while monotonic() < end and process.poll() is None:
        if found := re.search(pattern, written()):
            return found
        sleep(0.02)
    pytest.fail(written()[-2000:])


@pytest.mark.parametrize("how", ["file", "twistd", "journal"])
def test_the_logs_of_the_real_service_ban_who_guesses(how: str, tmp_path: Path) -> None:
    """Who guesses is found; who logs in is not, nor is the victim of who forges."""
    if how == "journal" and Path(JOURNAL).exists():
        pytest.skip("the service would write to this machine's own journal")
    site = Site.make(tmp_path)
    with serving(site, how) as (written, port):
        with Peer(port, source=GUESSER) as peer:
            assert peer.apop(secret="a guess").startswith(b"-ERR")
            peer.ask(b"QUIT")
        with Peer(port, source=GUEST) as peer:
            assert peer.apop().startswith(b"+OK")
            peer.ask(b"QUIT")
        for said in SAID:
            with Peer(port, source=FORGER) as peer:
                text = said.encode("utf-8").replace(b"\r", b"").replace(b"\n", b"")
                for command in (b"USER " + text, text, b"APOP " + text + b" " + b"0" * 32, b"AUTH " + text):
                    peer.send(command + b"\r\n")
                peer.send(said.encode() + b"\r\nQUIT\r\n")
                peer.rest()
        end = f"session client={FORGER}"
        _wait_for_count(written, end, len(SAID))
        log = tmp_path / "read"
        log.write_text(written())
    assert GUESSER in banned(log)
    for mode in ("normal", "aggressive"):
        assert set(banned(log, mode)) <= {GUESSER, FORGER}


def _wait_for_count(written: Callable[[], str], text: str, count: int) -> None:
    end = monotonic() + PATIENCE
    while written().count(text) < count:
        assert monotonic() < end, written()[-2000:]
        sleep(0.02)
