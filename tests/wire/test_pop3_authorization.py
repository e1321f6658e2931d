"""Before login: APOP, USER and PASS, STLS, and what they never do."""

from __future__ import annotations

from binascii import b2a_base64

import pytest

from netguard.wire import mechanisms, pop3_authorization, sasl, sasl_lines
from netguard.wire import pop3_events as ev
from netguard.wire.mechanisms import Circumstances
from netguard.wire.pop3 import Pop3Machine, State
from tests.pop3machine import DIGEST, MAILS, STAMP, answers, drain, logged_in, new, said

# Login


def test_apop_asks_for_a_login() -> None:
    """APOP hands over name and digest, and the session is open when the caller says so."""
    machine = new()
    assert drain(machine, b"APOP mrose " + DIGEST + b"\r\n") == [ev.Apop(b"mrose", DIGEST)]
    assert machine.opened(MAILS) == [b"+OK logged in\r\n"]
    assert machine.state is State.TRANSACTION


@pytest.mark.parametrize("argument", [b"", b" ", b" u", b" u " + DIGEST.upper(), b" a b " + DIGEST, b" u  " + DIGEST])
def test_malformed_apop_spends_the_timestamp(argument: bytes) -> None:
    """A malformed APOP is refused, and no second try follows on that timestamp."""
    machine = new()
    assert said(machine, b"APOP" + argument).startswith(b"-ERR APOP takes")
    assert said(machine, b"APOP u " + DIGEST) == b"-ERR APOP can be tried once in a connection\r\n"


def test_timestamp_is_good_for_one_attempt() -> None:
    """After a failed APOP another one is refused without being checked."""
    machine = new()
    drain(machine, b"APOP u " + DIGEST + b"\r\n")
    assert machine.denied(ev.Denial.CREDENTIALS) == [ev.Denial.CREDENTIALS.value]
    events = drain(machine, b"APOP u " + DIGEST + b"\r\n")
    assert events == [
        ev.Malformed("second APOP on one timestamp"),
        b"-ERR APOP can be tried once in a connection\r\n",
    ]


def test_user_is_refused_in_clear() -> None:
    """Outside TLS neither USER nor PASS is taken, so that the password is not even asked for."""
    machine = new(stls=True)
    assert said(machine, b"USER mrose").startswith(b"-ERR [SYS/PERM] ")
    assert said(machine, b"PASS secret").startswith(b"-ERR [SYS/PERM] ")


def test_refusals_by_policy_are_no_misdeeds() -> None:
    """An honest client that tries USER in clear many times is answered each time."""
    machine = new()
    for _ in range(50):
        assert said(machine, b"USER mrose").startswith(b"-ERR [SYS/PERM]")


def test_user_and_pass_inside_tls() -> None:
    """Inside TLS a name and a password are handed over; the password keeps its spaces."""
    machine = new(secure=True)
    assert said(machine, b"USER mrose") == b"+OK and the password\r\n"
    assert drain(machine, b"PASS  a b  c \r\n") == [ev.Password(b"mrose", b" a b  c ")]


@pytest.mark.parametrize("between", [b"CAPA", b"NOOP", b"XXXX", b"PASS", b"USER", b"USER a b", b"\0", b""])
def test_pass_counts_only_directly_behind_user(between: bytes) -> None:
    """Any line between USER and PASS makes PASS invalid."""
    machine = new(secure=True)
    said(machine, b"USER mrose")
    drain(machine, between + b"\r\n")
    if between == b"PASS":
        assert machine.denied(ev.Denial.CREDENTIALS)
    assert said(machine, b"PASS secret") == b"-ERR USER first\r\n"


def test_pass_without_a_password_is_an_attempt() -> None:
    """PASS with an empty password is checked like any other."""
    machine = new(secure=True)
    said(machine, b"USER mrose")
    assert drain(machine, b"PASS \r\n") == [ev.Password(b"mrose", b"")]


def test_last_user_counts() -> None:
    """A second USER replaces the first."""
    machine = new(secure=True)
    assert drain(machine, b"USER a\r\nUSER b\r\nPASS c\r\n")[-1] == ev.Password(b"b", b"c")


@pytest.mark.parametrize("argument", [b"", b" ", b" a b", b"  a", b" a "])
def test_user_takes_one_name(argument: bytes) -> None:
    """USER without a name, or with two words, is refused."""
    assert said(new(secure=True), b"USER" + argument) == b"-ERR USER takes one name\r\n"


