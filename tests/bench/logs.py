"""What an event costs on its way into the log, and what a flood of them costs: ``python tests/bench/run.py logs``.

Each event is emitted as the service does it, through ``twisted.logger``, and is in the kernel's hands when its time
ends: one ``write`` or ``send`` an event. The bar of sampled refusals is the rate at which they may come.
"""

from __future__ import annotations

import os
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from twisted.logger import globalLogBeginner, globalLogPublisher

from netguard.errors import TooManyConnections
from netguard.events import as_json, as_message, as_text, emit
from netguard.figures import Figures
from netguard.process.log_writer import Lines, Writer
from netguard.process.logfile import LogFile
from netguard.process.system_logs import JournalPlace, SyslogPlace
from netguard.reports import Reports

TIMES = 20_000
ROUNDS = 7
BAR = 20_000


def _closed(number: int) -> None:
    """The commonest event: nine fields, one of them foreign."""
    about: dict[str, object] = {"client.address": "192.0.2.7", "client.port": 40_000, "session": number}
    about |= {"duration": 1.25, "bytes_in": number, "bytes_out": 2048, "reason": "Connection was closed cleanly."}
    emit("closed", {**about, "client.ident": "claim", "client.ident.claim": 'j\x1boe "x"'})


def _drained(open_: ExitStack, folder: str, name: str) -> str:
    """A receiver of datagrams that keeps up, in a thread."""
    path = f"{folder}/{name}"
    receiver = open_.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    receiver.bind(path)

    def drain() -> None:
        while receiver.recv(100_000):
            pass

    thread = Thread(target=drain, daemon=True)
    thread.start()
    open_.callback(thread.join)
    return path


def _end(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
        last.sendto(b"", path)


def _writers(open_: ExitStack, folder: str) -> dict[str, Writer]:
    """Every place that a log can go to; files are rotated as by default."""
    made = {}
    for name, form in (("json", as_json), ("text", as_text)):
        file = LogFile(Path(folder, name), most=10 * 2**20)
        open_.callback(file.close)
        made[f"{name}, file"] = Writer(Lines(file.write, form))
    for name, place in (("journal", partial(JournalPlace, "x", as_message, None)), ("syslog", _syslog)):
        path = _drained(open_, folder, name)
        written: Any = place(path)
        open_.callback(written.close)
        open_.callback(_end, path)
        made[name] = Writer(written)
    return made


def _syslog(path: str) -> SyslogPlace:
    return SyslogPlace("x", as_message, path)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _rate(do: Callable[[int], object]) -> float:
    """How many in a second of the processor's time of this thread."""
    began = time.thread_time()
    for number in range(TIMES):
        do(number)
    return TIMES / (time.thread_time() - began)


def logs() -> None:
    """Events in a second, and what memory they take for good."""
    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)
    print(f"events in a second of the processor, {ROUNDS} x {TIMES}: median, least, KiB kept    bar: {BAR}, none kept")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as open_:
        for name, writer in _writers(open_, folder).items():
            globalLogPublisher.addObserver(writer)
            _show(name, _closed, writer)
            globalLogPublisher.removeObserver(writer)
        writer = Writer(Lines(LogFile(os.devnull).write, as_json))
        globalLogPublisher.addObserver(writer)
        reports = Reports(time.monotonic, Figures())
        reason = TooManyConnections(10, 11)

        def refuse(number: int) -> None:
            reports.turned_away("192.0.2.7", 40_000, number, reason)

        _show("sampled", refuse, writer)
        globalLogPublisher.removeObserver(writer)


def _show(name: str, do: Callable[[int], object], writer: Writer) -> None:
    _rate(do)  # what grows once, grows now
    before = _resident()
    rates = [_rate(do) for _ in range(ROUNDS)]
    kept = (_resident() - before) / 1024
    print(f"  {name:13} {statistics.median(rates):9.0f} {min(rates):9.0f} {kept:7.0f}   lost: {writer.lost}")


BENCHES = {"logs": logs}
