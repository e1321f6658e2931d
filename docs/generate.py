"""Write the pages that the code already knows: `python docs/generate.py`.

The option tables come from the catalogue of guards, the events from their vocabulary, the errors from their
classes, the rooms from the architecture test, and the manual pages from the options of the plugins. tests/test_docs.py
fails when a page is stale.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
from twisted.internet.task import Clock

import netguard.mixins  # noqa: F401 - its reasons are children of Reason, too
from netguard import errors, events, sampler
from netguard.options import Option, options_of
from netguard.plugins.explaining import Explainer
from netguard.policy import CATALOGUE, Policy
from netguard.process import control, control_session, live_events
from netguard.process.operator import Operator
from netguard.process.vitals import Vitals
from netguard.promises import PROMISES
from netguard.service import Service
from netguard.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

ROOT = Path(__file__).parent.parent

OPTIONS_PAGE = """\
# Options

Every option is declared once, on the field of a guard. From that come the Python argument, the `--flag` of
`twistd netguard-pop`, `netguard-relay` and `netguard-wrap`, the keyword in a `guard:` endpoint string and the
key in a `--config` file (TOML), and this page. Defaults in *guard* are on in a bare `guard:`, in `netguard-relay`
and in `netguard-wrap`, those in *pop* in `netguard-pop`; `off` switches one off. Nothing is on by itself in Python.

An endpoint string:

```text
guard:tcp:8080:idle=30s:max-per-peer=20
```

The command line (`twistd netguard-wrap`, `twistd netguard-pop`):

```console
$ twistd -n netguard-wrap --idle 30s --max-per-peer 20 -- web --listen tcp:8080 --path .
```

A file for `--config`; `false` is the same as `off`:

```toml
[guards]
idle = "30s"
max-per-peer = 20
```

Python:

```python
from netguard import ConnectionLimit, IdleTimeout, Policy

policy = Policy(IdleTimeout("30s"), ConnectionLimit(per_peer=20))
```

A flag on the command line wins over the file, and the file over the default. `observe` names guards, with
commas (or `all`), that shall only report what they would have done; in Python it is the argument `observe=True`
of any guard. The guards stand here in the order in which a connection meets them.

{guards}"""

UNITS = """\
## Units

{units}"""

ERRORS_PAGE = """\
# Errors

A connection that netguard refuses or cuts ends with one of these reasons, all in `netguard.errors` (those of
`TimeoutMixin` in `netguard.mixins.deadlines`). The application gets it in `connectionLost`, as the value of the
failure; of a refused connection there is no application that could hear. Each is a
`twisted.internet.error.ConnectionAborted`, so code that knows nothing of netguard treats it as any aborted
connection. `limit` and `observed` are in the unit of the option; `str()` is a line for a log.

```python
from netguard.errors import Idle, Reason


def connectionLost(self, reason):
    if isinstance(reason.value, Idle):
        ...  # reason.value.limit and .observed are seconds
    elif isinstance(reason.value, Reason):
        ...  # reason.value.guard and .option say who decided, and by which option
```

{reasons}
## Options

An option that cannot be honoured stops the start, with one line. In Python it is one of these, from
`netguard.errors`; each is a `ValueError`.

{options}"""

EVENTS_PAGE = """\
# Events

netguard tells a connection's life to `twisted.logger`, one event for each line. Every connection has
exactly one last event: `refused`, `cut` or `closed`.

{events}
## Fields

An event of `twisted.logger` has the name under `event` and these fields beside it:

