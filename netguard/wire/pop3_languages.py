"""What LANG answers (RFC 6856, section 3): in which languages this server speaks, and that it does."""

from __future__ import annotations

DEFAULT = b"i-default"
"""English for everybody (RFC 2277, section 4.5), which a server with LANG must speak before it is asked for another."""

# With the name of each in itself. What is said is the same in both.
LANGUAGES = {DEFAULT: b"English", b"en": b"English"}

_LISTING = b"".join(tag + b" " + name + b"\r\n" for tag, name in LANGUAGES.items())


def lang(argument: bytes | None) -> bytes:
    """The answer to LANG.

    Args:
        argument: a language range (RFC 4647), `*` for whatever the server prefers; None to hear which there are.
    """
    if argument is None:
        return b"+OK languages follow\r\n" + _LISTING + b".\r\n"
    tag = DEFAULT if argument == b"*" else _lookup(argument.lower())
    return b"-ERR no such language\r\n" if tag is None else b"+OK " + tag + b" as you like\r\n"


def _lookup(wanted: bytes) -> bytes | None:
    """The language that comes nearest (RFC 4647, section 3.4): `en` for who wants `en-GB`."""
    while wanted and wanted not in LANGUAGES:
        wanted = wanted.rpartition(b"-")[0]
    return wanted or None
