"""Name servers as text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.nameservers import MOST, nameservers

_SERVERS = st.tuples(st.ip_addresses().map(str), st.integers(1, 65535))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("127.0.0.1", (("127.0.0.1", 53),)),
        ("127.0.0.1:5353", (("127.0.0.1", 5353),)),
        ("127.0.0.1:domain", (("127.0.0.1", 53),)),
        (" ::1 ", (("::1", 53),)),
        ("[::1]", (("::1", 53),)),
        ("[2001:db8::1]:5353", (("2001:db8::1", 5353),)),
        ("[fe80::1%eth0]:53", (("fe80::1%eth0", 53),)),
        ("127.0.0.1,[::1]:53", (("127.0.0.1", 53), ("::1", 53))),
        ("127.0.0.1,127.0.0.1:53", (("127.0.0.1", 53),)),
        (["127.0.0.1:53", "::1"], (("127.0.0.1", 53), ("::1", 53))),
        (("127.0.0.1", 53), (("127.0.0.1", 53),)),
        ([("127.0.0.1", 53), ("::1", 5353)], (("127.0.0.1", 53), ("::1", 5353))),
    ],
)
def test_servers_are_read(text: Any, value: object) -> None:
    """Port 53 unless another stands there, as a number or by name; IPv6 with a port in brackets."""
    assert nameservers(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "127.0.0.1,",
        "localhost",
        "dns.example:53",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:nosuchservice",
        "127.0.0.1:",
        "127.0.0",
        "256.0.0.1",
        "[127.0.0.1]:53",
        "::1:99999",
        "[::1",
        "[::1]53",
        "tcp:127.0.0.1:53",
        b"127.0.0.1",
        7,
        [],
        ("127.0.0.1", 0),
        ",".join(f"192.0.2.{number}" for number in range(MOST + 1)),
    ],
)
def test_anything_else_is_refused_with_an_example(text: Any) -> None:
    """No names: they would have to be looked up first."""
    with pytest.raises(ValueError, match=r"is not one to 8 IP addresses of name servers such as 127\.0\.0\.1"):
        nameservers(text)


@given(st.lists(_SERVERS, min_size=1, max_size=MOST, unique=True).map(tuple))
def test_what_is_written_is_read_back(servers: tuple[tuple[str, int], ...]) -> None:
    """Both ways."""
    assert nameservers(nameservers.text(servers)) == servers
    assert nameservers(servers) == servers