def test_failed_login_swallows_nothing() -> None:
    """What was pipelined behind a failed login is answered after it, in order."""
    machine = new(secure=True)
    events = drain(machine, b"USER a\r\nPASS b\r\nCAPA\r\nUSER c\r\nPASS d\r\n")
    assert events[-1] == ev.Password(b"a", b"b")
    assert drain(machine) == []
    assert machine.denied(ev.Denial.CREDENTIALS) == [ev.Denial.CREDENTIALS.value]
    events = drain(machine)
    assert answers(events)[0].startswith(b"+OK capabilities")
    assert events[-1] == ev.Password(b"c", b"d")


def test_failed_logins_are_bounded() -> None:
    """The third failed login is answered, and is the last."""
    machine = new(secure=True)
    for _ in range(pop3_authorization.MAX_DENIED - 1):
        drain(machine, b"USER a\r\nPASS b\r\n")
        assert machine.denied(ev.Denial.CREDENTIALS) == [ev.Denial.CREDENTIALS.value]
    drain(machine, b"USER a\r\nPASS b\r\nCAPA\r\n")
    assert machine.denied(ev.Denial.CREDENTIALS) == [
        ev.Denial.CREDENTIALS.value,
        ev.Close("too many failed logins"),
    ]
    assert drain(machine, b"CAPA\r\n") == []


@pytest.mark.parametrize("denial", [ev.Denial.IN_USE, ev.Denial.TROUBLE])
def test_trouble_is_no_failed_login(denial: ev.Denial) -> None:
    """A mailbox that is in use, or out of order, may be tried again and again."""
    machine = new(secure=True)
    for _ in range(10):
        drain(machine, b"USER a\r\nPASS b\r\n")
        assert machine.denied(denial) == [denial.value]


# STLS


def test_stls_begins_tls() -> None:
    """STLS is answered, then the caller is asked to switch; then a name may be given."""
    machine = new(stls=True)
    assert drain(machine, b"STLS\r\n") == [b"+OK begin TLS\r\n", ev.StartTls()]
    assert machine.switched() == []
    assert said(machine, b"USER mrose") == b"+OK and the password\r\n"


def test_stls_is_refused_inside_tls_and_where_there_is_none() -> None:
    """STLS is an error inside TLS, after STLS, after login, with an argument, and where TLS cannot be had."""
    assert said(new(secure=True, stls=True), b"STLS") == b"-ERR TLS is on already\r\n"
    assert said(new(), b"STLS").startswith(b"-ERR [SYS/PERM]")
    assert said(new(stls=True), b"STLS now") == b"-ERR wrong number of arguments\r\n"
    assert said(logged_in(), b"STLS") == b"-ERR logged in already\r\n"
    machine = new(stls=True)
    drain(machine, b"STLS\r\n")
    machine.switched()
    assert said(machine, b"STLS") == b"-ERR TLS is on already\r\n"


@pytest.mark.parametrize("behind", [b"\x16", b"CAPA\r\n", b"USER a\r\n", b"\r\n", b"\x16\x03\x01" + b"x" * 200])
def test_anything_behind_stls_is_an_attack(behind: bytes) -> None:
    """Data in the segment of STLS is never obeyed: it is reported and ends the connection without an answer."""
    machine = new(stls=True)
    assert drain(machine, b"STLS\r\n" + behind) == [
        ev.Malformed("data behind STLS"),
        ev.Close("data behind STLS"),
    ]
    assert machine.pending == 0


def test_data_before_the_switch_is_an_attack() -> None:
    """Data that comes between the answer to STLS and the switch is never obeyed either."""
    machine = new(stls=True)
    drain(machine, b"STLS\r\n")
    assert drain(machine, b"CAPA\r\n") == [ev.Malformed("data behind STLS"), ev.Close("data behind STLS")]


def test_what_came_before_stls_in_its_segment_is_obeyed() -> None:
    """STLS may be the last command of a pipeline."""
    machine = new(stls=True)
    events = drain(machine, b"CAPA\r\nSTLS\r\n")
    assert events[1:] == [b"+OK begin TLS\r\n", ev.StartTls()]


def test_user_is_forgotten_at_the_switch() -> None:
    """A USER given before the switch does not make a PASS after it valid."""
    machine = new(stls=True)
    drain(machine, b"USER victim\r\nSTLS\r\n")
    machine.switched()
    assert said(machine, b"PASS secret") == b"-ERR USER first\r\n"


