"""What OpenSSL says when TLS fails, in words for a log."""

from __future__ import annotations

from OpenSSL import SSL

_NO_TLS = frozenset(
    (
        "wrong version number",
        "http request",
        "https proxy request",
        "data length too long",
        "encrypted length too long",
        "packet length too long",
        "length too short",
        "unexpected message",
    )
)
"""What it says of bytes that are no TLS; who leaves in order, or whose TLS is too old, is none of these."""


def words(error: BaseException) -> str:
    """What OpenSSL says, without its codes.

    Args:
        error: any exception; of another library's it is the text.
    """
    return "; ".join(_said(error)) or str(error) or "no reason given"


def is_no_tls(error: BaseException) -> bool:
    """Whether what came where TLS should be was something else: a mistake, or put there by somebody on the way.

    Args:
        error: any exception; another library's says nothing about TLS.
    """
    return not _NO_TLS.isdisjoint(_said(error))


def _said(error: BaseException) -> list[str]:
    entries = error.args[0] if isinstance(error, SSL.Error) and error.args else ()
    return [str(entry[-1]) for entry in entries] if isinstance(entries, list | tuple) else []
