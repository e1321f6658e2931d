"""`docs/how-to/run-netguard-pop.md`, followed to the letter by root, on a machine of its own made of namespaces.

The paths, the user, the ports and the commands are the page's; what they answer is compared with what it shows. Left
out are what fetches from the network, which `.ci/check-wheel` tries, and what needs a running systemd: the command of
its unit is run as the unit says.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import TYPE_CHECKING

import pytest

from tests.popserver import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/how-to/run-netguard-pop.md").read_text()
NEEDED = ("unshare", "nsenter", "setpriv", "runuser", "useradd", "ip", "openssl", "curl", "systemd-socket-activate")

STARTED = "Start it with the machine"
SOCKETS = ("netguard-pop", "netguard-pop-tls")

# What is the user's own must not be seen, and what a new user must read must not be closed.
PREPARE = """
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/etc /mnt/home /mnt/kept
cp -a /etc/. /mnt/etc
mount --bind /mnt/etc /etc
for top in /opt {closed}; do
    mkdir -p /mnt/kept$top
    mount --bind $top /mnt/kept$top
    mount -t tmpfs -o mode=755 tmpfs $top
    for path in {needed}; do
        case $path in $top/*) mkdir -p $path; mount --bind /mnt/kept$path $path ;; esac
    done
done
mkdir /opt/netguard
mount --bind {prefix} /opt/netguard
mount -t tmpfs -o mode=755 tmpfs /srv
mount -t tmpfs -o mode=755 tmpfs /var/lib
ip link set lo up
echo ready
exec sleep infinity
"""


def _why_not() -> str | None:
    if os.geteuid():
        return "it is for root"
    if missing := [each for each in NEEDED if shutil.which(each) is None]:
        return f"{missing[0]} is not installed"
    if not Path(sys.executable).with_name("netguard").exists():
        return "netguard is not installed beside this Python"
    if subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode:
        return "namespaces cannot be made here"
    return None


pytestmark = pytest.mark.skipif(_why_not() is not None, reason=str(_why_not()))


class Machine:
    """A machine with nothing of netguard's on it but the programs.

    Args:
        pid: the process that keeps it.
    """

    def __init__(self, pid: int) -> None:
        self._enter = ["nsenter", "--target", str(pid), "--mount", "--net", "--", "bash", "-c"]
        self.folder = "/"

    def words(self, command: str) -> list[str]:
        """How a command is run on it, in the folder where the last `cd` has led."""
        environment = {"HOME": "/mnt/home", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in environment.items())
        # Whoever measures what these tests cover has told so in the environment; other users could not write there.
        return [*self._enter, f"cd {self.folder}; unset ${{!COV*}}; {exports}{command}"]

    def run(self, command: str, said: str = "") -> str:
        """Run a command of root's to its end; returns all that it says."""
        ended = subprocess.run(
            self.words(command),
            input=said,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, (command, ended.stdout)
        if command.startswith("cd "):
            self.folder = command[3:]
        return ended.stdout

    @contextmanager
    def serving(self, command: str) -> Iterator[Log]:
        """A server for the time of a block, in the foreground."""
        with subprocess.Popen(
            self.words(f"exec {command}"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        ) as server:
            try:
                yield Log(server)
            finally:
                server.terminate()


class Log:
    """What a server says.

    Args:
        server: its process.
    """

    def __init__(self, server: subprocess.Popen[bytes]) -> None:
        self.server = server
        self._rest = b""

    def until(self, word: str) -> str:
        """The next line that tells an event."""
        seen = []
        while (line := self._line()) is not None:
            seen.append(line)
            if re.search(rf"\] {word}\b", line):
                return line
        raise AssertionError(seen)

    def _line(self) -> str | None:
        assert self.server.stdout is not None
        while b"\n" not in self._rest:
            if not select([self.server.stdout], [], [], PATIENCE)[0] or not (more := self.server.stdout.read(4096)):
                return None
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A bare one."""
    needed = [sys.prefix, sys.base_prefix, str(ROOT)]
    tops = dict.fromkeys("/" + Path(each).parts[1] for each in needed)
    closed = [each for each in tops if not Path(each).stat().st_mode & 1 and each != "/opt"]
    script = PREPARE.format(closed=" ".join(closed), needed=" ".join(needed), prefix=sys.prefix)
    with subprocess.Popen(
        ["unshare", "--mount", "--net", "bash", "-c", script], stdout=subprocess.PIPE, text=True
    ) as it:
        try:
            assert it.stdout is not None
            assert it.stdout.readline() == "ready\n"
            yield Machine(it.pid)
        finally:
            it.kill()


# The page


def section(title: str) -> str:
    """What stands under a heading."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(title: str, language: str = "console") -> list[str]:
    """The blocks of a section."""
    return re.findall(rf"^```{language}\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[tuple[str, list[str]]]:
    """Each command of a block, with the lines that it answers."""
    each = [part.split("\n") for part in re.split(r"^# ", block, flags=re.MULTILINE) if part]
    return [(command, [line for line in shown if line]) for command, *shown in each]


def like(shown: str) -> re.Pattern[str]:
    """What a line may be: secrets, timestamps and figures differ."""
    parts = re.split(r"(^\.\.\. |<[0-9a-f]+@[^>]+>|\b[a-z2-7]{32}\b|\d[\d.]*)", shown)
    kinds = {".": r".*\] ", "<": r"<[0-9a-f]+@[^>]+>"}
    made = [
        re.escape(part)
        if not at % 2
        else kinds.get(part[0], r"[\d.]+" if part.replace(".", "").isdigit() else r"[a-z2-7]{32}")
        for at, part in enumerate(parts)
    ]
    return re.compile("".join(made))


def assert_alike(said: str, shown: list[str]) -> None:
    """Line by line."""
    lines = [line for line in said.replace("\r", "").split("\n") if line]
    assert len(lines) == len(shown), (lines, shown)
    for line, wanted in zip(lines, shown, strict=True):
        assert like(wanted).fullmatch(line), (line, wanted)


def follow(machine: Machine, title: str) -> dict[str, str]:
    """Do what the first block of a section says; returns the answers."""
    answers = {}
    for command, shown in commands(blocks(title)[0]):
        answers[command] = machine.run(command)
        assert_alike(answers[command], shown)
    return answers


@pytest.fixture
def secrets(machine: Machine) -> dict[str, str]:
    """What alice was given, once everything before the start was done as the page says."""
    *_, (command, shown) = commands(blocks("Install")[0])
    assert [line.split() for line in machine.run(command).splitlines()] == [line.split() for line in shown]
    for mailbox in blocks("A user for the mail"):
        for each, shown in commands(mailbox):
            assert_alike(machine.run(each), shown)
    (answer,) = follow(machine, "Accounts").values()
    # An openssl that shows its progress is not what the page is about.
    for each, _ in commands(blocks("A certificate")[0]):
        machine.run(each)
    return dict(re.findall(r"^(apop|password) (\S+)$", answer, re.MULTILINE))


def talk(machine: Machine, secrets: dict[str, str]) -> None:
    """The session of the page, typed, and the mail by curl."""
    (session, shown), (curl, mail) = commands(blocks("Start it by hand")[1])
    typed = [line for line in shown if line[0] not in "+-"]
    typed = [f"PASS {secrets['password']}" if line.startswith("PASS ") else line for line in typed]
    said = machine.run(f"{session} 2>/dev/null", "".join(line + "\n" for line in typed))
    assert_alike(said, [line for line in shown if line[0] in "+-"])
    netrc = re.search(r"`~/netrc` is `(default login alice password )[a-z2-7]{32}`, mode 0600", PAGE)
    assert netrc is not None
    machine.run(f"umask 077; echo '{netrc[1]}{secrets['apop']}' > ~/netrc")
    assert_alike(machine.run(f"{curl} 2>/dev/null"), mail)  # no terminal: it would show its progress


def test_by_hand(machine: Machine, secrets: dict[str, str]) -> None:
    """From a bare machine to mail that was fetched, and the line of the session in the log."""
    (cd, _), (start, shown) = commands(blocks("Start it by hand")[0])
    machine.run(cd)
    with machine.serving(start) as log:
        assert_alike("\n".join(log.until("listening") for _ in shown), shown)
        talk(machine, secrets)
        assert_alike(log.until("session"), blocks("Start it by hand", "text")[0].splitlines())


def test_with_the_machine(machine: Machine, secrets: dict[str, str]) -> None:
    """The units are in order, and the command serves as its user, through sockets of systemd's; HUP is heard."""
    install = [command.replace("/usr/local/src/netguard", str(ROOT)) for command, _ in commands(blocks(STARTED)[0])]
    for command in install:
        if not command.startswith(("systemctl", "journalctl")):
            machine.run(command)
    (guards,) = blocks("Set the guards", "toml")
    machine.run("cat > /etc/netguard/netguard.toml", guards)
    unit = machine.run("cat /etc/systemd/system/netguard-pop.service").replace("\\\n", "")
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    units = [machine.run(f"cat /etc/systemd/system/{each}.socket") for each in SOCKETS]
    ports, names = (
        [found for unit in units for found in re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)]
        for name in ("ListenStream", "FileDescriptorName")
    )
    listen = f"-l {' -l '.join(ports)} --fdname={':'.join(names)}"
    activate = f"systemd-socket-activate {listen} --setenv=PYTHONPATH={ROOT}"
    become = f"setpriv --reuid {settings['User']} --regid {settings['Group']} --init-groups --bounding-set -all"
    machine.folder = settings["WorkingDirectory"]
    with machine.serving(f"{activate} {become} -- {settings['ExecStart']}") as log:
        machine.run(f"until (exec 3<>/dev/tcp/localhost/{ports[0]}) 2>/dev/null; do sleep 0.1; done")
        log.until("listening")
        log.until("listening")
        talk(machine, secrets)
        assert settings["ExecReload"] == "/bin/kill -HUP $MAINPID"
        log.server.send_signal(signal.SIGHUP)
        log.until("reloaded")
        talk(machine, secrets)