| field | meaning |
| --- | --- |
| `client.address`, `client.port` | the peer, a name where a proxy has resolved it; `unix` for a UNIX socket |
| `server.address`, `server.port` | for `listening`: the real address, of port 0, too; a UNIX socket has its path |
| `backend` | the server behind a relay, as `--to` has it, from the moment at which it has the connection |
| `transport` | for `listening`: `native` where connections are carried by netguard's own transport, else `stock` |
| `session` | the connection's number, unique within the process; a service's own events about it have the same |
| `reason` | why it ended: for `refused` and `cut`, what an [error](errors.md) says of itself |
| `guard`, `option` | which guard decided, and which option would have to change |
| `limit`, `observed` | the limit and what was seen, as one would write the option |
| `duration` | seconds from connection to end; for `penalised`, how long the peer is refused |
| `times`, `kinds`, `peer` | for `penalised`: how many penalties there have been, the last kinds of misdeeds, \
and who is meant: the address or its network |
| `bytes_in`, `bytes_out` | what came from the peer, and what the application wrote |
| `network.peer.address`, `network.peer.port` | the socket's own address, where a PROXY header has named another peer |
| `client.name.verdict`, `client.name` | whether the peer's name was verified, or why not, and the name if it was |
| `client.privileged` | `yes` if the peer's port is below 1024 and `privileged-port` is `log`; it proves nothing |
| `client.ident`, `client.ident.claim` | what the `ident` guard has found out: `claim` and what the peer's machine \
claims, or why it names nobody; it proves nothing |
| `count` | for how many connections the line stands (`refused`, `would_...`), when a flood is sampled |
| `uptime`, `since` | for `heartbeat`: seconds since the service began, and since the line before |
| `connections`, `peak` | for `heartbeat`: how many live, and the most that have lived at a time |
| `accepted`, `refused`, `cut`, `closed` | for `heartbeat`: how many were let in and not, and how they ended; \
`refused.GUARD` and `cut.GUARD` say by which guard, and `would_refuse.GUARD` what one in observe mode would have done |
| `sheds` | for `heartbeat`: how often the service has begun to shed load |
| `lag_median`, `lag_worst` | for `heartbeat`: by how many seconds the event loop was late, since the line before |
| `rss`, `fds` | for `heartbeat`: bytes of memory, and how many files and sockets are open |
| `new.…` | for `heartbeat`: by how much a figure has grown since the line before; those that have not are left out |
| `uid`, `pid`, `command`, `outcome` | for `command`: which user and process, what they wrote, and what came of it |
| `by` | for `command`: `admin`, when it was given by the page of `--admin` |
| `interval` | for `heartbeat`: how often a line comes, or `off` when this was the last |
| `pid`, `ports` | for `started`: the process, and how many ports accept connections so far |
| `within`, `drained` | for `draining`: seconds that connections have; for `stopped`: seconds that it took, with \
`connections` (how many there were) and `cut` (how many had to be) |
| `before`, `wanted` | for `limit_changed`: what held before; for `restart_needed`: what the file has now |
| `way` | for `would_pause`: `in` or `out` |
| `service` | for `guarding` and `unguarded`: what it is; for `started` and `stopped`: the plugin's name |

netguard-pop adds, in `session`: `tls`, `mechanism` (`apop`, `password`, one of SASL such as
`scram-sha-256`, or `-`), `denied` (failed logins), `retrieved`
and `deleted` (messages), `user` (who logged in), and `claimed`, a pseudonym of a name that was refused: the name
itself may be a password in the wrong field. In `malformed`: `problem`; in `error`: `doing`, `where` and `problem`. In
`mailbox`: `mailbox` (its directory), `reason` (an entry that is no mail and was skipped, a size that was wrong, a
message that cannot be sent or removed, a cache that was broken) and `entry`; ten entries that were skipped are told
in a session, then how many more there are. In `otp_low`: `left`, `limit` and `user`.

## Lines

`accepted` and `opened` are two lines for every connection: they are told when asked for, by `--verbose`. (In Python,
`Policy.wrap` tells them unless `verbose=False`, and `line_observer` writes them with `verbose=True`.)

`--log-format text` and `--log-format json` write these lines in place of twistd's log; in Python:

```python
import sys

from twisted.logger import globalLogPublisher

from netguard.events import as_json, line_observer

globalLogPublisher.addObserver(line_observer(sys.stdout, as_json))
```

As text, a line begins with the time and the namespace, then the event and `key=value`. As JSON, it is one
flat object with `time` (RFC 3339, UTC), `level`, `event`, `message` and the fields above. Text that a peer
could choose is escaped, cut at {longest} characters and comes last; neither format can be made to hold a
second line.

A flood of refusals is sampled: the first {most} of a kind in a second are told, the rest are counted, and
the next line of that kind says in `count` for how many it stands. No refusal is left uncounted.

## Examples

One of each, in both formats. What to do about them: [read the logs](../how-to/read-the-logs.md).

{examples}"""

CONTROL_PAGE = """\
# Control

The commands of the socket that a service is given with `--control PATH`, by `netguard ctl PATH COMMAND` or by any
program that can write a line to a UNIX socket. What a command changes holds until the service ends.

{commands}
A command that is marked as *in the log* is told there as the event `command`, with the user and the process that gave
it, and with what came of it, whether it was done or not.

## For programs

A command is a line of ASCII, at most {longest} bytes, with blanks between its words. The answer is one line of JSON:
an object with `"ok": true` and what was asked for, or with `"ok": false` and, under `error`, one line that says why
not. Commands are answered in their order, one at a time. `events` answers with a line for each event, as [the log has
it in JSON](events.md), until the client sends anything; then comes its own answer. At most {events} events wait for a
reader and {pace} are written in a second; of more, a line `{{"event": "lost", "count": 12}}` says, at the place where
they would be, how many there were.

