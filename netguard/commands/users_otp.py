"""`netguard users otp`: a new chain of one-time passwords, as a list on paper or from a pass phrase."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from netguard.accounts import credentials
from netguard.accounts.credentials import OTP
from netguard.commands import users_words as words
from netguard.commands.contract import Refusal
from netguard.commands.secret_input import read_secrets

if TYPE_CHECKING:
    from netguard.accounts.store import Store

_DESCRIPTION = """\
Begin a new chain of one-time passwords (RFC 2289) for a user, who types the next of them in the place of a
password, inside TLS, in any mail program, or has a program that knows OTP. Each works once.
An old chain ends.

Without a pass phrase it prints a list to carry: number and six words a line, the first to be used first;
nobody keeps what it was made from. With a pass phrase (--secret-file), which a generator on the user's own
device turns into one-time passwords, it prints only what such a generator has to know.
"""

_EXAMPLES = """\
examples:
  netguard users -a accounts otp alice --count 20
  netguard users -a accounts otp alice --secret-file - --algorithm md5
"""

_MOST = 9998


def configure(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    verb = verbs.add_parser("otp", help="begin a new chain of one-time passwords for a user")
    verb.description, verb.epilog = _DESCRIPTION, _EXAMPLES
    words.name_argument(verb)
    verb.add_argument(
        "--count", metavar="N", type=_count, help=f"how many, 1 to {_MOST} (default: 100; 499 by a phrase)"
    )
    verb.add_argument("--algorithm", choices=("sha1", "md5"), default="sha1", help="the hash (default: sha1)")
    verb.add_argument("--secret-file", metavar="PATH", help="read the pass phrase; '-' is standard input")
    words.accounts_argument(verb)
    verb.set_defaults(act=_otp)


def _otp(store: Store, arguments: argparse.Namespace) -> None:
    name = arguments.name
    if not store.found(name).exists:
        raise words.unknown(store, name, arguments.accounts)
    if arguments.secret_file:
        phrase, count = _phrase(arguments.secret_file, name), arguments.count or 499
    else:
        phrase, count = credentials.generate(), arguments.count or 100
    chain = credentials.begin_chain(phrase, count, arguments.algorithm)
    if arguments.secret_file:
        sys.stdout.write(f"{credentials.challenge(chain.stored)}\n")
    else:
        for number, text in chain.passwords:
            sys.stdout.write(f"{number:4} {text}\n")
    # What cannot be shown is not put in force: the old chain still is.
    sys.stdout.flush()
    if not store.change(name, {OTP: chain.stored}, {}):
        raise words.unknown(store, name, arguments.accounts)
    words.tell(f"{name} has {count} new one-time passwords; old ones are void")


def _phrase(path: str, name: str) -> str:
    lines = read_secrets(path, f"pass phrase of {name}")
    if len(lines) != 1:
        raise Refusal(f"{len(lines)} lines for one pass phrase")
    try:
        return credentials.check_phrase(lines[0])
    except ValueError as error:
        raise Refusal(str(error)) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text[:20]!a} is not a number from 1 to {_MOST}")
    return int(text)
