"""Runs Dovecot's POP3 server on loopback with users and mail of the tests' own; for tests of any folder.

It reads no configuration of the machine. As root it runs under Debian's accounts for it, and reads mail as `nobody`;
otherwise everything runs as who we are.
"""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

PATIENCE = 60.0
DOVECOT = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
"""Where it is: Debian puts it where only root looks."""


def why_not() -> str | None:
    """Why it cannot be run here; None if it can. Version 2.4 reads no configuration of 2.3."""
    if DOVECOT is None:
        return "dovecot is not installed"
    version = subprocess.run(
        [DOVECOT, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stdout
    return None if version.startswith("2.3.") else f"this dovecot is {version.strip()}, the tests are for 2.3"


_CONFIGURATION = """
base_dir = {run}
state_dir = {run}/state
log_path = {run}/log
instance_name = {run}
protocols = pop3
ssl = no
listen = 127.0.0.1
auth_mechanisms = plain apop
disable_plaintext_auth = no
auth_failure_delay = 0
mail_location = maildir:%h
mail_max_userip_connections = 1000
first_valid_uid = 1
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
default_vsz_limit = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {run}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {run}/users
}}
service anvil {{
  chroot =
}}
service auth {{
  client_limit = 2000
}}
service pop3-login {{
  chroot =
  {logins}
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service pop3 {{
  {sessions}
}}
"""
ONE_FOR_EACH = ""
"""Dovecot as it comes: a process for each login, and another for each session."""
SHARED = "service_count = 0"
"""Dovecot at its fastest: processes are used again."""


@frozen
class Dovecot:
    """A Dovecot that runs.

    Args:
        port: where it speaks POP3, without TLS.
        process: its master process.
        run: the folder with its sockets and its log.
    """

    port: int
    process: int
    run: Path

    def log(self) -> str:
        """What it wrote."""
        return (self.run / "log").read_text()


def mail_owner() -> tuple[int, int]:
    """Who must own the mail, user and group: Dovecot reads none as root."""
    if os.geteuid():
        return os.geteuid(), os.getegid()
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def give(folder: Path) -> None:
    """Give mail to who must own it."""
    for each in (folder, *folder.rglob("*")):
        os.chown(each, *mail_owner(), follow_symlinks=False)


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that the mail's owner can reach; pytest's can be reached by root only."""
    with TemporaryDirectory(prefix="netguard-mail-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _free_port() -> int:
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        port: int = tcp.getsockname()[1]
        return port


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
            return peer.recv(3) == b"+OK"
    except OSError:
        return False


@contextmanager
def dovecot(secrets: Mapping[str, str], maildirs: str, kind: str = SHARED, more: str = "") -> Iterator[Dovecot]:
    """A Dovecot for the time of a block.

    Args:
        secrets: the users, each with what they log in with, by PASS or APOP.
        maildirs: their Maildirs, with ``{user}`` in the user's place.
        kind: `ONE_FOR_EACH` or `SHARED`.
        more: further lines of configuration.
    """
    assert DOVECOT is not None
    with public_folder() as run:
        uid, gid = mail_owner()
        rows = (f"{user}:{secret}:{uid}:{gid}::{maildirs.format(user=user)}\n" for user, secret in secrets.items())
        (run / "users").write_text("".join(rows))
        me, root = getpass.getuser(), not os.geteuid()
        group = "dovecot" if root else _group()
        port = _free_port()
        text = _CONFIGURATION.format(
            run=run,
            port=port,
            internal="dovecot" if root else me,
            group=group,
            login="dovenull" if root else me,
            logins=kind,
            sessions=kind,
        )
        (run / "conf").write_text(text + more)
        process = subprocess.Popen([DOVECOT, "-F", "-c", str(run / "conf")], stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + PATIENCE
            while not _greets(port):
                assert process.poll() is None, (run / "log").read_text()
                assert time.monotonic() < end, (run / "log").read_text()
                time.sleep(0.05)
            yield Dovecot(port, process.pid, run)
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _group() -> str:
    import grp

    return grp.getgrgid(os.getegid()).gr_name
