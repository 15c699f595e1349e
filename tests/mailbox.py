"""An SMTP server that keeps what it gets, and answers as a test wants."""

import asyncio
import itertools
import queue
import re
import secrets
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi.testclient import TestClient

from tests.databases import execute, here, query
from tests.servers import free_port

# A mail that was sent to somebody new, and its token.
SENT_MAIL = """
WITH new AS (INSERT INTO "user" (username, email, password)
    VALUES ('mailed{n}', 'mailed{n}@pamps.com', '$argon2$') RETURNING *)
INSERT INTO mail (kind, recipient, language, user_id, key, token_hash, password_digest, expires,
    next_attempt)
SELECT '{kind}', email, 'en', id, '', '\\x{hash}', sha256(password::bytea), now() + interval '1 h',
    NULL
FROM new
"""
numbers = itertools.count()


class Mailbox(Controller):
    """`replies` are its answers to commands; `HANG` and `DROP` are none."""

    HANG, DROP = "hang", "drop"

    def __init__(self, **options: Any) -> None:
        self.mails: queue.Queue[EmailMessage] = queue.Queue()
        self.envelopes: list[Envelope] = []
        self.replies: dict[str, str] = {}
        self.connections: list[SMTP] = []
        self._resumed = asyncio.Event()
        super().__init__(self, hostname="127.0.0.1", port=free_port(), **options)

    def __enter__(self) -> "Mailbox":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result()
        self.stop()

    def factory(self) -> SMTP:
        self.connections.append(super().factory())
        return self.connections[-1]

    async def _hang_up(self) -> None:
        """Close connections that clients or handlers keep open."""
        for connection in self.connections:
            if connection.transport:
                connection.transport.abort()
        while any(connection.transport for connection in self.connections):
            await asyncio.sleep(0)

    def use(self, monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
        """Have the API in this process send its mail here."""
        from pamps.config import settings as all_settings

        for name, value in {"port": self.port, **settings}.items():
            monkeypatch.setitem(vars(all_settings.mail), name, value)

    async def _reply(self, server: SMTP, command: str) -> str:
        reply = self.replies.get(command, "250 OK")
        if reply == self.HANG:
            await self._resumed.wait()
            return "250 OK"
        if reply == self.DROP:
            server.transport.abort()
        return reply

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return await self._reply(server, "MAIL")

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list
    ) -> str:
        envelope.rcpt_tos.append(address)
        return await self._reply(server, "RCPT")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        self.mails.put(message_from_bytes(envelope.content, policy=policy.default))
        return await self._reply(server, "DATA")

    def resume(self) -> None:
        """Answer those who hang, and all others."""
        self.replies.clear()
        self.loop.call_soon_threadsafe(self._resumed.set)

    def get(self) -> EmailMessage:
        """The next mail, once it is there."""
        return self.mails.get(timeout=10)

    def token(self) -> str:
        """The token in the next mail."""
        return token_in(self.get())


def text_of(mail: EmailMessage) -> str:
    return mail.get_body(("plain",)).get_content()


def token_in(mail: EmailMessage) -> str:
    return re.search(r"""(?:#token=|"token": ")([A-Za-z0-9_-]{43})\b""", text_of(mail))[1]


def mailed_token(kind: str) -> str:
    """A token that nobody has used yet, as if it had been mailed to somebody new."""
    from pamps.mail.outbox import hash_token

    token = secrets.token_urlsafe(32)
    execute(here(), SENT_MAIL.format(n=next(numbers), kind=kind, hash=hash_token(token).hex()))
    return token


def wait_for(statement: str, expected: object) -> None:
    """Wait until a query has this one value."""
    deadline = time.monotonic() + 10
    while (found := query(statement)) != [(expected,)]:
        assert time.monotonic() < deadline, found


def send_due(server: TestClient) -> None:
    """Have all waiting mails tried again now."""
    from pamps.mail.outbox import new_mail

    execute(here(), "UPDATE mail SET next_attempt = now() WHERE next_attempt IS NOT NULL")
    server.portal.call(lambda: asyncio.sleep(0, new_mail.get().set()))
