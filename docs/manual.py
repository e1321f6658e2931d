"""The manual pages netguard-pop(8) and netguard-relay(8), from the options that the plugins take.

`docs/generate.py` writes them. They are Markdown like the other pages, so that they are read on the web too;
`make docs` makes the pages for man(1) of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netguard.options import options_of
from netguard.plugins.guard_options import GuardOptions, explain
from netguard.plugins.pop import Options as PopOptions
from netguard.plugins.relay import Options as RelayOptions
from netguard.policy import CATALOGUE, words

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = """\
# {name}(8)

## Synopsis

**twistd** [*twistd's options*] **{name}** {synopsis}

## Description

{about} Guards are
limits of time, bytes, numbers and rates, access rules, load shedding and penalties.

*twistd's options* stand before the name: `-n` stays in the foreground, `--pidfile` and `--logfile` say where those
lie, `--uid` and `--gid` say who it becomes once its ports are open. See twistd(1).

{first} A mistake in an option or a file ends the start with one line.

## Options

{own}
## Options of the guards

Each may also stand in the file of `--config`, under `[guards]`, where it is written without the dashes; the command
line wins. `off` switches one off, as in `--idle off`.

{guards}
`--observe` *GUARD*
: {observe}

## Signals

SIGTERM, SIGINT
: Stop: close the ports, let connections finish for as long as `--drain` says, cut the rest. A second signal cuts them
  at once.

SIGUSR2
: Switch the heartbeat (`--heartbeat`) on or off; either way a line comes at once.

SIGHUP
: Read {files} again; the event `reloaded` says that all are in use. Nobody is
  dropped. A file that cannot be used changes nothing, and the event `reload_failed` names it.{demo}

## Exit status

1
: An option, a file{accounts} or a certificate cannot be used, or a port cannot be had: one line says why.

0
: It was stopped by SIGTERM or SIGINT, and nobody had to be cut.

by the signal
: It was stopped, and somebody had to be cut.

{rest}"""

POP = """\
## Examples

Mailboxes below /srv/mail, APOP and STLS on port 110, TLS on port 995:

```console
$ twistd -n netguard-pop --maildir '/srv/mail/{user}' --accounts accounts --tls /etc/netguard/tls/mail.pem
```

A certificate and its key in two files, and another certificate for another name:

```console
$ twistd -n netguard-pop --maildir '/srv/mail/{user}' --accounts accounts --tls a.pem --tls a.key --tls b.pem
```

To only try it:

```console
$ twistd -n netguard-pop --demo
```

## See also

twistd(1), openssl(1), services(5); RFC 1939, RFC 2449, RFC 2595, RFC 5034, RFC 6856 and RFC 8314.
"""

RELAY = """\
## Examples

Guards in front of a web server on the same machine:

```console
$ twistd -n netguard-relay --listen tcp:8080 --to tcp:127.0.0.1:80 --max-per-peer 20
```

Two Redis servers, which are looked at every five seconds:

```console
$ twistd -n netguard-relay --listen tcp:6379 --to tcp:10.0.0.5:6379,tcp:10.0.0.6:6379 --check 5s
```

TLS from the client and, verified, to the backend, which is told who the client is:

```console
$ twistd -n netguard-relay --listen tls:993 --tls mail.pem --to tls:mail.example:993 --send-proxy v2
```

## See also

twistd(1), netguard-pop(8), services(5); <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.
"""

# What stands behind an option that takes a value.
_VALUES = {
    "accounts": "FILE",
    "alpn": "PROTOCOLS",
    "balance": "RULE",
    "check": "DURATION",
    "config": "FILE",
    "connect-within": "DURATION",
    "control": "PATH",
    "fall": "COUNT",
    "heartbeat": "INTERVAL",
    "drain": "DURATION",
    "take-over": "SOCKET",
    "hostname": "NAME",
    "ledger": "URL",
    "listen": "ENDPOINT",
    "lock": "FILE",
    "log-format": "FORMAT",
    "log-size": "SIZE",
    "log-keep": "NUMBER",
    "maildir": "DIR",
    "rise": "COUNT",
    "send-proxy": "VERSION",
    "tls": "PEM",
    "tls-ca": "PEM",
    "to": "ENDPOINTS",
}


def pop() -> str:
    """The manual page netguard-pop(8), as Markdown."""
    return _page(
        "netguard-pop",
        PopOptions(),
        rest=POP,
        first="Accounts are made by `netguard users`.",
        files="certificates, accounts and access rules",
        accounts=", the accounts",
        demo=" With `--demo`, end.",
    )


def relay() -> str:
    """The manual page netguard-relay(8), as Markdown."""
    return _page(
        "netguard-relay",
        RelayOptions(),
        rest=RELAY,
        first="Connections are counted over all ports together.",
        files="certificates and access rules",
        accounts="",
        demo="",
    )


def _page(name: str, options: PopOptions | RelayOptions, **parts: str) -> str:
    own = "".join(_own(options))
    guards = "".join(f"### {guard.__name__}\n\n{''.join(_guard(guard, options.surface))}" for guard in CATALOGUE)
    observe = "Only report what this guard (its name, or `all`) would have done. May be given several times."
    synopsis = options.synopsis.replace("[", "\\[").replace("|", "\\|").replace("{", "\\{")
    about = options.about.strip().partition("\n\n")[0]
    return PAGE.format(name=name, synopsis=synopsis, about=about, own=own, guards=guards, observe=observe, **parts)


def _own(options: GuardOptions) -> Iterator[str]:
    for each in options.longOpt:
        name, takes, _ = each.partition("=")
        if name not in words() and name != "observe":
            value = f" *{_VALUES.get(name, 'VALUE')}*" if takes else " \\[*DIR*\\]" if name == "demo" else ""
            yield _entry(f"`--{name}`{value}", options.docs.get(name) or "")


def _guard(guard: type, surface: str) -> Iterator[str]:
    summary = (guard.__doc__ or "").strip().partition("\n")[0]
    yield summary + "\n\n"
    for one in options_of(guard):
        yield _entry(f"`--{one.flag}` *{one.unit.name.upper()}*", explain(guard, one, surface))
        for word in one.shorthands:
            yield _entry(f"`--{word}` *VALUE*", f"The same as `--{one.flag} '{word} VALUE'`; the order counts.")


def _entry(term: str, text: str) -> str:
    plain = " ".join(text.split()).replace("*", "\\*").replace("<", "\\<")
    return f"{term}\n: {plain[:1].upper()}{plain[1:].rstrip('.')}.\n\n"
