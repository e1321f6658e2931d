"""Whether the time of a refusal tells who exists: failed logins of a user and of nobody, as two samples to be alike.

``python tests/bench/run.py login_timing``. The fixed moment at which a service answers is taken away, so that what is
measured is the work itself, over loopback; password hashing is made cheap, so that it hides nothing. Printed are two
statistics: the Mann-Whitney z, which finds that one sample tends to be longer (at 5 % beyond 1.96), and the
Kolmogorov-Smirnov D, which finds any other difference (beyond 1.36 times the root of 2/n). Of many lines, one in
twenty is beyond its bar by chance, so a line counts when it is so again.
"""

from __future__ import annotations

import base64
import os
import random
import statistics
import time
from collections.abc import Callable
from math import sqrt

from pop import USER, Pop, apop, ask, line, serving

from netguard.wire.scram_client import ScramClient

SAMPLES = 2_000
NOBODY = "carol"  # as long as the user's, for its length is in every message


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def by_apop(pop: Pop, name: str) -> float:
    """From the digest to its refusal."""
    with pop.connect() as peer:
        said = apop(line(peer), name, "wrong")
        return _seconds(lambda: ask(peer, said))


def by_password(pop: Pop, name: str) -> float:
    """From PASS to its refusal, inside TLS."""
    with pop.connect(tls=True) as peer:
        line(peer)
        ask(peer, b"USER " + name.encode())
        return _seconds(lambda: ask(peer, b"PASS wrong"))


def by_plain(pop: Pop, name: str) -> float:
    """From AUTH PLAIN to its refusal, inside TLS."""
    with pop.connect(tls=True) as peer:
        line(peer)
        said = b"AUTH PLAIN " + base64.b64encode(f"\0{name}\0wrong".encode())
        return _seconds(lambda: ask(peer, said))


def _client(name: str) -> ScramClient:
    return ScramClient(name, b"wrong", base64.b64encode(os.urandom(18)))


def by_scram_salt(pop: Pop, name: str) -> float:
    """From the first message of SCRAM to the salt."""
    with pop.connect() as peer:
        line(peer)
        first = base64.b64encode(_client(name).first)
        return _seconds(lambda: ask(peer, b"AUTH SCRAM-SHA-256 " + first))


def by_scram_proof(pop: Pop, name: str) -> float:
    """From the proof of SCRAM to its refusal."""
    with pop.connect() as peer:
        line(peer)
        client = _client(name)
        challenge = ask(peer, b"AUTH SCRAM-SHA-256 " + base64.b64encode(client.first))
        proof = base64.b64encode(client.receive(base64.b64decode(challenge[2:])))
        return _seconds(lambda: ask(peer, proof))


def by_otp(pop: Pop, name: str) -> float:
    """From a wrong one-time password to its refusal."""
    with pop.connect() as peer:
        line(peer)
        ask(peer, b"AUTH OTP " + base64.b64encode(b"\0" + name.encode()))
        return _seconds(lambda: ask(peer, base64.b64encode(b"hex:0000000000000000")))


def mann_whitney(one: list[float], other: list[float]) -> float:
    """The z of the rank sum of one sample among both; no two times are equal, or few."""
    ranked = sorted((value, mine) for sample, mine in ((one, True), (other, False)) for value in sample)
    ranks = sum(rank for rank, (_, mine) in enumerate(ranked, 1) if mine)
    here, there = len(one), len(other)
    expected = here * (here + there + 1) / 2
    return (ranks - expected) / sqrt(here * there * (here + there + 1) / 12)


def kolmogorov_smirnov(one: list[float], other: list[float]) -> float:
    """The largest difference of the two distributions."""
    ahead = most = 0.0
    steps = {True: 1 / len(one), False: -1 / len(other)}
    for _, mine in sorted((value, mine) for sample, mine in ((one, True), (other, False)) for value in sample):
        ahead += steps[mine]
        most = max(most, abs(ahead))
    return most


LOGINS = (by_apop, by_password, by_plain, by_scram_salt, by_scram_proof, by_otp)


def login_timing() -> None:
    """Failed logins of a user who exists and of one who does not, in random order."""
    bar = 1.36 * sqrt(2 / SAMPLES)
    print(f"failed logins, {SAMPLES} of a user and of nobody: ms (median), z, D    bars: |z| < 1.96, D < {bar:.3f}")
    with serving(lambda _: None, "at-once") as pop:
        for login in LOGINS:
            taken: dict[str, list[float]] = {USER: [], NOBODY: []}
            order = [USER, NOBODY] * SAMPLES
            random.shuffle(order)
            for name in order[:50]:
                login(pop, name)
            for name in order:
                taken[name].append(login(pop, name) * 1000)
            known, unknown = taken[USER], taken[NOBODY]
            medians = f"{statistics.median(known):7.3f} {statistics.median(unknown):7.3f}"
            z, d = mann_whitney(known, unknown), kolmogorov_smirnov(known, unknown)
            alike = "alike" if abs(z) < 1.96 and d < bar else "to be told apart, or chance"
            print(f"  {login.__name__[3:]:12} {medians}   z {z:6.2f}   D {d:.3f}   {alike}", flush=True)


BENCHES = {login_timing.__name__: login_timing}
