"""The `netguard` command: a list of commands, and how each of them ends.

Status 0 means done; 1 means refused, with one line on standard error that says why; a traceback is a defect.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from netguard.commands import check, ctl, explain, lookup, top, users
from netguard.commands.contract import Command, Parser, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

# In the order of `netguard --help`. A further command is one module of netguard.commands and its name here.
COMMANDS: tuple[Command, ...] = (users, check, explain, lookup, ctl, top)

_INTERRUPTED = 130  # 128 and SIGINT, as a shell reports it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: what stands behind `netguard` on the command line; the process's own when None.

    Returns:
        The exit status.
    """
    if sys.stdout is None:  # it was closed before we began
        sys.stderr.write("netguard: standard output is closed\n")
        return 1
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the locale cannot write is no traceback
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    chosen, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(_surplus(unknown))
    status = 0
    try:
        status = chosen.run(chosen) or 0
    except Refusal as refusal:
        sys.stderr.write(f"netguard {chosen.command}: {refusal}\n")
        status = 1
    except OSError as error:  # a command's own files are its Refusals
        return _unwritable(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        return _unwritable(error)
    return status


def _unwritable(error: OSError) -> int:
    """Standard output takes no more; drop the rest, for Python would try again at its exit, and complain."""
    if not isinstance(error, BrokenPipeError):  # whoever reads a pipe (`| head`) may have had enough
        sys.stderr.write(f"netguard: standard output: {error.strerror}\n")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return 1


def _parser() -> Parser:
    parser = Parser(
        prog="netguard",
        description="Tools around netguard's services. Each command has its own --help, with examples.",
        epilog="The services themselves are twistd plugins, which 'twistd --help' lists.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        own = commands.add_parser(command.NAME, help=command.SUMMARY)
        command.configure(own)
        own.set_defaults(run=command.run)
    return parser


def _surplus(unknown: list[str]) -> str:
    """What was too much, but no values: one of them may be a secret that should not have been typed."""
    options = [word for word in unknown if word.startswith("-")]
    if not options:
        return "too many arguments"
    option = options[0].partition("=")[0] if options[0].startswith("--") else options[0][:2]
    return f"unknown option {option}"