def test_stls_behind_a_login_that_fails() -> None:
    """STLS that waits behind a login is obeyed after it, unless something waits behind it, too."""
    machine = new(stls=True)
    drain(machine, b"APOP u " + DIGEST + b"\r\nSTLS\r\n")
    machine.denied(ev.Denial.CREDENTIALS)
    assert drain(machine)[-1] == ev.StartTls()
    machine = new(stls=True)
    drain(machine, b"APOP u " + DIGEST + b"\r\nSTLS\r\nCAPA\r\n")
    machine.denied(ev.Denial.CREDENTIALS)
    assert drain(machine)[-1] == ev.Close("data behind STLS")


# AUTH


def able(*, secure: bool = True) -> Pop3Machine:
    """A machine that takes every mechanism."""
    return new(secure=secure, enabled=mechanisms.ALL)


PLAIN = b2a_base64(b"\0alice\0x", newline=False)
ASKED = ev.Consult("PLAIN", sasl.CheckPassword(b"alice", b"x"))


@pytest.mark.parametrize(
    "said_before",
    [b"AUTH PLAIN " + PLAIN + b"\r\n", b"AUTH PLAIN\r\n" + PLAIN + b"\r\n", b"auth plain\r\n" + PLAIN + b"\r\n"],
)
def test_an_initial_response_is_a_response(said_before: bytes) -> None:
    """With the command or behind it, the mechanism asks the same; then whoever it is is to be let in."""
    machine = able()
    assert [each for each in drain(machine, said_before) if each != b"+ \r\n"] == [ASKED]
    assert machine.answered("alice") == [ev.Proved("PLAIN", "alice")]
    assert machine.opened(MAILS) == [b"+OK logged in\r\n"]
    assert said(machine, b"AUTH PLAIN") == b"-ERR logged in already\r\n"


def test_who_is_not_right_is_denied_when_the_caller_says_so() -> None:
    """A wrong secret is a request of its own, since the answer has its moment; then there may be another try."""
    machine = able()
    drain(machine, b"AUTH PLAIN " + PLAIN + b"\r\n")
    assert machine.answered(None) == [ev.Disproved("PLAIN")]
    assert drain(machine, b"NOOP\r\n") == []
    assert machine.denied(ev.Denial.CREDENTIALS) == [ev.Denial.CREDENTIALS.value]
    assert drain(machine) == [ev.Malformed("command in the wrong state"), b"-ERR log in first\r\n"]
    assert drain(machine, b"AUTH PLAIN " + PLAIN + b"\r\n") == [ASKED]


def test_accounts_in_trouble_end_the_exchange() -> None:
    """The next line is a command again."""
    machine = able()
    drain(machine, b"AUTH PLAIN " + PLAIN + b"\r\n")
    assert machine.denied(ev.Denial.TROUBLE) == [ev.Denial.TROUBLE.value]
    assert said(machine, b"QUIT") == b"+OK bye\r\n"


def test_who_goes_away_may_still_be_found_wrong() -> None:
    """The machine is deaf, but says what came of the question."""
    machine = able()
    drain(machine, b"AUTH PLAIN " + PLAIN + b"\r\n")
    machine.close()
    assert machine.answered(None) == [ev.Disproved("PLAIN")]
    assert drain(machine, b"QUIT\r\n") == []


@pytest.mark.parametrize("name", [b"PLAIN", b"LOGIN", b"OAUTHBEARER"])
def test_in_clear_a_password_is_not_even_asked_for(name: bytes) -> None:
    """Nor is one looked at that was sent all the same; that is no misdeed."""
    machine = able(secure=False)
    for command in (b"AUTH " + name, b"AUTH " + name + b" " + PLAIN):
        assert said(machine, command) == b"-ERR [SYS/PERM] a password is taken only inside TLS\r\n"


@pytest.mark.parametrize("name", [b"NTLM", b"GSSAPI", b"", b" PLAIN", b"PLAIN\xff", b"EXTERNAL", b"SCRAM-SHA-256-PLUS"])
def test_a_mechanism_that_is_not_offered(name: bytes) -> None:
    """It is refused; clients that try what they know do nothing bad."""
    assert drain(able(secure=False), b"AUTH " + name + b"\r\n") == [b"-ERR this mechanism is not offered here\r\n"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([b"AUTH PLAIN ="], "not three words parted by NUL"),
        ([b"AUTH PLAIN "], "initial response is not base64"),
        ([b"AUTH PLAIN a b"], "initial response is not base64"),
        ([b"AUTH PLAIN", b"!"], "response is not base64"),
        ([b"AUTH PLAIN", b" " + PLAIN], "response is not base64"),
        ([b"AUTH PLAIN", PLAIN + b"\0"], "response is not base64"),
        ([b"AUTH PLAIN", PLAIN[:-1]], "response is not base64"),
        ([b"AUTH PLAIN", b"QUIT"], "not three words parted by NUL"),
        ([b"AUTH PLAIN", b""], "not three words parted by NUL"),
        ([b"AUTH CRAM-MD5 ="], "initial response where none is due"),
    ],
)
def test_what_is_malformed_ends_the_exchange_only(lines: list[bytes], problem: str) -> None:
    """One -ERR, one misdeed, and the session goes on."""
    machine = able()
    events = drain(machine, b"".join(line + b"\r\n" for line in lines))
    assert events[-2:] == [ev.Malformed(problem), b"-ERR malformed response\r\n"]
    assert drain(machine, b"AUTH PLAIN " + PLAIN + b"\r\n") == [ASKED]


