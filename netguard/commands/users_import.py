"""`netguard users import`: users out of a Dovecot passwd-file."""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from netguard.accounts import credentials
from netguard.accounts.credentials import KINDS, OTP, SCRAM, TOTP
from netguard.accounts.dovecot import Entry, Refused, entries
from netguard.accounts.names import folded
from netguard.accounts.records import NewUser
from netguard.accounts.store import Store
from netguard.commands import users_words as words
from netguard.commands.contract import Refusal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

_DESCRIPTION = """\
Add the users of a Dovecot passwd-file. Verifiers of {SCRAM-SHA-256} and {ARGON2ID} are kept as they are;
a password that lies open ({PLAIN}) becomes the credentials of --with. A Maildir in 'userdb_mail' becomes the
user's mailbox. What cannot be taken is told with its line and the reason, and the rest is added all the same;
the status is then 1.
"""

_EXAMPLES = """\
examples:
  netguard users -a accounts import /etc/dovecot/users --dry-run
  netguard users -a accounts import /etc/dovecot/users \\
      --scheme PLAIN --with scram-sha-256,apop
"""

_MOST_OCTETS = 64 * 1024 * 1024


def configure(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    verb = verbs.add_parser("import", help="add the users of a Dovecot passwd-file")
    verb.description, verb.epilog = _DESCRIPTION, _EXAMPLES
    verb.add_argument("file", metavar="PASSWD", help="the passwd-file")
    verb.add_argument("--scheme", default="CRYPT", help="the scheme of passwords that name none (default: CRYPT)")
    verb.add_argument(
        "--with",
        dest="kinds",
        metavar="KINDS",
        type=words.kinds,
        default=[credentials.DEFAULT],
        help=f"what a password that lies open becomes (default: {credentials.DEFAULT})",
    )
    verb.add_argument("--dry-run", action="store_true", help="only say what would be done")
    words.accounts_argument(verb)
    verb.set_defaults(act=_import)


def _import(store: Store, arguments: argparse.Namespace) -> None:
    if unfit := {OTP, TOTP} & set(arguments.kinds):
        raise Refusal(f"--with: {min(unfit)} cannot be made of a password")
    read = list(entries(_lines(arguments.file), arguments.scheme))
    if not arguments.dry_run:
        store.create()
    there = store.users() if Path(arguments.accounts).exists() else []
    taken = {folded(user.name): user.name for user in there}
    accepted, refused = _sorted(read, taken)
    for each in refused:
        words.tell(f"{arguments.file}:{each.line}: {each.name or '(a name that cannot be shown)'}: {each.reason}")
    if not arguments.dry_run:
        scrams = any(SCRAM in user.kinds for user in there)
        _store(store, accepted, arguments.kinds, adopt=not scrams)
    words.tell(f"{'would add' if arguments.dry_run else 'added'} {len(accepted)} of {len(read)} users")
    if refused:
        raise Refusal(f"{len(refused)} of {len(read)} users in {arguments.file} cannot be imported")


def _sorted(read: Sequence[Entry | Refused], taken: dict[str, str]) -> tuple[list[Entry], list[Refused]]:
    """Who can be added, and who cannot, with names that are taken among them."""
    accepted: list[Entry] = []
    refused: list[Refused] = []
    for each in read:
        if isinstance(each, Refused):
            refused.append(each)
        elif (other := taken.get(folded(each.name))) is not None:
            refused.append(Refused(each.line, each.name, f"there is a user {other!r} already"))
        else:
            taken[folded(each.name)] = each.name
            accepted.append(each)
    return accepted, refused


def _store(store: Store, accepted: Sequence[Entry], kinds: Sequence[str], *, adopt: bool) -> None:
    """Add them; the first SCRAM verifiers of a file decide what unknown users are shown as its cost."""
    costs = Counter(credentials.iterations(each.stored[SCRAM]) for each in accepted if SCRAM in each.stored)
    iterations = store.found("").iterations
    if costs and adopt:
        iterations = costs.most_common(1)[0][0]
    store.add_all(_users(accepted, kinds, iterations), iterations)
    if others := sum(costs.values()) - costs[iterations]:
        words.tell(
            f"warning: {others} SCRAM verifiers have other than {iterations} iterations;"
            " who tries to log in as their users can tell that these exist"
        )


def _users(accepted: Sequence[Entry], kinds: Sequence[str], iterations: int) -> Iterator[NewUser]:
    for each in accepted:
        stored = dict(each.stored)
        if each.plain is not None:
            stored |= {kind: KINDS[kind].stored(each.plain, iterations) for kind in kinds}
        yield NewUser(each.name, stored, each.settings)


def _lines(path: str) -> list[str]:
    try:
        with Path(path).open("rb") as file:
            if os.fstat(file.fileno()).st_mode & stat.S_IROTH:
                sys.stderr.write(f"netguard: warning: everybody can read {path}\n")
            octets = file.read(_MOST_OCTETS + 1)
    except OSError as error:
        raise Refusal(f"{path}: {error.strerror}") from None
    if len(octets) > _MOST_OCTETS:
        raise Refusal(f"{path}: it has more than {_MOST_OCTETS} octets")
    try:
        return octets.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise Refusal(f"{path}: it is not UTF-8 text") from None
