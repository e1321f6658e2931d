"""Runs unbound, a real name server, on loopback with zones of the tests' own; for tests of any folder."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60.0
UNBOUND = shutil.which("unbound", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
"""Where it is: Debian puts it where only root looks."""

FIRST_PORT = 10240
"""The first port that a resolver of netguard's may ask from."""

_SERVER = """
server:
  interface: 127.0.0.1@{port}
  interface: ::1@{port}
  access-control: 127.0.0.0/8 allow
  access-control: ::1/128 allow
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  logfile: "{folder}/log"
  use-syslog: no
  do-daemonize: no
  module-config: "iterator"
  do-not-query-localhost: no
  root-hints: "{folder}/hints"
  num-threads: 1
  so-rcvbuf: 0
  msg-cache-size: 1m
  rrset-cache-size: 1m
  infra-host-ttl: 1
  # Reverse names that it would answer by itself.
  {locals}
remote-control:
  control-enable: no
"""
_ZONE = """
auth-zone:
  name: "{name}"
  {source}
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
"""
_HINTS = ". 3600000 NS nobody.invalid.\nnobody.invalid. 3600000 A 127.0.0.1\n"
_HEAD = "$TTL 300\n@ SOA ns.example. hostmaster.example. 1 3600 600 86400 40\n@ NS ns.example.\n"


def _free_port() -> int:
    """A port that stays free until the server has it: one that neither the kernel nor a resolver gives to anybody."""
    while True:
        port = secrets.choice(range(5000, FIRST_PORT))
        try:
            with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port


@contextmanager
def serving(folder: Path, zones: Mapping[str, str | None]) -> Iterator[int]:
    """Run unbound until the end of the block.

    Args:
        folder: where its files go.
        zones: the records of each zone, as in a zone file, without SOA and NS; None for one that is nowhere to be had.

    Yields:
        The port at 127.0.0.1 and ::1.
    """
    assert UNBOUND is not None
    port = _free_port()
    sources = {
        name: f'zonefile: "{folder}/{name}.zone"' if records is not None else "primary: 127.0.0.1@1"
        for name, records in zones.items()
    }
    text = "".join(_ZONE.format(name=name, source=source) for name, source in sources.items())
    local = "\n  ".join(f'local-zone: "{name}" nodefault' for name in zones if name.endswith(".arpa"))
    (folder / "hints").write_text(_HINTS)
    for name, records in zones.items():
        if records is not None:
            (folder / f"{name}.zone").write_text(_HEAD + records)
    file = folder / "unbound.conf"
    file.write_text(_SERVER.format(port=port, folder=folder, locals=local) + text)
    running = subprocess.Popen([UNBOUND, "-c", str(file)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _wait_for(running, port, folder / "log")
        yield port
    finally:
        running.terminate()
        running.communicate(timeout=PATIENCE)


def _wait_for(running: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if running.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    said = log.read_text(errors="replace") if log.exists() else ""
    message = f"unbound did not start: {said}"
    raise AssertionError(message)
