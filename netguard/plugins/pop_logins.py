"""How people log in to netguard-pop: the options, what they mean together, and the accounts.

Every twistd run reads the names of plugins only, so what it takes is imported here as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, ClassVar

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.strcred import AuthOptionMixin, InvalidAuthType, UnsupportedInterfaces, makeChecker
from twisted.python import usage
from twisted.python.reflect import namedAny

from netguard.accounts.checks import StoredAccounts, WhoseToken
from netguard.accounts.cred import ForeignAccounts
from netguard.accounts.settings import days
from netguard.pop3.channel import KINDS
from netguard.pop3.login_terms import LoginTerms
from netguard.process.tls import verified_certificate
from netguard.units import Unit, duration
from netguard.wire import mechanisms

_Auth: Any = AuthOptionMixin  # it is not annotated
_MECHANISMS_HELP = (
    f"which mechanisms of SASL may be used, of {', '.join(mechanisms.ALL)} (default: all but "
    f"{' and '.join(name for name in mechanisms.ALL if name not in mechanisms.DEFAULT)}; each is offered where it"
    " can work), or none"
)


class LoginOptions(_Auth):  # type: ignore[misc]
    """The options of logins, for a class of options that has others, too.

    Attributes:
        terms: on what terms people are let in, once the options have been parsed.
        whose_token: says whose a bearer token is, likewise; None where nobody logs in with one.
    """

    supportedInterfaces = (IUsernamePassword, IUsernameHashedPassword)
    terms: LoginTerms
    whose_token: WhoseToken | None

    optParameters: ClassVar[list[list[Any]]] = [
        ["accounts", None, None, "the accounts file that 'netguard users' makes"],
        [
            "mechanisms",
            None,
            None,
            _MECHANISMS_HELP,
        ],
        [
            "certificate-names",
            None,
            "email",
            f"which names in a client's certificate are names of users: {', '.join(KINDS)} (with --tls-ca)",
        ],
        [
            "token-check",
            None,
            None,
            "for OAUTHBEARER: a function of Python, as in 'tokens.whose', that says whose a bearer token is",
        ],
        ["login-delay", None, None, "the least time from one login of a user to the next, such as 1m"],
        [
            "expire",
            None,
            None,
            "how many days messages that were retrieved are kept, or 'never': clients are told, nothing is removed",
        ],
    ]

    def opt_auth(self, description: str) -> None:
        """Let in whom a checker of any twistd plugin knows, instead of --accounts; see --help-auth.

        It may be given several times: who is let in by one of them is in.
        """
        kind = description.partition(":")[0]
        try:
            self.addChecker(makeChecker(description))
        except InvalidAuthType:
            raise usage.UsageError(f"--auth {kind}: there is no such checker; see --help-auth") from None
        except UnsupportedInterfaces:
            raise usage.UsageError(f"--auth {kind}: it checks no passwords") from None
        except Exception as why:  # noqa: BLE001 - it is anybody's code, and may name what it was given
            raise usage.UsageError(f"--auth {kind}: {why}") from None

    def check_logins(self) -> None:
        """See what was given, once the options have been parsed.

        Raises:
            UsageError: in one line.
        """
        if self["accounts"] is None and not self.checkers:
            raise usage.UsageError("--accounts is missing; try --demo to see how it works")
        if self["accounts"] is not None and self.checkers:
            raise usage.UsageError("--accounts and --auth say both who may log in; 'netguard:FILE' is a checker, too")
        if self["certificate-names"] not in KINDS:
            raise usage.UsageError(f"--certificate-names {self['certificate-names']!r} is none of {', '.join(KINDS)}")
        self.whose_token = _function(self["token-check"])
        self.terms = LoginTerms(
            mechanisms=_mechanisms(self["mechanisms"]),
            certificate_names=self["certificate-names"],
            certificate_of=verified_certificate,
            login_delay=_number("login-delay", duration, self["login-delay"]),
            expire=_number("expire", days, self["expire"]),
        )

    @property
    def checkers(self) -> list[Any]:
        """What --auth has named."""
        found: list[Any] = self.get("credCheckers", [])
        return found

    def who_may(self) -> StoredAccounts | ForeignAccounts:
        """The accounts that were named."""
        if self.checkers:
            return ForeignAccounts(self.checkers)
        return StoredAccounts(self["accounts"], whose_token=self.whose_token)


def _mechanisms(text: str | None) -> tuple[str, ...]:
    """The mechanisms of a list, in any case of their letters."""
    if text is None:
        return mechanisms.DEFAULT
    names = [] if text == "none" else [name.strip().upper() for name in text.split(",")]
    for name in names:
        if name not in mechanisms.ALL:
            near = get_close_matches(name, mechanisms.ALL, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(mechanisms.ALL)}"
            raise usage.UsageError(f"--mechanisms: {name!r} is none; {hint}")
    return tuple(names)


def _number(option: str, unit: Unit, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        number: float = unit(text)
    except ValueError as why:
        raise usage.UsageError(f"--{option} {why}") from None
    return number


def _function(name: str | None) -> Callable[..., Any] | None:
    if name is None:
        return None
    try:
        found = namedAny(name)
    except Exception as why:  # noqa: BLE001 - importing runs anybody's code
        raise usage.UsageError(f"--token-check {name}: {type(why).__name__}: {why}") from None
    if not callable(found):
        raise usage.UsageError(f"--token-check {name}: it is no function")
    return found  # type: ignore[no-any-return]  # callable() says no more
