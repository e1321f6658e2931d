"""`netguard users`: who may log in to netguard's services."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

from netguard.accounts import credentials
from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.names import check_name
from netguard.accounts.store import NameTaken, Store, User
from netguard.commands.contract import Refusal
from netguard.commands.secret_input import read_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "users"
SUMMARY = "add, list and remove the users of an accounts file"

_DESCRIPTION = """\
Add, list and remove the users of an accounts file. A running service sees every change at its next login.

The file is made, with mode 0600, by the first 'add'. Nobody else may read it, nor write to its directory.
"""

_EXAMPLES = """\
examples:
  netguard users -a /etc/netguard/accounts add alice --with apop --generate
  netguard users -a /etc/netguard/accounts add bob --secret-file -     (asks for it, or reads standard input)
  netguard users -a /etc/netguard/accounts list --json
  netguard users -a /etc/netguard/accounts remove alice
"""

_ADD_DESCRIPTION = """\
Add a user with one or more credentials.

kinds of credential (--with, default: password):
{kinds}

where the secrets come from (one of the two is needed; a secret is never an argument, for others see those):
  --generate          makes a random secret of 160 bits for each kind and prints 'KIND SECRET' lines, once
  --secret-file PATH  reads them, one a line, in the order of --with; '-' is standard input, and at a
                      terminal one secret is asked for without showing it. With both kinds, a single line
                      is the password, and the APOP secret is made and printed: APOP keeps its secret readable
                      on the server, so it should not be the password too. Two lines set both.
"""

_ADD_EXAMPLES = """\
examples:
  netguard users -a accounts add alice --with apop --generate
  netguard users -a accounts add bob --with apop,password --generate
  netguard users -a accounts add carol --secret-file /run/secrets/carol
  printf '%s\\n' "$APOP" "$PW" | netguard users -a accounts add dave --with apop,password --secret-file -
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `netguard users`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    # Before or behind the verb: SUPPRESS, so that the default of one place does not undo the other.
    where = {"metavar": "FILE", "default": argparse.SUPPRESS, "help": "the accounts file"}
    parser.add_argument("-a", "--accounts", **where)  # type: ignore[arg-type]
    verbs = parser.add_subparsers(dest="verb", metavar="add|list|remove", required=True)

    add = verbs.add_parser("add", help="add a user")
    kinds = "\n".join(f"  {kind.name:10}{kind.summary}" for kind in credentials.KINDS.values())
    add.description = _ADD_DESCRIPTION.format(kinds=kinds)
    add.epilog = _ADD_EXAMPLES
    add.add_argument("name", metavar="NAME", type=_name, help="1 to 64 octets; visible, no '/', no leading dot")
    add.add_argument(
        "--with",
        dest="kinds",
        metavar="KINDS",
        type=_kinds,
        default=[credentials.PASSWORD],
        help=f"kinds of credential, parted by commas: {', '.join(credentials.KINDS)}",
    )
    source = add.add_mutually_exclusive_group(required=True)
    source.add_argument("--generate", action="store_true", help="make the secrets and print them once")
    source.add_argument("--secret-file", metavar="PATH", help="read the secrets; '-' is standard input")
    add.set_defaults(act=_add)

    show = verbs.add_parser("list", help="show the users and the kinds of their credentials")
    show.add_argument("--json", action="store_true", help="a JSON array instead of a table")
    show.set_defaults(act=_list)

    remove = verbs.add_parser("remove", help="remove a user and all credentials; the mailbox stays")
    remove.add_argument("name", metavar="NAME", type=_name, help="the exact name")
    remove.set_defaults(act=_remove)
    for verb in (add, show, remove):
        verb.add_argument("-a", "--accounts", **where)  # type: ignore[arg-type]


