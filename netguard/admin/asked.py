"""A question to the admin pages and the answer to it, apart from how they travel."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

PLAIN = "text/plain; charset=utf-8"


@frozen
class Asked:
    """A request that came, as far as pages look at it.

    Args:
        method: ``GET`` or ``POST``; a ``HEAD`` is a ``GET`` whose body is not sent.
        path: without the query.
        query: what stands behind the question mark, the last value of each name.
        form: what was posted, likewise.
        headers: by their names in lower case; of several of one name, all with commas.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(factory=dict)
    form: Mapping[str, str] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class Answer:
    """What is answered.

    Args:
        body: all of it.
        kind: its media type.
        code: the status of RFC 9110.
        headers: those of its own, each with one value or several lines.
    """

    body: bytes = b""
    kind: str = PLAIN
    code: int = 200
    headers: Mapping[str, str | tuple[str, ...]] = field(factory=dict)


def line(text: str, code: int = 200, **headers: str | tuple[str, ...]) -> Answer:
    """One line of text.

    Args:
        text: the line, without its end.
        code: the status.
        headers: by their names, with ``_`` for ``-``.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(text.encode("utf-8", "backslashreplace") + b"\n", code=code, headers=named)
