"""`netguard users`: who may log in to netguard's services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.store import Store
from netguard.commands import users_add, users_import, users_otp, users_show
from netguard.commands.contract import Refusal
from netguard.commands.users_words import accounts_argument

if TYPE_CHECKING:
    import argparse

NAME = "users"
SUMMARY = "add, change, list and remove the users of an accounts file"

_DESCRIPTION = """\
Add, change, list and remove the users of an accounts file.
A running service sees every change at its next login.

The file is made, with mode 0600, by the first 'add'. Nobody else may read it, nor write to its directory.
"""

_EXAMPLES = """\
examples:
  netguard users -a /etc/netguard/accounts add alice --generate
  netguard users -a /etc/netguard/accounts add bob --secret-file -
  netguard users -a /etc/netguard/accounts set bob --with apop --generate
  netguard users -a /etc/netguard/accounts list --json
  netguard users -a /etc/netguard/accounts remove alice
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `netguard users`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    accounts_argument(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for each in (users_add, users_otp, users_show, users_import):
        each.configure(verbs)


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
