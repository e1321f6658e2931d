"""`netguard users add` and `set`: who may log in, and with which secrets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from netguard.accounts import credentials
from netguard.accounts.credentials import KINDS, OTP, SCRAM, TOTP, TYPED
from netguard.accounts.records import NameTaken
from netguard.accounts.store import Store
from netguard.commands import users_words as words
from netguard.commands.contract import Refusal
from netguard.commands.secret_input import read_secrets

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Mapping, Sequence

    from netguard.accounts.records import Found

_KINDS = f"""\
kinds of credential (--with, default: {credentials.DEFAULT}):
{words.KIND_LIST}

where the secrets come from (never from an argument, for others see those):
  --generate          makes a random secret of 160 bits for each kind and
                      prints 'KIND SECRET' lines, once
  --secret-file PATH  reads them, one a line, in the order of --with; '-' is
                      standard input, and at a terminal one secret is asked for
                      without showing it. With several kinds, a single line is
                      the password, and all others are made and printed: APOP
                      keeps its secret readable on the server, so it should not
                      be the password too. Otherwise one line for each kind.
"""

_ADD = f"Add a user with one or more credentials.\n\n{_KINDS}"
_ADD_EXAMPLES = """\
examples:
  netguard users -a accounts add alice --generate
  netguard users -a accounts add bob --with apop,scram-sha-256 --generate
  netguard users -a accounts add carol --secret-file /run/secrets/carol
  printf '%s\\n' "$APOP" "$PW" |
      netguard users -a accounts add dave --with apop,password --secret-file -
"""

_SET = f"""\
Change a user: replace or add credentials (--with), take some away (--without), set what is set.
A session that is open now goes on; the next login sees the change.

{_KINDS}"""
_SET_EXAMPLES = """\
examples:
  netguard users -a accounts set alice --with scram-sha-256 --secret-file -
  netguard users -a accounts set alice --with totp --generate
  netguard users -a accounts set alice --mailbox /srv/mail/alice
  netguard users -a accounts set alice --without apop,mailbox --login-delay 30s
"""


def configure(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare both verbs."""
    add = verbs.add_parser("add", help="add a user")
    add.description, add.epilog = _ADD, _ADD_EXAMPLES
    words.name_argument(add, "1 to 64 octets; visible, no '/', no leading dot")
    _secrets(add, required=True)
    add.set_defaults(act=_add, kinds=[credentials.DEFAULT])

    change = verbs.add_parser("set", help="change the credentials and settings of a user")
    change.description, change.epilog = _SET, _SET_EXAMPLES
    words.name_argument(change)
    _secrets(change, required=False)
    change.add_argument(
        "--without", metavar="WORDS", type=words.removable, default=[], help="kinds and settings to take away"
    )
    change.set_defaults(act=_set, kinds=[])
    for verb in (add, change):
        words.settings_arguments(verb)
        words.accounts_argument(verb)


def _secrets(verb: argparse.ArgumentParser, *, required: bool) -> None:
    kinds = ", ".join(KINDS)
    verb.add_argument(
        "--with",
        dest="kinds",
        metavar="KINDS",
        type=words.kinds,
        help=f"kinds of credential, parted by commas: {kinds}",
    )
    source = verb.add_mutually_exclusive_group(required=required)
    source.add_argument("--generate", action="store_true", help="make the secrets and print them once")
    source.add_argument("--secret-file", metavar="PATH", help="read the secrets; '-' is standard input")


def _add(store: Store, arguments: argparse.Namespace) -> None:
    name = arguments.name
    secrets, shown = _gathered(arguments)
    store.create()
    stored = _stored(secrets, store.found(name))
    try:
        store.add(name, stored, words.given_settings(arguments))
    except NameTaken as taken:
        alike = "" if taken.name == name else f", which is too much like {name!r}"
        raise Refusal(f"there is a user {taken.name!r} already{alike}; 'set' changes that one") from None
    try:
        _show(name, secrets, shown)
    except OSError as error:
        store.remove(name)
        raise Refusal(f"nothing was added, for the secret could not be shown: {error.strerror}") from None
    words.tell(f"added {name} with {' and '.join(secrets)}")
    _advise(secrets, stored, shown, stored.keys())