| in `connections` | meaning |
| --- | --- |
| `total`, `matching` | how many there are, and how many of them `match` found |
| `session` | the number by which to `cut` it; the same as in the log |
| `server` | the address of the service that it came to |
| `state` | `opening` while guards decide, `open`; `refused` and `cut` until the transport is gone |
| `age`, `silent`, `stalled` | seconds since it came, last sent or took something, and last took some of what waits |
| `settled` | whether the application has said that it is past its login |
| `received`, `sent`, `queued` | bytes: those that came, that the application wrote, that wait in this process |
| `paused` | which guards hold it back, and in which direction |
| `waits` | what each guard waits for: seconds to a deadline, or bytes to a mark, are `left` |

The socket has the mode 0600 from its first moment, and the kernel is asked who connects: root, or the user that the
service runs as; with `--uid`, the socket is given to that user. There are at most {clients} clients at a time. One
that gives no command for {idle} seconds is cut. A socket that a killed instance has left behind is removed at the
next start if that holds the [lock](../how-to/run-one-instance.md); nothing else is ever removed.
"""

ROOMS_PAGE = """\
# Rooms

A room is a module of `netguard` or a folder of them. `tests/test_architecture.py` holds the arrows between them as
data and fails on any other import, on any cycle, and on files and functions that grow too long.

## From the ground up

A room imports only from the lines above its own.

{floors}
## Every arrow

