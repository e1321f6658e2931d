"""``/cut``: the one thing that can be done by a page, where that is allowed, and only on its own form's behalf."""

from __future__ import annotations

from hmac import compare_digest
from secrets import token_urlsafe
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from netguard.admin.asked import Answer, Asked, line
from netguard.errors import Expelled
from netguard.process.commands import ControlError

if TYPE_CHECKING:
    from netguard.service import Service

_LONGEST = 12
"""Digits of a session's number, at most."""


class Cutting:
    """Cuts connections by their sessions' numbers.

    Args:
        house: whose connections.

    Attributes:
        secret: what the form on our page has in it. Who can send a request from somebody's browser cannot read that
            page, so does not know it (CSRF).
    """

    def __init__(self, house: Service) -> None:
        self._house = house
        self.secret = token_urlsafe(32)

    async def cut(self, asked: Asked) -> Answer:
        """Cut the connection of a form that was posted, and go back to the page that it stood on."""
        if not self._is_own(asked):
            return line("this form is not from the page as it is now: load that again", 403)
        session = asked.form.get("session", "")
        if not session.isdecimal() or len(session) > _LONGEST:
            return line("a session has a number", 400)
        outcome = await self._cut(int(session))
        self._house.tell("command", {"by": "admin", "outcome": outcome, "command": f"cut {int(session)}"})
        back = urlencode({name: asked.form[name] for name in ("sort", "page") if name in asked.form})
        return Answer(code=303, headers={"Location": f"/?{back}#connections"})

    async def _cut(self, session: int) -> str:
        """Cut it, and say what came of that."""
        if self._house.crew is not None:
            try:
                await self._house.crew.expel(session)
            except ControlError as why:
                return str(why)
            return "done"
        done = any(each.cut(Expelled()) for each in self._house.connections if each.number == session)
        return "done" if done else f"there is no session {session}"

    def _is_own(self, asked: Asked) -> bool:
        site = asked.headers.get("sec-fetch-site", "same-origin")
        origin = asked.headers.get("origin")
        host = asked.headers.get("host")
        same = origin is None or origin in (f"http://{host}", f"https://{host}")
        given = asked.form.get("secret", "").encode("utf-8", "surrogateescape")
        return compare_digest(given, self.secret.encode()) and same and site in ("same-origin", "none")