def test_a_client_may_give_up() -> None:
    """A star ends the exchange."""
    machine = able()
    assert drain(machine, b"AUTH PLAIN\r\n*\r\nUSER a\r\n") == [
        b"+ \r\n", b"-ERR cancelled\r\n", b"+OK and the password\r\n"
    ]  # fmt: skip


@pytest.mark.parametrize("lines", [b"AUTH PLAIN\r\n*\r\n", b"AUTH NTLM\r\n"])
def test_attempts_are_bounded(lines: bytes) -> None:
    """Also those that were given up, and those by a mechanism that is not there."""
    machine = able()
    events = drain(machine, lines * (pop3_authorization.MAX_ATTEMPTS + 1))
    assert events[-2:] == [b"-ERR too many AUTH commands\r\n", ev.Close("too many AUTH commands")]
    assert sum(isinstance(each, bytes) for each in events[:-2]) == lines.count(b"\n") * pop3_authorization.MAX_ATTEMPTS


@pytest.mark.parametrize("command", [b"CAPA", b"AUTH", b"LANG", b"UTF8", b"USER x", b"STLS"])
def test_commands_before_login_are_bounded(command: bytes) -> None:
    """As many as honest clients could need are obeyed; one more ends the session."""
    machine = new()
    for _ in range(pop3_authorization.MAX_COMMANDS):
        assert len(drain(machine, command + b"\r\n")) == 1
    assert drain(machine, command + b"\r\n") == [
        b"-ERR too many commands before login\r\n",
        ev.Close("too many commands before login"),
    ]
    assert machine.state is State.CLOSED


def test_a_downgrade_is_told() -> None:
    """Who could bind, and was not shown -PLUS where it was offered, has somebody in between: it may know."""
    machine = able()
    first = b2a_base64(b"y,,n=alice,r=fyko", newline=False)
    problem = "SCRAM downgrade: the client was not shown -PLUS"
    assert drain(machine, b"AUTH SCRAM-SHA-256 " + first + b"\r\n") == [
        ev.Malformed(problem), b"-ERR [SYS/PERM] " + problem.encode() + b"\r\n"
    ]  # fmt: skip


@pytest.mark.parametrize("octets", [512, 513, sasl_lines.MAX_LINE])
def test_a_response_may_be_longer_than_a_command(octets: int) -> None:
    """Up to the bound of SASL, however it is cut; the machine is not sated by a line that is on its way."""
    machine = able()
    drain(machine, b"AUTH OAUTHBEARER\r\n")
    line = b"A" * (octets - 2)
    assert drain(machine, line) == []
    assert not machine.sated
    assert drain(machine, b"\r\n")[-1] == b"-ERR malformed response\r\n"
    assert drain(machine, b"USER " + b"x" * 600)[-1] == ev.Close("line too long")


def test_an_endless_response() -> None:
    """One octet more than the bound is the end."""
    machine = able()
    drain(machine, b"AUTH PLAIN\r\n")
    assert drain(machine, b"A" * sasl_lines.MAX_LINE)[-1] == ev.Close("line too long")
    assert machine.pending == 0


def test_auth_ends_that_a_pass_counts() -> None:
    """As every command does."""
    machine = able()
    drain(machine, b"USER alice\r\nAUTH PLAIN\r\n*\r\n")
    assert said(machine, b"PASS x") == b"-ERR USER first\r\n"


def test_after_stls_all_begins_anew() -> None:
    """What TLS is needed for is offered; what was begun before is not gone on with."""
    machine = Pop3Machine(STAMP, stls=True, circumstances=Circumstances(mechanisms.DEFAULT))
    assert b"SASL SCRAM-SHA-256 OTP\r\n" in said(machine, b"CAPA")
    drain(machine, b"AUTH OTP\r\n*\r\nSTLS\r\n")
    machine.switched()
    assert b"SASL SCRAM-SHA-256 OAUTHBEARER OTP PLAIN\r\n" in said(machine, b"CAPA")
