"""The real journald, in a namespace of its own: what a service under systemd tells is in the journal."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.popserver import PATIENCE, ROOT, TWISTD, Site, environment

if TYPE_CHECKING:
    from collections.abc import Callable

JOURNALD = "/lib/systemd/systemd-journald"
ALONE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]

SCRIPT = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal || exit 77
{journald} & journald=$!
until [ -S /run/systemd/journal/socket ] && [ -S /run/systemd/journal/stdout ]; do sleep 0.05; done
{told}
journalctl --sync
journalctl --no-pager --output=json
kill $journald
wait
"""

TALK = """
import sys, time
from pathlib import Path
from subprocess import run
from json import loads
from tests.popserver import Peer
def ports():
    said = run(["journalctl", "--output=json", "NETGUARD_EVENT=listening"], capture_output=True, text=True).stdout
    return [int(loads(line)["NETGUARD_SERVER_PORT"]) for line in said.splitlines()]
end = time.monotonic() + 30
while not (found := ports()) and time.monotonic() < end:
    time.sleep(0.1)
with Peer(found[0]) as peer:
    peer.apop(secret="a guess")
    peer.ask(b"USER \\x1b[31m\\xe2\\x80\\xa8MESSAGE=forged")
    peer.ask(b"QUIT")
"""


def _possible() -> str | None:
    """Why it is not possible here; None when it is."""
    needed = (JOURNALD, "unshare", "journalctl", "systemd-cat")
    missing = [each for each in needed if shutil.which(each) is None]
    if missing:
        return f"{', '.join(missing)}: not installed"
    tried = subprocess.run([*ALONE, "mount -t tmpfs tmpfs /run"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "a namespace of our own cannot be had"


@pytest.fixture
def journal(tmp_path: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Runs a command beside a journald that has nothing else to do; returns the entries."""
    if why := _possible():
        pytest.skip(why)

    def entries(told: str) -> list[dict[str, Any]]:
        script = SCRIPT.format(journald=JOURNALD, told=told)
        run = subprocess.run(
            [*ALONE, script],
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        if run.returncode == 77:
            pytest.skip("nothing can be mounted here")
        return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]

    return entries


def test_the_events_of_a_service_are_entries(
    journal: Callable[[str], list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the native protocol, since its standard output is the journal: levels, fields, and nothing forged."""
    monkeypatch.chdir(tmp_path)
    site = Site.make(tmp_path)
    (tmp_path / "talk.py").write_text(TALK)
    service = " ".join([TWISTD, "-n", "--pidfile=", "netguard-pop", "--verbose", *map(repr, site.options)])
    told = (
        # As systemd does it: it says which stream is the journal.
        "cat > run.sh <<'END'\nJOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2); export JOURNAL_STREAM\n"
        f"exec {service} --listen tcp:0:interface=127.0.0.1\nEND\n"
        "systemd-cat --identifier=another sh run.sh & service=$!\n"
        f"{sys.executable} talk.py; kill $service; wait $service"
    )
    found = [each for each in journal(told) if each.get("SYSLOG_IDENTIFIER") == "netguard-pop"]
    events = {each["NETGUARD_EVENT"]: each for each in found}
    assert {"listening", "opened", "session", "closed"} <= events.keys()
    session = events["session"]
    assert session["_TRANSPORT"] == "journal"
    assert (session["PRIORITY"], events["opened"]["PRIORITY"]) == ("6", "7")
    assert (session["NETGUARD_CLIENT_ADDRESS"], session["NETGUARD_DENIED"]) == ("127.0.0.1", "1")
    assert session["MESSAGE"].startswith("[netguard#info] session client=127.0.0.1 port=")
    assert all(isinstance(each["MESSAGE"], str) and "\x1b" not in each["MESSAGE"] for each in found)
    assert not any(each["MESSAGE"] == "forged" for each in found)


def test_lines_on_the_stream_have_their_levels(journal: Callable[[str], list[dict[str, Any]]], tmp_path: Path) -> None:
    """Where the socket cannot be reached, as from a chroot."""
    code = (
        "from netguard.events import as_message, made\n"
        "from netguard.process.system_logs import JournalPlace\n"
        "place = JournalPlace('x', as_message, 2, '/nonexistent')\n"
        "for name in ('refused', 'error', 'closed'):\n"
        "    place.put(place.render(made(name, {'reason': 'a\\nb'})))\n"
    )
    (tmp_path / "tell.py").write_text(code)
    found = journal(f"systemd-cat --identifier=svc {sys.executable} tell.py")
    told = [(each["PRIORITY"], each["MESSAGE"]) for each in found if each.get("SYSLOG_IDENTIFIER") == "svc"]
    assert told == [
        ("4", r"[netguard#warn] refused reason=a\x0ab"),
        ("3", r"[netguard#error] error reason=a\x0ab"),
        ("6", r"[netguard#info] closed reason=a\x0ab"),
    ]
    assert ROOT.is_dir()
