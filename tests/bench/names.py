"""Benchmark of verified names, as a ratio from one run: ``python tests/bench/run.py names``, or this file by itself.

The same 4,000 addresses, by PTR and A records, from one unbound on loopback: by bare ``twisted.names`` (which checks
neither questions nor owners) and by ours, in turns, fifty at a time. Nothing here is asserted.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import react
from twisted.names.client import Resolver

from netguard.clients.names import VerifiedResolver
from netguard.verdict import Verified

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from tests import unbound

ROUNDS, AT_ONCE, NETS, HOSTS = 7, 50, 16, 250
ADDRESSES = [f"203.{net}.113.{host}" for net in range(NETS) for host in range(HOSTS)]


def zones() -> dict[str, str | None]:
    """A name for each address, and an address for each name."""
    found: dict[str, str | None] = {
        f"113.{net}.203.in-addr.arpa": "".join(f"{host} PTR h{net}-{host}.example.\n" for host in range(HOSTS))
        for net in range(NETS)
    }
    rows = (f"h{net}-{host} A 203.{net}.113.{host}\n" for net in range(NETS) for host in range(HOSTS))
    return {**found, "example": "".join(rows)}


async def at_once(ask: Callable[[str], Awaitable[None]], addresses: Iterable[str]) -> float:
    """Look all of them up, so many at a time; how many in a second."""
    left = iter(addresses)

    async def work() -> None:
        for each in left:
            await ask(each)

    began = time.perf_counter()
    await gatherResults([ensureDeferred(work()) for _ in range(AT_ONCE)])
    return len(ADDRESSES) / (time.perf_counter() - began)


async def measure(reactor: Any) -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder, unbound.serving(Path(folder), zones()) as port:
        servers = [("127.0.0.1", port)]
        bare, ours = (
            Resolver(servers=servers, reactor=reactor),
            VerifiedResolver(reactor, servers, 10, hosts="/dev/null"),
        )

        async def barely(address: str) -> None:
            reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
            names, _, _ = await bare.lookupPointer(reverse)
            found, _, _ = await bare.lookupAddress(names[0].payload.name.name)
            assert found[0].payload.dottedQuad() == address

        async def verified(address: str) -> None:
            assert isinstance(await ours.verify(address), Verified)

        rates: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            rates.append((await at_once(barely, ADDRESSES), await at_once(verified, ADDRESSES)))
            kept = ours._cache
            began = time.perf_counter()
            for each in ADDRESSES:
                ours.verify(each)
            cached = len(ADDRESSES) / (time.perf_counter() - began)
            kept.clear()
    ratio = statistics.median(own / other for other, own in rates)
    print(f"bare twisted.names: {statistics.median(other for other, _ in rates):8,.0f} look-ups/s (PTR and A)")
    print(f"verified, uncached: {statistics.median(own for _, own in rates):8,.0f}/s, {ratio:.2f} times bare")
    print("                    (bar: 1,500/s, or 0.60 times bare)")
    print(f"verified, cached:   {cached:8,.0f}/s (bar: 100,000/s)")


def main(reactor: Any) -> Deferred[None]:
    """Run under ``react``."""
    return ensureDeferred(measure(reactor))


def names() -> None:
    """Verified names, beside bare twisted.names; in a process of its own, since it has a reactor of its own."""
    if unbound.UNBOUND is None:
        print("names: unbound is not installed")
    else:
        subprocess.run([sys.executable, __file__], check=True)


BENCHES = {"names": names}

if __name__ == "__main__":
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # run.py keeps to one core; the server shall have another
    react(main)
