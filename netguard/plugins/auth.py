"""``--auth netguard:FILE``: netguard's accounts for any twistd plugin that asks `twisted.cred` who may log in.

Every twistd run reads this file, so what it takes to check a password is imported only when it is asked for.
"""

from __future__ import annotations

from typing import Any

from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import ICheckerFactory
from twisted.plugin import IPlugin
from twisted.python.reflect import namedAny
from zope.interface import implementer

_HELP = """\
The accounts file that 'netguard users' makes: passwords (SCRAM-SHA-256 and Argon2id verifiers), one-time passwords
(RFC 2289), and codes of an authenticator app typed behind the password. A change is seen at the next login.
"""


@implementer(ICheckerFactory, IPlugin)
class AuthFactory:
    """Makes a checker out of the path of an accounts file (ICheckerFactory)."""

    authType = "netguard"
    authHelp = _HELP
    argStringFormat = "the path of an accounts file"
    credentialInterfaces = (IUsernamePassword,)

    def generateChecker(self, argstring: str) -> Any:
        """The checker of an accounts file.

        Args:
            argstring: its path.

        Raises:
            ValueError: when it cannot be used, in one line for the operator.
        """
        if not argstring:
            raise ValueError("netguard: name an accounts file, as in netguard:/var/lib/netguard/accounts")
        try:
            return namedAny("netguard.accounts.cred.AccountsChecker").of_file(argstring)
        except namedAny("netguard.accounts.interface.AccountsTrouble") as trouble:
            raise ValueError(str(trouble)) from None
