"""The OTP mechanism (RFC 2444) with extended responses (RFC 2243), the server's side.

The rules of this file:

* Whoever sent the right one-time password has spent it, also when the login fails for another reason: it was heard
  on the way, and must not be good for a second try.
* A new chain is taken over only together with the last one-time password of the old, and with another seed:
  under the same seed the one-time passwords that were overheard would come round again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netguard.wire import otp, sasl
from netguard.wire.saslprep import saslprep

if TYPE_CHECKING:
    from collections.abc import Callable

MECHANISM = "OTP"

_LEAST_NEW = 2
_PARAMETERS = re.compile(r"(?P<algorithm>md5|sha1) (?P<sequence>[1-9]\d{0,3}) (?P<seed>[A-Za-z0-9]{1,16})")
_READERS: dict[str, Callable[[str], bytes | None]] = {"hex": otp.from_hex, "word": otp.from_words}


class OtpServer(sasl.Mechanism):
    """One login by a one-time password, which may bring a new chain with it."""

    def __init__(self) -> None:
        super().__init__(MECHANISM, self._names)
        self._authzid = self._name = ""

    def _names(self, message: bytes) -> sasl.Step:
        authzid, separator, name = message.partition(b"\0")
        if not separator or not name or b"\0" in name or max(len(authzid), len(name)) > sasl.MAX_NAME:
            return sasl.malformed("not two names parted by NUL")
        try:
            self._authzid, self._name = saslprep(authzid.decode()), saslprep(name.decode())
        except ValueError:
            return sasl.malformed("a name that is no UTF-8, or that SASLprep refuses")
        return self._ask(sasl.FindOtp(self._name), self._found)

    def _found(self, state: otp.State) -> sasl.Step:
        self._state = state
        return self._challenge(state.challenge.encode("ascii"), self._response)

    def _response(self, message: bytes) -> sasl.Step:
        how, _, rest = message.decode("ascii", "replace").partition(":")
        how, initialises = how.removeprefix("init-"), how.startswith("init-")
        text, _, new = rest.partition(":")
        read = _READERS.get(how)
        password = read(text) if read else None
        if read is None or password is None or (new and not initialises):
            return sasl.malformed("not an extended response")
        after = self._state.after(password)
        if after is None:
            return sasl.WRONG
        self._refused = None if sasl.same(self._authzid, self._name) else sasl.WRONG
        if initialises:
            begun = _new_chain(new, read)
            if begun is None or begun.seed == self._state.seed:
                self._refused = sasl.Failure(sasl.Why.REFUSED, "a new chain that is malformed, or has the old seed")
            elif self._refused is None:
                after = begun
        return self._ask(sasl.SpendOtp(self._name, self._state, after), self._spent)

    def _spent(self, first: bool) -> sasl.Step:
        if not first:
            return sasl.WRONG  # somebody else used it a moment ago
        return self._refused or sasl.Success(self._name)


def _new_chain(text: str, read: Callable[[str], bytes | None]) -> otp.State | None:
    """The chain that a client wants to begin: `algorithm sequence seed:one-time password`."""
    parameters, _, last = text.partition(":")
    found, password = _PARAMETERS.fullmatch(parameters), read(last)
    if found is None or password is None or int(found["sequence"]) < _LEAST_NEW:
        return None
    return otp.State(found["algorithm"], int(found["sequence"]), found["seed"].lower(), password)
