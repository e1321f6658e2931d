"""What is promised of a ledger's URL: all of it is checked, and no text that is made of it has the password."""

from __future__ import annotations

from pathlib import Path

import pytest

from netguard.errors import OptionError
from netguard.fleet.exchange import Terms
from netguard.fleet.redis_url import RedisURL, ledger_of
from netguard.secret import Secret

SECRET = "Xk2-hunter2"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with the password."""
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text(f"{SECRET}\n")
    return path


@pytest.mark.parametrize(
    ("text", "url", "shown"),
    [
        ("redis://10.0.0.5", RedisURL("10.0.0.5"), "redis://10.0.0.5:6379/0?name=netguard"),
        ("redis://h:7000/3", RedisURL("h", 7000, 3), "redis://h:7000/3?name=netguard"),
        ("rediss://[::1]/?name=a.b-c_1", RedisURL("::1", tls=True, name="a.b-c_1"), "rediss://[::1]:6379/0?name=a.b-c_1"),
        (
            "rediss://u%40x:p%2Fw@H:1/0?ca=/a&certificate=/b&within=1s&lease=1m",
            RedisURL(
                "h", 1, 0, True, "u@x", Secret("p/w"), "netguard", Terms(1.0, 60.0), Path("/a"), Path("/b"),
            ),
            "rediss://h:1/0?name=netguard",
        ),
        ("redis://:pw@127.0.0.1", RedisURL("127.0.0.1", secret=Secret("pw")), "redis://127.0.0.1:6379/0?name=netguard"),
        ("redis://:pw@h?plain=yes", RedisURL("h", secret=Secret("pw")), "redis://h:6379/0?name=netguard"),
        ("redis://h?within=20s", RedisURL("h", terms=Terms(20.0, 80.0)), "redis://h:6379/0?name=netguard"),
    ],
)  # fmt: skip
def test_what_a_url_says(text: str, url: RedisURL, shown: str) -> None:
    """And how it is shown."""
    assert RedisURL.parse(text) == url
    assert str(url) == shown


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is a URL such as"),
        ("h:6379", "it is a URL such as"),
        ("http://h", "it is a URL such as"),
        ("redis://", "it is a URL such as"),
        ("redis://:6379", "it is a URL such as"),
        ("redis://h:99999", "it is a URL such as"),
        ("redis://h:x", "it is a URL such as"),
        ("redis://[::1", "it is a URL such as"),
        ("redis://h#x", "it is a URL such as"),
        ("redis://h?name", "it is a URL such as"),
        ("redis://h:0", "port 0"),
        ("redis://h/x", "number of a database"),
        ("redis://h/-1", "number of a database"),
        ("redis://h/99999", "number of a database"),
        ("redis://h/1/2", "number of a database"),
        ("redis://h?nam=x", "did you mean 'name'|did you mean name"),
        ("redis://h?name=a&name=b", "stands twice"),
        ("redis://h?name=", "name is up to 64"),
        ("redis://h?name=a:b", "name is up to 64"),
        ("redis://h?within=often", "duration"),
        ("redis://h?within=10ms", "within is at least 100ms"),
        ("redis://h?lease=2h", "lease at most 1h"),
        ("redis://h?within=2h", "within is at least"),
        ("redis://h?within=5s&lease=10s", "lease is at least 4 times within, 20s"),
        ("redis://h?ca=/a", "ca has no effect with redis://"),
        ("redis://h?certificate=/a", "certificate has no effect with redis://"),
        ("rediss://u@h", "a user needs a password"),
        ("redis://:pw@h", "in clear: say rediss://, or plain=yes"),
        ("redis://h?plain=no", "plain can only be yes"),
        ("redis://h?secret=/nowhere", "secret file /nowhere"),
    ],
)
def test_what_cannot_be_honoured_is_told_in_one_line(text: str, why: str) -> None:
    """Before anything is connected."""
    with pytest.raises(OptionError, match=why) as found:
        RedisURL.parse(text)
    assert "\n" not in str(found.value)


def test_a_password_from_a_file(secret: Path) -> None:
    """Of which nothing is shown; two are a mistake."""
    url = RedisURL.parse(f"rediss://guard@h?secret={secret}")
    assert url.secret.reveal() == SECRET.encode()
    assert SECRET not in f"{url} {url!r}"
    with pytest.raises(OptionError, match="another"):
        RedisURL.parse(f"rediss://guard:x@h?secret={secret}")


def test_on_a_command_line_stands_no_password(secret: Path) -> None:
    """Everybody on the machine would see it. The environment may have it."""
    assert ledger_of("redis://127.0.0.1") == RedisURL("127.0.0.1")
    assert ledger_of(f"rediss://u@h?secret={secret}").secret == Secret(SECRET)
    with pytest.raises(OptionError, match="secret=FILE") as found:
        ledger_of(f"rediss://u:{SECRET}@h")
    assert SECRET not in str(found.value)
    environment = {"NETGUARD_LEDGER": f"rediss://u:{SECRET}@h"}
    assert ledger_of("env", environment).secret == Secret(SECRET)
    with pytest.raises(OptionError, match="NETGUARD_LEDGER"):
        ledger_of("env", {})


@pytest.mark.parametrize("text", [f"http://u:{SECRET}@h", f"rediss://u:{SECRET}@h:x", f"redis://u:{SECRET}@h/x"])
def test_no_complaint_repeats_a_password(text: str) -> None:
    """Whatever is wrong beside it."""
    with pytest.raises(OptionError) as found:
        RedisURL.parse(text)
    assert SECRET not in str(found.value)
