"""`netguard users list`, `show`, `verify` and `remove`: who is there, and whether all is well."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from netguard.accounts import inspection
from netguard.commands import users_words as words
from netguard.commands.contract import Refusal
from netguard.commands.secret_input import read_secrets

if TYPE_CHECKING:
    import argparse

    from netguard.accounts.records import Found
    from netguard.accounts.store import Store

_VERIFY = """\
Without a name: read every credential and setting of the file, and say which cannot be used.
With a name: say which credentials a secret (--secret-file, default: standard input) is right for; codes and
one-time passwords are not used up by it. The status is 1 when something is wrong.
"""
_VERIFY_EXAMPLES = """\
examples:
  netguard users -a accounts verify
  netguard users -a accounts verify alice
"""


def configure(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verbs."""
    listing = verbs.add_parser("list", help="show the users and the kinds of their credentials")
    listing.set_defaults(act=_list)
    show = verbs.add_parser("show", help="show what is stored of a user, but no secret")
    words.name_argument(show)
    show.set_defaults(act=_show)
    verify = verbs.add_parser("verify", help="check the file, or a secret of a user")
    verify.description, verify.epilog = _VERIFY, _VERIFY_EXAMPLES
    verify.add_argument("name", metavar="NAME", type=words.name, nargs="?", help="the exact name")
    verify.add_argument("--secret-file", metavar="PATH", default="-", help="where the secret is; '-' is standard input")
    verify.set_defaults(act=_verify)
    remove = verbs.add_parser("remove", help="remove a user and all credentials; the mailbox stays")
    words.name_argument(remove)
    remove.set_defaults(act=_remove)
    for verb in (listing, show):
        verb.add_argument("--json", action="store_true", help="JSON instead of a table")
    for verb in (listing, show, verify, remove):
        words.accounts_argument(verb)


def _list(store: Store, arguments: argparse.Namespace) -> None:
    users = store.users()
    if arguments.json:
        rows = [{"name": user.name, "credentials": user.kinds, "added": words.when(user.added)} for user in users]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    table = [("NAME", "CREDENTIALS", "ADDED")]
    table += [(user.name, ",".join(user.kinds), words.when(user.added)) for user in users]
    name, kinds = (max(len(row[column]) for row in table) for column in (0, 1))
    for row in table:
        sys.stdout.write(f"{row[0]:{name}}  {row[1]:{kinds}}  {row[2]}\n")


def _show(store: Store, arguments: argparse.Namespace) -> None:
    found = _found(store, arguments)
    credentials = {kind: _state(kind, stored) for kind, stored in found.credentials.items()}
    if arguments.json:
        shown = {"name": found.name, "credentials": credentials, "settings": found.settings}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return
    sys.stdout.write(f"{found.name}\n")
    for word, value in {**credentials, **found.settings}.items():
        sys.stdout.write(f"  {word:14} {value}".rstrip() + "\n")


def _state(kind: str, stored: str) -> str:
    try:
        return inspection.state(kind, stored)
    except ValueError as error:
        return f"unusable: {error}"


def _verify(store: Store, arguments: argparse.Namespace) -> None:
    if arguments.name is None:
        _verify_all(store)
        return
    found = _found(store, arguments)
    secrets = read_secrets(arguments.secret_file, f"a secret of {found.name}")
    if len(secrets) != 1:
        raise Refusal(f"{len(secrets)} lines for one secret")
    try:
        kinds = inspection.matching(found, secrets[0], time.time())
    except ValueError as error:
        raise Refusal(f"{found.name}: {error}") from None
    if not kinds:
        raise Refusal(f"that is no secret of {found.name}")
    for kind in kinds:
        sys.stdout.write(f"{kind}\n")


def _verify_all(store: Store) -> None:
    store.verify()
    users = store.users()
    problems = [line for user in users for line in inspection.problems(store.found(user.name))]
    for line in problems:
        sys.stdout.write(f"{line}\n")
    if problems:
        raise Refusal(f"{len(problems)} of what is stored cannot be used")
    words.tell(f"all is well with {len(users)} users")


def _found(store: Store, arguments: argparse.Namespace) -> Found:
    found = store.found(arguments.name)
    if not found.exists:
        raise words.unknown(store, arguments.name, arguments.accounts)
    return found


def _remove(store: Store, arguments: argparse.Namespace) -> None:
    if not store.remove(arguments.name):
        raise words.unknown(store, arguments.name, arguments.accounts)
    words.tell(f"removed {arguments.name}; a session that is open now stays open until it ends")
