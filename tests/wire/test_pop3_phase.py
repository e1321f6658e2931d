"""How a line becomes a command, whatever the commands are."""

from __future__ import annotations

from typing import ClassVar

import pytest

from netguard.wire.mechanisms import Circumstances
from netguard.wire.pop3_phase import Bad, Command, Phase, Said, elsewhere


class Small(Phase):
    """A half with three commands."""

    def _tell(self, argument: bytes | None) -> Said:
        return b"none" if argument is None else b"[" + argument + b"]"

    COMMANDS: ClassVar = {
        **elsewhere((b"OTHER",), b"not here"),
        b"NONE": Command(_tell),
        b"ONE": Command(_tell, True),
        b"ANY": Command(_tell, None),
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"NONE", b"none"),
        (b"none", b"none"),
        (b"ONE a b ", b"[a b ]"),
        (b"ONE ", b"[]"),
        (b"ANY", b"none"),
        (b"aNy x", b"[x]"),
    ],
)
def test_a_command_is_obeyed(line: bytes, said: bytes) -> None:
    """In any case of its letters, with the rest of the line as it came."""
    assert Small(Circumstances(), 1).obey(line) == said


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"NONE x", "wrong number of arguments"),
        (b"NONE ", "wrong number of arguments"),
        (b"ONE", "wrong number of arguments"),
        (b"OTHER", "command in the wrong state"),
        (b"other x", "command in the wrong state"),
        (b"", "unknown command"),
        (b" NONE", "unknown command"),
        (b"NO\0NE", "NUL, CR or LF inside a line"),
        (b"NONE\r", "NUL, CR or LF inside a line"),
        (b"\nNONE", "NUL, CR or LF inside a line"),
    ],
)
def test_what_is_no_command_is_bad(line: bytes, problem: str) -> None:
    """It has a reason for the log."""
    said = Small(Circumstances(), 1).obey(line)
    assert isinstance(said, Bad)
    assert said.problem == problem