def run(arguments: argparse.Namespace) -> None:
    """Carry out `netguard users`."""
    if "accounts" not in arguments:
        raise Refusal("which accounts file? give -a FILE")
    store = Store(arguments.accounts)
    try:
        arguments.act(store, arguments)
    except AccountsTrouble as trouble:
        raise Refusal(str(trouble)) from None
    finally:
        store.close()


def _add(store: Store, arguments: argparse.Namespace) -> None:
    name, kinds = arguments.name, arguments.kinds
    asked = credentials.PASSWORD if credentials.PASSWORD in kinds else kinds[0]
    given = [] if arguments.generate else read_secrets(arguments.secret_file, f"{asked} secret of {name}")
    secrets, shown = _assign(kinds, given)
    stored = {kind: credentials.KINDS[kind].stored(secret) for kind, secret in secrets.items()}
    store.create()
    try:
        store.add(name, stored)
    except NameTaken as taken:
        alike = "" if taken.name == name else f", which is too much like {name!r}"
        raise Refusal(f"there is a user {taken.name!r} already{alike}; 'remove' that one first") from None
    try:
        for kind in shown:
            sys.stdout.write(f"{kind} {secrets[kind]}\n")
        sys.stdout.flush()
    except OSError as error:
        store.remove(name)
        raise Refusal(f"nothing was added, for the secret could not be shown: {error.strerror}") from None
    _tell(f"added {name} with {' and '.join(kinds)}")
    if shown:
        _tell("what is shown above is not shown again: copy it to the mail program now")
    for kind, secret in secrets.items():
        advice = credentials.advice(kind, secret)
        if advice:
            _tell(f"warning: {advice}")


def _assign(kinds: Sequence[str], given: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Which secret each kind gets, and the kinds whose secret was made here and must be shown."""
    if not given:
        return {kind: credentials.generate() for kind in kinds}, list(kinds)
    if len(given) == len(kinds):
        return dict(zip(kinds, given, strict=True)), []
    if len(given) == 1 and set(kinds) == {credentials.APOP, credentials.PASSWORD}:
        secrets = {credentials.PASSWORD: given[0], credentials.APOP: credentials.generate()}
        return {kind: secrets[kind] for kind in kinds}, [credentials.APOP]
    raise Refusal(f"{len(given)} secrets for {len(kinds)} kinds of credential: give one a line, in their order")


def _list(store: Store, arguments: argparse.Namespace) -> None:
    users = store.users()
    if arguments.json:
        rows = [{"name": user.name, "credentials": user.kinds, "added": _when(user)} for user in users]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    table = [("NAME", "CREDENTIALS", "ADDED")]
    table += [(user.name, ",".join(user.kinds), _when(user)) for user in users]
    name, kinds = (max(len(row[column]) for row in table) for column in (0, 1))
    for row in table:
        sys.stdout.write(f"{row[0]:{name}}  {row[1]:{kinds}}  {row[2]}\n")


def _remove(store: Store, arguments: argparse.Namespace) -> None:
    if store.remove(arguments.name):
        _tell(f"removed {arguments.name}; a session that is open now stays open until it ends")
        return
    near = get_close_matches(arguments.name, [user.name for user in store.users()], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise Refusal(f"there is no user {arguments.name!r} in {arguments.accounts}{hint}")


def _name(text: str) -> str:
    try:
        return check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _kinds(text: str) -> list[str]:
    """Kinds of credential, parted by commas."""
    kinds = text.split(",")
    for kind in kinds:
        if kind not in credentials.KINDS:
            known = ", ".join(credentials.KINDS)
            raise argparse.ArgumentTypeError(f"{kind!a} is not a kind of credential; there are: {known}")
    if len(set(kinds)) != len(kinds):
        raise argparse.ArgumentTypeError("a kind of credential is given twice")
    return kinds


def _when(user: User) -> str:
    return datetime.fromtimestamp(user.added, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tell(line: str) -> None:
    """What is for the person and not for a pipe."""
    sys.stderr.write(f"netguard users: {line}\n")
