"""Base64 in exactly one way (RFC 4648): no white space, no other alphabet, right padding, no bits left over.

What two programs decode differently is what smuggling is made of.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64


def decode(line: bytes) -> bytes | None:
    """What a line of base64 stands for; None when it is not exactly base64 (RFC 4648, sections 3 and 4).

    Args:
        line: without its CRLF.
    """
    try:
        data = a2b_base64(line, strict_mode=True)
    except Error:
        return None
    # The decoder lets unused bits have any value; the encoder has only one way.
    return data if b2a_base64(data, newline=False) == line else None
