"""What twistd finds: names only, since every twistd run reads this file."""

from __future__ import annotations

from twisted.application.service import ServiceMaker

guestbook = ServiceMaker("guestbook", "guestbook_service", "A guest book, under guards.", "guestbook")