def _set(store: Store, arguments: argparse.Namespace) -> None:
    name, settings = arguments.name, words.given_settings(arguments)
    if arguments.kinds and not (arguments.generate or arguments.secret_file):
        raise Refusal("--with needs --generate or --secret-file")
    if not arguments.kinds and (arguments.generate or arguments.secret_file):
        raise Refusal("which kind of credential is it? give --with KINDS")
    if not (arguments.kinds or arguments.without or settings):
        raise Refusal("there is nothing to change: give --with, --without or a setting")
    found = store.found(name)
    if not found.exists:
        raise words.unknown(store, name, arguments.accounts)
    secrets, shown = _gathered(arguments)
    stored = _stored(secrets, found)
    try:
        # What is shown is shown before it counts: if it cannot be, the old secret still does.
        _show(name, secrets, shown)
    except OSError as error:
        raise Refusal(f"nothing was changed, for the secret could not be shown: {error.strerror}") from None
    if not store.change(name, stored, settings, arguments.without):
        raise words.unknown(store, name, arguments.accounts)
    words.tell(f"changed {name}")
    _advise(secrets, stored, shown, store.found(name).credentials.keys())


def _gathered(arguments: argparse.Namespace) -> tuple[dict[str, str], list[str]]:
    """The secret of each kind, and the kinds whose secret was made here and must be shown."""
    kinds, given = arguments.kinds, []
    if arguments.secret_file:
        asked = next((kind for kind in kinds if kind in TYPED), kinds[0])
        given = read_secrets(arguments.secret_file, f"{asked} secret of {arguments.name}")
    secrets, shown = _assign(kinds, given)
    for kind, secret in secrets.items():
        try:
            KINDS[kind].check(secret)
        except ValueError as error:
            raise Refusal(f"{kind}: {error}") from None
    return secrets, shown


def _assign(kinds: Sequence[str], given: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Which secret each kind gets, and the kinds whose secret was made here."""
    typed = [kind for kind in kinds if kind in TYPED]
    if len(given) == len(kinds):
        return dict(zip(kinds, given, strict=True)), []
    if given and not (len(given) == 1 and typed):
        raise Refusal(f"{len(given)} secrets for {len(kinds)} kinds of credential: give one a line, in their order")
    # Nobody can remember two passwords for one mailbox, so what is typed is one, however it is stored.
    password = given[0] if given else credentials.generate()
    secrets = {kind: password if kind in typed else credentials.generate() for kind in kinds}
    return secrets, [kind for kind in kinds if not (given and kind in typed)]


def _stored(secrets: Mapping[str, str], found: Found) -> dict[str, str]:
    return {kind: KINDS[kind].stored(secret, found.iterations) for kind, secret in secrets.items()}


def _show(name: str, secrets: Mapping[str, str], shown: Sequence[str]) -> None:
    for kind in shown:
        sys.stdout.write(f"{kind} {KINDS[kind].shown(name, secrets[kind])}\n")
    sys.stdout.flush()


def _advise(secrets: Mapping[str, str], stored: Mapping[str, str], shown: Sequence[str], has: Collection[str]) -> None:
    """Say what the person should know who typed it."""
    if shown:
        words.tell("what is shown above is not shown again: copy it to the mail program now")
    if OTP in stored:
        words.tell(f"the first one-time password is that of {credentials.challenge(stored[OTP])}")
    if TOTP in has and not any(kind in TYPED for kind in has):
        words.tell("warning: a code of six digits alone is soon guessed; give a password too, and it goes behind that")
    elif TOTP in has:
        refuses = "; SCRAM, which has no place for it, refuses this user" if SCRAM in has else ""
        words.tell(f"the code is typed directly behind the password{refuses}")
    for kind, secret in secrets.items():
        advice = credentials.advice(kind, secret)
        if advice:
            words.tell(f"warning: {advice}")
