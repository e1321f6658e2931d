"""SCRAM, as a client does it: it trusts no server."""

from __future__ import annotations

from base64 import b64encode

import pytest

from netguard.wire.scram_client import ScramClient, ServerRefused

NONCE = b"rOprNGfwEbeRWgbNEkqO"
ANSWER = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
PROVED = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def client() -> ScramClient:
    """The client of RFC 7677's example."""
    return ScramClient("user", b"pencil", NONCE)


def test_rfc_example() -> None:
    """The client's messages of the RFC's example come out, and the server's are accepted."""
    made = client()
    assert made.first == b"n,,n=user,r=" + NONCE
    assert made.receive(ANSWER) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert made.receive(PROVED) == b""
    with pytest.raises(ServerRefused, match="after the last"):
        made.receive(b"")


def test_what_the_first_message_says() -> None:
    """Binding, identity and name stand where the grammar wants them, with commas and equal signs escaped."""
    assert ScramClient("a,b", b"", b"x", binding=("tls-exporter", b"")).first == b"p=tls-exporter,,n=a=2Cb,r=x"
    assert ScramClient("a", b"", b"x", can_bind=True, authzid="b=c").first == b"y,a=b=3Dc,n=a,r=x"
    with pytest.raises(ValueError, match="no name"):
        ScramClient("a\n", b"", b"x")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"e=other-error",
        ANSWER.replace(b"rOpr", b"rOps"),
        b"r=" + NONCE + ANSWER[ANSWER.index(b",s") :],
        ANSWER.replace(b"i=4096", b"i=4095"),
        ANSWER.replace(b"i=4096", b"i=1000001"),
        ANSWER.replace(b"i=4096", b"i=99999999"),
        ANSWER.replace(b"gQ==", b"gR=="),
        ANSWER.replace(b"s=W22ZaJ0SNY7soEsUEjb6gQ==", b"s="),
        b"m=x," + ANSWER,
    ],
)
def test_a_server_that_breaks_the_standard_is_refused(answer: bytes) -> None:
    """Another nonce, too little or too much work, and everything malformed end it before a proof is given."""
    with pytest.raises(ServerRefused):
        client().receive(answer)


@pytest.mark.parametrize("proved", [b"", b"e=invalid-proof", b"v=" + b64encode(bytes(32)), b"v=AB=", PROVED[:-5]])
def test_a_server_that_does_not_know_the_verifier_is_refused(proved: bytes) -> None:
    """The client learns that it talked to somebody else."""
    made = client()
    made.receive(ANSWER)
    with pytest.raises(ServerRefused, match="does not know the verifier"):
        made.receive(proved)
