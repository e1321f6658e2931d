"""The manual page netguard-pop(8), from the options that the plugin takes; `docs/generate.py` writes it.

The page is Markdown like the others, so that it is read on the web too; `make docs` makes the page for man(1) of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netguard.options import options_of
from netguard.plugins.guard_options import explain
from netguard.plugins.pop import Options
from netguard.policy import CATALOGUE, words

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = """\
# netguard-pop(8)

## Synopsis

**twistd** [*twistd's options*] **netguard-pop** {synopsis}

## Description

{about} Guards are
limits of time, bytes, numbers and rates, access rules, load shedding and penalties.

*twistd's options* stand before the name: `-n` stays in the foreground, `--pidfile` and `--logfile` say where those
lie, `--uid` and `--gid` say who it becomes once its ports are open. See twistd(1).

Accounts are made by `netguard users`. A mistake in an option or a file ends the start with one line.

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
: Read certificates, accounts and access rules again; the event `reloaded` says that all are in use. Nobody is
  dropped. A file that cannot be used changes nothing, and the event `reload_failed` names it. With `--demo`, end.

## Exit status

1
: An option, a file, the accounts or a certificate cannot be used, or a port cannot be had: one line says why.

0
: It was stopped by SIGTERM or SIGINT, and nobody had to be cut.

by the signal
: It was stopped, and somebody had to be cut.

## Examples

Mailboxes below /srv/mail, APOP and STLS on port 110, TLS on port 995:

```console
$ twistd -n netguard-pop --maildir '/srv/mail/{{user}}' --accounts accounts --tls /etc/netguard/tls/mail.pem
```

A certificate and its key in two files, and another certificate for another name:

```console
$ twistd -n netguard-pop --maildir '/srv/mail/{{user}}' --accounts accounts --tls a.pem --tls a.key --tls b.pem
```

To only try it:

```console
$ twistd -n netguard-pop --demo
```

## See also

twistd(1), openssl(1), services(5); RFC 1939, RFC 2449, RFC 2595, RFC 5034, RFC 6856 and RFC 8314.
"""

# What stands behind an option that takes a value.
_VALUES = {
    "accounts": "FILE",
    "config": "FILE",
    "heartbeat": "INTERVAL",
    "drain": "DURATION",
    "hostname": "NAME",
    "listen": "ENDPOINT",
    "lock": "FILE",
    "log-format": "FORMAT",
    "log-size": "SIZE",
    "log-keep": "NUMBER",
    "maildir": "DIR",
    "tls": "PEM",
    "tls-ca": "PEM",
}


def page() -> str:
    """The manual page, as Markdown."""
    options = Options()
    own = "".join(_own(options))
    guards = "".join(f"### {guard.__name__}\n\n{''.join(_guard(guard, options.surface))}" for guard in CATALOGUE)
    observe = "Only report what this guard (its name, or `all`) would have done. May be given several times."
    synopsis = options.synopsis.replace("[", "\\[").replace("|", "\\|").replace("{", "\\{")
    about = options.about.strip().partition("\n\n")[0]
    return PAGE.format(synopsis=synopsis, about=about, own=own, guards=guards, observe=observe)


def _own(options: Options) -> Iterator[str]:
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