{rooms}"""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def first_sentence(thing: object) -> str:
    """The summary line of a docstring, as Markdown."""
    summary = (inspect.getdoc(thing) or "").partition("\n")[0]
    return re.sub(r"(?::\w+:)?`{1,2}~?([^`]+)`{1,2}", r"`\1`", summary)


def default_of(guard: type, one: Option, surface: str) -> str:
    """The default of an option on one surface, as one would write it, or in words; empty when it is off."""
    text, refined = one.defaults.get(surface, ""), attrs.fields_dict(guard)[one.field].default
    if one.qualifies and refined is not None:
        text = one.unit.text(refined)
    return f"`{text}`" if text else one.otherwise


def guard_section(guard: type) -> str:
    """One guard and its options."""
    rows = [
        (
            ", ".join(f"`{word}`" for word in (one.flag, *one.shorthands)),
            f"`{one.field}`",
            one.unit.name,
            one.help,
            *(default_of(guard, one, surface) for surface in ("guard", "pop")),
        )
        for one in options_of(guard)
    ]
    head = ["option", "in Python", "unit", "what it does", "guard", "pop"]
    return f"## {guard.__name__}\n\n{first_sentence(guard)}\n\n{table(head, rows)}\n"


def options_page() -> str:
    """Every option of every guard, in the order in which a connection meets them."""
    units = {one.unit.name: one.unit.expects for guard in CATALOGUE for one in options_of(guard)}
    rows = [(name, expects) for name, expects in sorted(units.items())]
    return OPTIONS_PAGE.format(guards="".join(map(guard_section, CATALOGUE))) + UNITS.format(
        units=table(["unit", "what to write"], rows)
    )


def guards_table() -> str:
    """The guards in short, for the README."""
    rows = [
        (
            f"`{guard.__name__}`",
            first_sentence(guard),
            ", ".join(f"`{word}`" for one in options_of(guard) for word in (one.flag, *one.shorthands)),
        )
        for guard in CATALOGUE
    ]
    return table(["guard", "what it does", "options"], rows)


def readme() -> str:
    """The README, with the table of guards between its two marks."""
    before, begin, rest = (ROOT / "README.md").read_text().partition("<!-- guards -->\n")
    _, end, after = rest.partition("<!-- end of guards -->\n")
    if not begin or not end:
        raise ValueError("README.md has lost the marks around its table of guards")
    return f"{before}{begin}\n{guards_table()}\n{end}{after}"


def promises() -> str:
    """The page of the promises, with their words in its second column."""
    text = (ROOT / "docs/promises.md").read_text()
    for each in PROMISES:
        text = re.sub(
            rf"^\| {each.number} \| [^|]+ \|",
            f"| {each.number} | **{each.title}**{each.text} |",
            text,
            flags=re.MULTILINE,
        )
    return text


def reasons(top: type[errors.Reason] = errors.Reason) -> Iterator[type[errors.Reason]]:
    """Every reason that netguard itself declares, parents before children."""
    for each in top.__subclasses__():
        if each.__module__.startswith("netguard."):
            yield each
            yield from reasons(each)


def errors_page() -> str:
    """Every reason to refuse or cut, and every way an option can be wrong."""
    rows = [
        (
            f"`{each.__name__}`",
            f"`{each.guard}`" if each.guard else "",
            f"`{each.option}`" if each.option else "",
            each.unit.name if each.option else "",
            first_sentence(each),
        )
        for each in reasons()
    ]
    children = errors.OptionError.__subclasses__()  # rooms above may have theirs
    kinds: list[type] = [
        errors.OptionError,
        *(each for each in children if each.__module__.startswith("netguard.errors")),
    ]
    options = [(f"`{each.__name__}`", first_sentence(each)) for each in kinds]
    return ERRORS_PAGE.format(
        reasons=table(["reason", "guard", "option", "unit", "when"], rows),
        options=table(["error", "when"], options),
    )


MOMENT = 1_767_225_599.25
"""When the events of the examples happened."""


def example(name: str) -> str:
    """An event of the vocabulary, as the log has it in each format."""
    kind = VOCABULARY[name]
    event = {"log_time": MOMENT, "log_namespace": "netguard", "log_level": kind.level}
    event["netguard"] = events.Event(name, kind.example)
    return f"### {name}\n\n```text\n{events.as_text(event)}\n```\n\n```json\n{events.as_json(event)}\n```\n"


def events_page() -> str:
    """The vocabulary of the log."""
    rows = [(f"[`{name}`](#{name})", f"`{kind.level.name}`", kind.meaning) for name, kind in VOCABULARY.items()]
    return EVENTS_PAGE.format(
        events=table(["event", "level", "meaning"], rows),
        longest=events.LONGEST,
        most=inspect.signature(sampler.Sampler).parameters["most"].default,
        examples="\n".join(map(example, VOCABULARY)),
    )


def control_page() -> str:
    """The commands of the control socket."""
    house = Service(lambda: cast("Any", Clock()))
    more = [Explainer(Policy(), house).command]
    rows = [
        (f"`{each.synopsis}`", each.help, "yes" if each.changes else "")
        for each in Operator(house, Vitals(house), house.reactor, more).commands
    ]
    return CONTROL_PAGE.format(
        commands=table(["command", "what it does", "in the log"], rows),
        longest=control_session.LONGEST,
        clients=control.CLIENTS,
        idle=f"{control_session.IDLE:.0f}",
        events=live_events.MOST,
        pace=round(live_events.AT_A_TIME / live_events.PERIOD),
    )


def floors(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """The rooms, each as low as its arrows let it stand."""
    placed: dict[str, int] = {}
    while len(placed) < len(arrows):
        ready = [room for room, targets in arrows.items() if room not in placed and targets <= placed.keys()]
        if not ready:
            raise ValueError("the table of arrows has a cycle, or an arrow to a room that it does not know")
        placed |= {room: 1 + max((placed[each] for each in arrows[room]), default=-1) for room in ready}
    return [[room for room, at in placed.items() if at == floor] for floor in range(max(placed.values()) + 1)]


def rooms_page() -> str:
    """Which part of the package may import which."""
    arrows: Mapping[str, set[str]] = _load(ROOT / "tests" / "test_architecture.py").ARROWS
    levels = [(str(at), ", ".join(f"`{room}`" for room in sorted(each))) for at, each in enumerate(floors(arrows))]
    rows = [
        (f"`{room}`", ", ".join(f"`{each}`" for each in sorted(allowed)) or "nothing of netguard")
        for room, allowed in arrows.items()
    ]
    return ROOMS_PAGE.format(floors=table(["floor", "rooms"], levels), rooms=table(["room", "may import"], rows))


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NOTE = "<!-- Written by docs/generate.py from the code. Change the code, then run it. -->\n\n"

_MANUAL = _load(ROOT / "docs/manual.py")

PAGES: Mapping[str, Callable[[], str]] = {
    "docs/reference/options.md": options_page,
    "docs/reference/errors.md": errors_page,
    "docs/reference/events.md": events_page,
    "docs/reference/rooms.md": rooms_page,
    "docs/reference/control.md": control_page,
    "docs/reference/netguard-pop.md": _MANUAL.pop,
    "docs/reference/netguard-relay.md": _MANUAL.relay,
}


def stale() -> dict[str, str]:
    """The pages whose text is not what the code says, with the text that they should have."""
    wanted = {name: NOTE + page() for name, page in PAGES.items()}
    wanted |= {"README.md": readme(), "docs/promises.md": promises()}
    return {
        name: text for name, text in wanted.items() if not (ROOT / name).exists() or (ROOT / name).read_text() != text
    }


if __name__ == "__main__":
    for name, text in stale().items():
        (ROOT / name).write_text(text)
        print(f"wrote {name}")
