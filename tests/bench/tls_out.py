"""CPU of relays that speak TLS to the server, beside HAProxy's: ``python tests/bench/tls_out.py [load ...]``.

The other way round than :mod:`tls_relays`: clients speak plain TCP, and the relay begins TLS with the server, whose
certificate it verifies for a name. The server's TLS is ended by an HAProxy of its own, in front of the server of
:mod:`relays`, whose figures these are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import choosing
import clients
import relays
import tls_relays
import trustme

_NAME = "relay.example"
LOADS: dict[str, tuple[str, Callable[[int], float]]] = {
    "bulk": ("CPU seconds a GiB, half of it down", relays.bulk),
    "requests": ("CPU µs a request, 50 connections", lambda port: clients.echo(port, 50, 10_000) / 1e6),
    "connections": ("CPU µs a connection", lambda port: clients.churn(port, 300) / 1e6),
}


def haproxy(roots: Path, folder: Path, port: int, to: int) -> list[str]:
    """HAProxy, in one thread."""
    command = relays.haproxy(folder, port, to)
    config = folder / "haproxy.cfg"
    verified = f"ssl verify required ca-file {roots} sni str({_NAME}) verifyhost {_NAME}"
    plain = f"server ours 127.0.0.1:{to}"
    config.write_text(config.read_text().replace(plain, f"{plain} {verified}"))
    return command


def relay(roots: Path, _: Path, port: int, to: int, *words: str) -> list[str]:
    """netguard-relay, with all its defaults."""
    backend = rf"tls:{_NAME}:{to}:trustRoots={roots.parent}:endpoint=tcp\:127.0.0.1\:{to}"
    words = ("--listen", f"tcp:{port}:interface=127.0.0.1", "--to", backend, *words)
    return [relays.TWISTD, "-n", "--pidfile=", "--logfile=/dev/null", "netguard-relay", *words]


def measure(loads: list[str], folder: Path) -> None:
    """So many loads, all relays in turns."""
    authority = trustme.CA()
    roots, certificate = folder / "roots" / "authority.pem", folder / "relay.pem"
    roots.parent.mkdir()
    roots.write_bytes(authority.cert_pem.bytes())
    certificate.touch(0o600)
    certificate.write_bytes(authority.issue_cert(_NAME).private_key_and_cert_chain_pem.bytes())
    commands = {"haproxy": partial(haproxy, roots), "relay": partial(relay, roots)}
    ending = partial(tls_relays.haproxy, certificate)
    with relays.served() as behind, relays.started(ending, behind) as (_, to):
        for load in loads:
            title, work = LOADS[load]
            tls_relays.compare(title, work, "", commands, to)


if __name__ == "__main__":
    (wanted,) = choosing.chosen(__doc__, {name: title for name, (title, _) in LOADS.items()})
    with tempfile.TemporaryDirectory() as name:
        measure(wanted, Path(name))
