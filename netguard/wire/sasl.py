"""SASL (RFC 4422): what mechanisms say and ask. How it travels on lines is :mod:`netguard.wire.sasl_lines`'s.

The rules of this file:

* A mechanism is a machine without I/O. It takes what the client sent and says one of four things: a challenge to
  send, a *question* that somebody else must answer (whoever knows the accounts), success, or failure.
* Questions are data. Who drives a mechanism needs to know no mechanism: send what is bytes, have questions
  answered, report how it ended. Whatever takes time or needs the disk is in the answering of a question.
* Nothing that a client sent is in a failure's words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

# Octets of a name in UTF-8 (RFC 4616 and RFC 2444 both say 255).
MAX_NAME = 255


class MechanismMisused(Exception):
    """An answer that nobody waited for, or a step while one was due. The defect is ours, never a client's."""


class Why(Enum):
    """How an exchange failed."""

    CREDENTIALS = "credentials"  #: unknown user or wrong secret: to be told apart by nobody
    MALFORMED = "malformed"  #: not what the mechanism's standard says
    CANCELLED = "cancelled"  #: the client gave up
    REFUSED = "refused"  #: refused for a reason that the client may know, as a downgrade


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send this and wait for the response.

    Attributes:
        data: what to send, before base64.
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class Success:
    """The client is who it says.

    Attributes:
        name: the name of the account.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The client is not let in.

    Attributes:
        why: what kind of failure.
        problem: how, for the log, in this project's own words.
    """

    why: Why
    problem: str


@dataclass(frozen=True, slots=True)
class FindVerifier:
    """What is the SCRAM verifier of this user? Answer: a `netguard.wire.scram.Verifier`, a mock if there is none.

    Attributes:
        name: prepared by SASLprep.
    """

    name: str


@dataclass(frozen=True, slots=True)
class FindOtp:
    """Where is this user's chain of one-time passwords? Answer: a `netguard.wire.otp.State`, a mock if none.

    Attributes:
        name: prepared by SASLprep.
    """

    name: str


@dataclass(frozen=True, slots=True)
class SpendOtp:
    """Put one state of a chain in the place of another, for good. Answer: whether it was still the other.

    Of two who ask at once, one is told True; and it is told when the new state is on the disk, not before.

    Attributes:
        name: whose chain.
        before: what must be there.
        after: what is to be there.
    """

    name: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Is this the user's password? Answer: the name of the account, or None.

    Attributes:
        name: as the client sent it.
        password: as the client sent it; no repr shows it.
    """

    name: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckCram:
    """Is this the right CRAM-MD5 digest (RFC 2195)? Answer: the name of the account, or None.

    Attributes:
        name: as the client sent it.
        challenge: what was digested.
        digest: 32 lower-case hexadecimal digits.
    """

    name: bytes
    challenge: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class CheckCertificate:
    """Whose is the certificate of this connection (EXTERNAL)? Answer: the name of the account, or None.

    Attributes:
        name: who the client wants to be; empty when the certificate shall decide.
    """

    name: str


@dataclass(frozen=True, slots=True)
class CheckToken:
    """Whose is this bearer token (RFC 7628, RFC 6750)? Answer: the name of the account, or None.

    Attributes:
        name: who the client wants to be; empty when the token shall decide.
        token: the token; no repr shows it.
        host: the server that the client believes to talk to; empty when it did not say.
        port: its port; 0 when the client did not say.
    """

    name: str
    token: str = field(repr=False)
    host: str = ""
    port: int = 0


Question: TypeAlias = FindVerifier | FindOtp | SpendOtp | CheckPassword | CheckCram | CheckCertificate | CheckToken
QUESTIONS = (FindVerifier, FindOtp, SpendOtp, CheckPassword, CheckCram, CheckCertificate, CheckToken)
Outcome: TypeAlias = Success | Failure
Step: TypeAlias = Challenge | Question | Outcome

WRONG = Failure(Why.CREDENTIALS, "user unknown or secret wrong")


def malformed(problem: str) -> Failure:
    """The failure of an exchange in which the client broke the mechanism's standard."""
    return Failure(Why.MALFORMED, problem)


class Mechanism:
    """One exchange, as its server sees it.

    Drive it so: `begin` once, then for each challenge `receive` and for each question `answer`, until a Success or
    a Failure. It keeps no more than one message of the client's.

    Args:
        name: what the client calls it, as `SCRAM-SHA-256`.
        first: takes the client's first message.
    """

    def __init__(self, name: str, first: Callable[[bytes], Step]) -> None:
        self.name = name
        self._response_to: Callable[[bytes], Step] | None = first
        self._answer_to: Callable[[Any], Step] | None = None

    def begin(self, initial: bytes | None) -> Step:
        """The client named the mechanism.

        Args:
            initial: its initial response; None when there was none, which is not the same as an empty one.
        """
        return Challenge(b"") if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> Step:
        """The client's response to a challenge, after base64."""
        then, self._response_to = self._response_to, None
        if then is None:
            raise MechanismMisused(f"{self.name} waits for no response")
        return then(response)

    def answer(self, found: object) -> Step:
        """The answer to a question, as the question's own words say."""
        then, self._answer_to = self._answer_to, None
        if then is None:
            raise MechanismMisused(f"{self.name} asked nothing")
        return then(found)

    def _challenge(self, data: bytes, then: Callable[[bytes], Step]) -> Challenge:
        self._response_to = then
        return Challenge(data)

    def _ask(self, question: Question, then: Callable[[Any], Step]) -> Question:
        self._answer_to = then
        return question


def same(wanted: str, name: str) -> bool:
    """Whether somebody who is `name` may act as `wanted`: only as oneself, which an empty wish means too."""
    return wanted in ("", name)
