"""The demonstration of netguard-pop: a mailbox, an account and a certificate in a directory of their own.

Everything that is tried out is real: the server is the one that serves mail, on loopback, at free ports. Run a second
time in the same directory, it starts from the mail that is left, with the same account.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from attrs import frozen

from netguard.accounts.credentials import APOP, SCRAM, generate, scram_verifier
from netguard.accounts.store import Store
from netguard.process.selfsigned import self_signed

USER = "demo"
LOOPBACK = "127.0.0.1"


@frozen
class Demo:
    """The files of one demonstration.

    Args:
        directory: where they are.
    """

    directory: Path

    @property
    def maildir(self) -> str:
        """The template of the mailboxes."""
        return str(self.directory / "mail" / "{user}")

    @property
    def accounts(self) -> Path:
        """The accounts file."""
        return self.directory / "accounts.sqlite"

    @property
    def secret(self) -> Path:
        """The file with the account's secret, for the commands that are shown."""
        return self.directory / "secret"

    @property
    def netrc(self) -> Path:
        """The same secret as curl reads it, so that it stands on no command line."""
        return self.directory / "netrc"

    @property
    def certificate(self) -> Path:
        """Key and certificate of the server."""
        return self.directory / "self-signed.pem"

    def prepare(self) -> None:
        """Make what is missing.

        Raises:
            ValueError: the directory holds something else.
            OSError: a file cannot be made.
            AccountsTrouble: others could change what is in the directory.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(self.directory.iterdir()) and not self.accounts.exists():
            message = f"{self.directory} is not empty and holds no demonstration; name another directory for --demo"
            raise ValueError(message)
        self_signed("localhost", self.directory)
        if not self.accounts.exists():
            self._make_mail()
            self._make_account()

    def _make_account(self) -> None:
        secret = generate()
        for path, text in ((self.secret, secret), (self.netrc, f"default login {USER} password {secret}")):
            path.touch(mode=0o600)
            path.write_text(text + "\n")
        # Under its own name only when it is complete: it says that here is a demonstration, to be used again.
        unfinished = self.directory / ".accounts.unfinished"
        with closing(Store(unfinished)) as store:
            store.create()
            store.add(USER, {APOP: secret, SCRAM: scram_verifier(secret, store.found(USER).iterations)})
        unfinished.rename(self.accounts)

    def _make_mail(self) -> None:
        mailbox = self.directory / "mail" / USER
        for folder in ("new", "cur", "tmp"):
            (mailbox / folder).mkdir(mode=0o700, parents=True)
        for number, (name, message) in enumerate(samples(), 1):
            folder, flags = ("cur", ":2,S") if number % 2 else ("new", "")
            (mailbox / folder / f"{1_800_000_000 + number}.{name}.demo{flags}").write_bytes(message)

    def commands(self, plain: int, tls: int) -> Iterator[tuple[str, str]]:
        """What to try, and the command for it, ready to be pasted.

        Args:
            plain: the port that speaks POP3, with STLS.
            tls: the port that speaks POP3 inside TLS.
        """
        netrc, pem, secret = (shlex.quote(str(each)) for each in (self.netrc, self.certificate, self.secret))
        url, implicit = f"pop3://{LOOPBACK}:{plain}", f"pop3s://localhost:{tls}"
        yield (
            "list the messages: APOP, no password on the wire",
            f"curl --netrc-file {netrc} --login-options AUTH=+APOP {url}/",
        )
        yield (
            "fetch message 1 after STLS",
            f"curl --netrc-file {netrc} --ssl-reqd --cacert {pem} pop3://localhost:{plain}/1",
        )
        yield (
            "fetch message 2 through TLS from the first byte",
            f"curl --netrc-file {netrc} --cacert {pem} {implicit}/2",
        )
        yield (
            "talk to it by hand",
            (
                f"printf 'USER {USER}\\r\\nPASS %s\\r\\nSTAT\\r\\nUIDL\\r\\nQUIT\\r\\n' \"$(cat {secret})\" | "
                f"openssl s_client -quiet -verify_return_error -CAfile {pem} -connect {LOOPBACK}:{tls}"
            ),
        )
        program = (
            "import poplib, sys; user, secret, port = sys.argv[1:]; "
            f'box = poplib.POP3("{LOOPBACK}", int(port)); '
            "print(box.apop(user, open(secret).read().strip())); print(box.stat()); print(box.quit())"
        )
        yield "use it from Python: APOP", f"python3 -c {shlex.quote(program)} {USER} {secret} {plain}"

    def show(self, ports: Mapping[str, int]) -> str:
        """The text that tells a person what runs and what to try.

        Args:
            ports: the real ports, ``plain`` and ``tls``.
        """
        lines = [f"netguard-pop is serving {self.directory / 'mail' / USER}; stop it with Ctrl-C.", ""]
        for what, command in self.commands(ports["plain"], ports["tls"]):
            lines += [f"# {what}", command, ""]
        return "\n".join(lines)


def _message(subject: str, body: bytes, *headers: str) -> bytes:
    head = (
        "From: netguard <netguard@example.org>",
        f"To: {USER} <{USER}@example.org>",
        f"Subject: {subject}",
        "Date: Tue, 24 Nov 2026 12:00:00 +0000",
        "MIME-Version: 1.0",
        *headers,
    )
    return "\n".join(head).encode() + b"\n\n" + body


def samples() -> Iterator[tuple[str, bytes]]:
    """Messages that a server can get wrong: names and contents, as they lie in a Maildir."""
    text = "Content-Type: text/plain; charset=utf-8"
    yield "welcome", _message("Welcome", b"This mail came by POP3, through guards.\n", text)
    yield (
        "dots",
        _message("Dots", b".\n..\n.hidden\nThe line above begins with a dot, and so does the next.\n.\n", text),
    )
    yield "crlf", _message("Stored with CRLF", b"one\ntwo\nthree\n", text).replace(b"\n", b"\r\n")
    yield "utf8", _message("Accents", "Grüße, ¡hola!, привет, こんにちは\n".encode(), text)
    yield "latin", _message("8-bit, and not UTF-8", bytes(range(160, 256)) + b"\n")
    yield "binary", _message("Binary junk", bytes(each for each in range(256) if each not in b"\r\n") * 16 + b"\n")
    yield "bare-cr", _message("Bare CR", b"a\rb\r\rc\n")
    yield "no-newline", _message("No newline at the end", b"the last line has none", text)
    yield "empty", b""
    yield "headers-only", _message("Headers only", b"").rstrip(b"\n") + b"\n"
    yield "long-line", _message("One long line", b"x" * 100_000 + b"\n")
    yield (
        "large",
        _message("Two megabytes", b"A line of sixty-four characters, to be sent two megabytes long.\n" * 32768),
    )
