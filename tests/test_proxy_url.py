"""What is promised of a proxy's URL: each scheme, no guess, and no secret in any text."""

from __future__ import annotations

import pytest

from netguard.proxy_url import Credentials, ProxyURL, proxy, proxy_of, url_of


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("socks5h://proxy.example:1080", ProxyURL("5", "proxy.example", 1080)),
        ("socks5://proxy.example", ProxyURL("5", "proxy.example", 1080)),
        ("SOCKS5H://proxy.example:1/", ProxyURL("5", "proxy.example", 1)),
        ("socks4://192.0.2.1", ProxyURL("4", "192.0.2.1", 1080)),
        ("socks4a://joe@192.0.2.1:9050", ProxyURL("4a", "192.0.2.1", 9050, Credentials("joe"))),
        ("socks5://[::1]:1080", ProxyURL("5", "::1", 1080)),
        ("http://proxy.example:3128", ProxyURL("http", "proxy.example", 3128)),
        ("http://proxy.example", ProxyURL("http", "proxy.example", 80)),
        (
            "socks5h://j%40e:s%3A%2F%C3%A9@proxy.example",
            ProxyURL("5", "proxy.example", 1080, Credentials("j@e", "s:/é")),
        ),
    ],
)
def test_a_url_says_kind_place_and_credentials(url: str, proxy: ProxyURL) -> None:
    """With the usual ports, and escapes undone."""
    assert ProxyURL.parse(url) == proxy


@pytest.mark.parametrize("url", ["", "proxy.example:1080", "https://proxy", "ftp://joe:hush@proxy", "socks6://proxy"])
def test_another_scheme_is_refused(url: str) -> None:
    """With those that there are."""
    with pytest.raises(ValueError, match=r"has to begin with one of socks4://, .*http://") as why:
        ProxyURL.parse(url)
    assert "hush" not in str(why.value)


@pytest.mark.parametrize(
    "url",
    [
        "socks5://",
        "socks5://joe:hush@",
        "socks5://joe:hush@proxy:port",
        "socks5://joe:hush@proxy:65536",
        "socks5://joe:hush@[::1",
        "socks5://joe:hush@proxy/path",
        "socks5://joe:hush@proxy?query",
        "socks5://joe:hush@proxy#fragment",
        "socks5://joe:hu/sh@proxy",
    ],
)
def test_what_names_no_proxy_is_refused_without_repeating_it(url: str) -> None:
    """It may have a secret in it, anywhere."""
    with pytest.raises(ValueError, match="is not of the form socks5://user:secret@host:port") as why:
        ProxyURL.parse(url)
    assert "hu" not in str(why.value)
    assert why.value.__suppress_context__ or why.value.__context__ is None


def test_a_secret_is_in_no_representation() -> None:
    """Neither of the URL, nor of the credentials."""
    proxy = ProxyURL.parse("socks5h://joe:hush@proxy.example")
    assert "hush" not in f"{proxy!r} {proxy} {proxy.credentials!r} {proxy.credentials}"
    assert proxy.credentials is not None
    assert proxy.credentials.encoded() == (b"joe", b"hush")


def test_the_environment_names_a_proxy() -> None:
    """In capital letters first."""
    assert url_of({"all_proxy": "a", "ALL_PROXY": "A"}) == "A"
    assert url_of({"all_proxy": "a", "ALL_PROXY": ""}) == "a"


@pytest.mark.parametrize("environment", [{}, {"ALL_PROXY": ""}, {"HTTP_PROXY": "http://proxy"}])
def test_an_environment_without_one_is_an_error(environment: dict[str, str]) -> None:
    """Rather than a connection that goes round the proxy."""
    with pytest.raises(ValueError, match="ALL_PROXY or all_proxy has to name one"):
        url_of(environment)


def test_an_operator_says_a_url_or_that_the_environment_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The word stays as it is; a secret is in the environment only."""
    monkeypatch.setenv("ALL_PROXY", "socks5h://joe:hush@127.0.0.1")
    assert proxy("env") == "env"
    assert proxy_of("env") == ProxyURL("5", "127.0.0.1", 1080, Credentials("joe", "hush"))
    assert proxy("http://joe@proxy.example") == "http://joe@proxy.example"
    assert proxy.text(proxy("socks4://127.0.0.1")) == "socks4://127.0.0.1"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "a proxy is a URL such as"),
        (1080, "a proxy is a URL such as"),
        ("127.0.0.1:1080", "has to begin with one of"),
        ("socks5://joe:hush@proxy", "others see a secret that stands here: put the URL into ALL_PROXY, and say env"),
        ("socks5://joe:hush@proxy/path", "is not of the form"),
        ("env", "the environment has no proxy"),
    ],
)
def test_a_word_that_means_no_proxy_is_refused(value: object, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is read, and without being repeated."""
    for name in ("ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=said) as why:
        proxy(value)
    assert "hush" not in str(why.value)
