"""The words of the log that services with workers need; a part of :mod:`netguard.vocabulary`."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import LogLevel

from netguard.kinds import Kind

WORKERS: Mapping[str, Kind] = {
    "worker_started": Kind(
        LogLevel.info,
        "A worker (`--workers`) serves: `worker` says which, `pid` is its process.",
        {"worker": 2, "pid": 4713},
    ),
    "worker_ended": Kind(
        LogLevel.error,
        "A worker has ended that should not have: with its `connections`, as far as they are known, and for `reason`."
        " Its successor begins in `again` seconds; until then newcomers of its peers wait.",
        {"worker": 2, "pid": 4713, "connections": 31, "again": 0.1, "reason": "signal 9"},
    ),
    "worker_stuck": Kind(
        LogLevel.error,
        "The event loop of a worker does not turn: for `silent` seconds it has not answered its parent, and `limit` is"
        " what `--worker-timeout` allows, or ten times as much for one that begins. It is killed, and another follows."
        " `where` says what it was doing, innermost first; it is empty for one that did not run at all.",
        {
            "worker": 2,
            "pid": 4713,
            "silent": 31.0,
            "limit": 30.0,
            "option": "worker-timeout",
            "where": "lineReceived (shop.py:28) < dataReceived (basic.py:568)",
        },
    ),
    "orphaned": Kind(
        LogLevel.error,
        "A worker's parent has gone: it lets nobody in any more, and ends when those who are in have finished.",
        {"pid": 4713},
    ),
    "unsteered": Kind(
        LogLevel.warn,
        "Connections of one peer may come to several workers, so what counts by peer does so in each worker alone;"
        " `reason` says why.",
        {"option": "workers", "reason": "this kernel has no SO_ATTACH_REUSEPORT_CBPF"},
    ),
}
