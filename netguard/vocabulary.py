"""The words of the log: each with its level, what it tells a person, and the fields of one such event.

The page ``docs/reference/events.md`` is made from this: a word without an example cannot be declared.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import LogLevel

from netguard.kinds import Fields, Kind
from netguard.worker_words import WORKERS

_PEER: Fields = {"client.address": "192.0.2.7", "client.port": 51513, "session": 42}
_BACKEND = "tcp:127.0.0.1:8080"
_IDLE: Fields = {
    "guard": "IdleTimeout",
    "option": "idle",
    "limit": "10m",
    "observed": "600.25s",
    "reason": "the peer fell silent, observed 600.25s, limit 10m, option idle",
}
_CROWDED: Fields = {
    "guard": "ConnectionLimit",
    "option": "max-per-peer",
    "limit": "20",
    "observed": "21",
    "reason": "too many connections are open from this peer, observed 21, limit 20, option max-per-peer",
}
_LEDGER: Fields = {"ledger": "rediss://ledger.example:6379/0?name=mail", "option": "ledger"}
_LAG: Fields = {"guard": "LoadShedding", "option": "shed", "signal": "lag", "limit": "250ms"}

VOCABULARY: Mapping[str, Kind] = {
    "listening": Kind(
        LogLevel.info,
        "A port accepts connections; one event for each, with its real address.",
        {"server.address": "127.0.0.1", "server.port": 8110, "transport": "native"},
    ),
    "guarding": Kind(
        LogLevel.info,
        "A listening service of another plugin was put under guards.",
        {"service": "Site on TCP4ServerEndpoint"},
    ),
    "unguarded": Kind(
        LogLevel.warn,
        "A service of another plugin that is not guarded; `reason` says why.",
        {"service": "UDPServer", "reason": "datagrams have no connections that could be guarded"},
    ),
    "accepted": Kind(LogLevel.debug, "A connection came and passed the guards that decide at once.", _PEER),
    "refused": Kind(
        LogLevel.warn,
        "A connection was not let in; `count` says for how many this line stands.",
        {**_PEER, **_CROWDED, "count": 1},
    ),
    "opened": Kind(LogLevel.debug, "The application has the connection.", _PEER),
    "settled": Kind(LogLevel.info, "The application said that this peer is past its login.", _PEER),
    "cut": Kind(
        LogLevel.warn,
        "A connection was ended by a guard or by an operator.",
        {**_PEER, "duration": 612.504, "bytes_in": 38, "bytes_out": 412, **_IDLE},
    ),
    "closed": Kind(
        LogLevel.info,
        "A connection ended by itself: by the peer, the application or the network.",
        {**_PEER, "duration": 1.204, "bytes_in": 97, "bytes_out": 20480, "reason": "Connection was closed cleanly."},
    ),
    "relayed": Kind(
        LogLevel.debug,
        "A server behind the relay has the connection.",
        {**_PEER, "backend": _BACKEND},
    ),
    "unreachable": Kind(
        LogLevel.warn,
        "A server behind the relay did not take a connection; `count` says for how many tries this line stands.",
        {"backend": _BACKEND, "reason": "Connection was refused by other side: 111: Connection refused.", "count": 1},
    ),
    "backend_down": Kind(
        LogLevel.warn,
        "A server behind the relay has failed too many checks in a row, and gets no new connections.",
        {
            "backend": _BACKEND,
            "option": "fall",
            "limit": 3,
            "reason": "Connection was refused by other side: 111: Connection refused.",
        },
    ),
    "backend_up": Kind(
        LogLevel.info,
        "A server behind the relay has passed enough checks in a row, and gets connections again.",
        {"backend": _BACKEND, "option": "rise", "limit": 2},
    ),
    "malformed": Kind(
        LogLevel.warn,
        "What the peer sent is not what the protocol allows.",
        {**_PEER, "problem": "line too long"},
    ),
    "mailbox": Kind(
        LogLevel.warn,
        "Something in a mailbox is not as it should be: `reason` says what, `entry` is the file.",
        {"mailbox": "/srv/mail/alice", "reason": "skipped: not a regular file", "entry": "cur/1795959043.pipe"},
    ),
    "error": Kind(
        LogLevel.error,
        "Something of ours failed while serving a connection.",
        {
            **_PEER,
            "doing": "removing messages",
            "where": "maildrop.py:231",
            "problem": "OSError: [Errno 28] No space left on device",
        },
    ),
    "full": Kind(
        LogLevel.warn,
        "A bounded table is full; the line says what happens to newcomers.",
        {
            "guard": "Penalties",
            "option": "penalty",
            "limit": 65536,
            "reason": "who misbehaved longest ago is forgotten, or who is refused for least, if others are as well",
        },
    ),
    "would_refuse": Kind(
        LogLevel.warn,
        "A guard in observe mode would have refused the connection.",
        {**_PEER, **_CROWDED, "count": 1},
    ),
    "would_cut": Kind(
        LogLevel.warn, "A guard in observe mode would have cut the connection.", {**_PEER, **_IDLE, "count": 1}
    ),
    "would_pause": Kind(
        LogLevel.warn,
        "A guard in observe mode would have slowed the connection down.",
        {**_PEER, "guard": "Bandwidth", "way": "out", "count": 1},
    ),
    "shedding": Kind(
        LogLevel.warn,
        "The service is overloaded and sheds load; the line says by which signal and how.",
        {**_LAG, "observed": "310ms", "by": "refuse"},
    ),
    "recovered": Kind(
        LogLevel.info,
        "A signal of overload has been low for long enough; it sheds nothing any more.",
        {**_LAG, "observed": "4ms"},
    ),
    "unreadable": Kind(
        LogLevel.warn,
        "A signal of overload cannot be read here, so nothing is shed for its sake.",
        {"guard": "LoadShedding", "option": "shed", "signal": "pressure", "limit": "20%"},
    ),
    "penalised": Kind(
        LogLevel.warn,
        "A peer has misbehaved too often and is refused for a while.",
        {
            "client.address": "192.0.2.7",
            "guard": "Penalties",
            "option": "penalty",
            "limit": "10/10m",
            "observed": "11/10m",
            "duration": 60.0,
            "times": 1,
            "peer": "192.0.2.7",
            "kinds": "failed-login,malformed",
        },
    ),
    "ledger_joined": Kind(LogLevel.info, "Machines count together, by a ledger that answers (`--ledger`).", _LEDGER),
    "ledger_lost": Kind(
        LogLevel.warn,
        "The ledger cannot be used; told once. Limits go by what is known here, until it can be, which is tried again.",
        {**_LEDGER, "reason": "it cannot be reached: Connection was refused by other side: 111: Connection refused."},
    ),
    "heartbeat": Kind(
        LogLevel.info,
        "How the service is: since it began, and (`new.`) since the line before; also when it is switched on or off.",
        {
            "uptime": 3600.0,
            "connections": 12,
            "peak": 40,
            "accepted": 986,
            "refused": 5,
            "cut": 2,
            "closed": 972,
            "bytes_in": 48211,
            "bytes_out": 20480113,
            "sheds": 0,
            "lag_median": 0.001,
            "lag_worst": 0.021,
            "rss": 43024384,
            "fds": 27,
            "refused.ConnectionLimit": 5,
            "cut.IdleTimeout": 2,
            "since": 60.0,
            "new.accepted": 17,
            "new.closed": 14,
            "new.bytes_in": 912,
            "new.bytes_out": 350021,
            "interval": "1m",
        },
    ),
    "command": Kind(
        LogLevel.info,
        "Somebody gave a command that changes something, over the control socket or by the page of `--admin`; "
        "`outcome` is `done` or why not.",
        {"uid": 0, "pid": 4711, "outcome": "done", "command": "limits set max-connections 500"},
    ),
    "reloaded": Kind(
        LogLevel.info, "All files (certificates, accounts, rules) have been read again, and are in use.", {}
    ),
    "reload_failed": Kind(
        LogLevel.error,
        "A file could not be used when it was read again: `reason` names it; all is as before with it.",
        {"reason": "server.pem: the certificate is not for the key"},
    ),
    "log_lost": Kind(
        LogLevel.error,
        "Lines could not be written to the log; told once they can, `count` of them, for the `reason` of the first.",
        {"count": 381, "reason": "No space left on device"},
    ),
    "log_stuck": Kind(
        LogLevel.error,
        "The log cannot be reopened or rotated; it goes on where it is, and nothing is lost.",
        {"reason": "cannot rotate /var/log/pop.log: user 110 may not write in /var/log"},
    ),
    "limit_changed": Kind(
        LogLevel.info,
        "An option is another one from now on, by the configuration file or by an operator: `before` and `limit`.",
        {"option": "max-per-peer", "before": "5", "limit": "20"},
    ),
    "restart_needed": Kind(
        LogLevel.warn,
        "An option in the configuration file has changed that holds from the next start on; `limit` holds until then.",
        {"option": "idle", "limit": "10m", "wanted": "5m"},
    ),
    "session": Kind(
        LogLevel.info,
        "A session of the service ended; one line with what it did.",
        {
            **_PEER,
            "reason": "QUIT",
            "duration": 1.204,
            "tls": True,
            "mechanism": "scram-sha-256",
            "denied": 0,
            "retrieved": 3,
            "deleted": 3,
            "bytes_in": 97,
            "bytes_out": 20480,
            "user": "alice",
        },
    ),
    "otp_low": Kind(
        LogLevel.warn,
        "Somebody logged in whose one-time passwords run out: fewer than `limit` are left, and a new chain is due.",
        {**_PEER, "left": 9, "limit": 10, "user": "alice"},
    ),
    "unhardened": Kind(
        LogLevel.warn,
        "Core dumps or debuggers cannot be kept from this process; `reason` says why.",
        {"option": "core-dumps", "reason": "debuggers cannot be kept out here: Function not implemented"},
    ),
    "started": Kind(
        LogLevel.info,
        "The service runs; `ports` says how many of its ports accept connections so far.",
        {"service": "netguard-pop", "pid": 4711, "ports": 2},
    ),
    "taken_over": Kind(
        LogLevel.info,
        "This instance has the `ports` of another one, process `pid`, which drains now (`--take-over`).",
        {"pid": 4711, "ports": 2},
    ),
    **WORKERS,
    "draining": Kind(
        LogLevel.info,
        "The service stops: nobody is let in any more, and those who are in have the time that it says, in seconds.",
        {"connections": 12, "within": 30.0},
    ),
    "stopped": Kind(
        LogLevel.info,
        "The service has stopped, after so many seconds; if it has drained: how long that took, how many connections"
        " there were, and how many had to be cut.",
        {"service": "netguard-pop", "duration": 86400.25, "drained": 1.751, "connections": 12, "cut": 0},
    ),
}
