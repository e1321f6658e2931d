"""On what terms a service lets people in."""

from __future__ import annotations

import math
from typing import Any

import pytest

from netguard.accounts.interface import Account
from netguard.pop3.login_terms import LoginTerms


@pytest.mark.parametrize("name", ["answer_failures_after", "login_delay", "expire"])
@pytest.mark.parametrize("number", [-0.001, float("nan")])
def test_impossible_number(name: str, number: float) -> None:
    """One that is negative, or none, is refused; 0 is not."""
    wrong: dict[str, Any] = {name: number}
    with pytest.raises(ValueError, match=f"{name} must be 0 or more"):
        LoginTerms(**wrong)
    right: dict[str, Any] = {name: 0}
    assert getattr(LoginTerms(**right), name) == 0


def test_unknown_words() -> None:
    """They are told, with those that there are."""
    with pytest.raises(ValueError, match=r"'NTLM' is none of the mechanisms SCRAM-SHA-256-PLUS, "):
        LoginTerms(mechanisms=("PLAIN", "NTLM"))
    with pytest.raises(ValueError, match="'cn' is none of the kinds of name email, dns, uri"):
        LoginTerms(certificate_names="cn")


def test_an_account_may_have_terms_of_its_own() -> None:
    """They come before the service's, also when they are less."""
    terms = LoginTerms(login_delay=60, expire=30)
    assert (terms.login_delay_of(Account("a")), terms.expire_of(Account("a"))) == (60, 30)
    own = Account("a", login_delay=0, expire=math.inf)
    assert (terms.login_delay_of(own), terms.expire_of(own)) == (0, math.inf)
    assert (LoginTerms().login_delay_of(Account("a")), LoginTerms().expire_of(Account("a"))) == (None, None)
