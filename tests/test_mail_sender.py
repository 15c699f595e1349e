"""Sending mail: what goes out, servers that refuse, hang and hang up, and encryption."""

import asyncio
import datetime
import logging
import queue
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from threading import Timer

import pytest
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi.testclient import TestClient

from tests import canary
from tests.databases import execute, here, locked, query
from tests.helpers import Client
from tests.mailbox import Mailbox, send_due, text_of, token_in, wait_for
from tests.servers import free_port

SENT = "SELECT count(*) FROM mail WHERE next_attempt IS NULL"
END_WAITING = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
"""
MAILS = "SELECT count(*) FROM mail"
LATER, GIVEN_UP = "mail cannot be sent yet", "mail given up"
# Contains the mark that no log may contain.
SECRET = canary.password("the mail server")


def forget(client: Client) -> None:
    response = client.post("/password/forgot/", json={"email": "user1@pamps.com"})
    assert response.status_code == 202


class Warnings(logging.Handler):
    """What the sender warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: queue.Queue[logging.LogRecord] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.put(record)

    def next(self, message: str) -> dict:
        """What the next line has, once it is there, which has to have this message."""
        record = self.records.get(timeout=10)
        assert record.getMessage() == message
        assert "user1@" not in str(vars(record))
        return vars(record)


@pytest.fixture
def warnings() -> Iterator[Warnings]:
    handler, logger = Warnings(), logging.getLogger("pamps.mail.sender")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch) -> None:
    """No test waits for a farewell or an attempt that takes long."""
    monkeypatch.setattr("pamps.mail.smtp.COMMAND_SECONDS", 0.5)
    monkeypatch.setattr("pamps.mail.smtp.QUIT_SECONDS", 0.1)


def test_what_is_sent(api_client, api_client_user1, mailbox):
    forget(api_client)
    mail = mailbox.get()
    (envelope,) = mailbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("pamps@pamps.com", ["user1@pamps.com"])
    assert mail["From"] == "Pamps <pamps@pamps.com>"
    assert mail["To"] == "user1@pamps.com"
    assert mail["Subject"] == "Choose a new password for Pamps"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@pamps.com>")
    age = datetime.datetime.now(datetime.UTC) - mail["Date"].datetime
    assert abs(age) < timedelta(minutes=1)
    text = text_of(mail)
    assert "@user1" in text
    html = mail.get_body(("html",)).get_content()
    assert token_in(mail) in html
    assert max(len(line) for line in text.splitlines() if "http" not in line) <= 72
    wait_for(SENT, 1)


@pytest.mark.parametrize("web", [True, False])
def test_where_links_lead(api_client, api_client_user1, mailbox, monkeypatch, web, tmp_path):
    """To a page of the web client, or to the documentation of the API, and the token."""
    from pamps import app
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.server), "public_url", "https://pamps.example/api")
    monkeypatch.setattr(app, "find_build", lambda: tmp_path if web else None)
    with TestClient(app.app) as other:
        other.post("/password/forgot/", json={"email": "user1@pamps.com"})
        mail = mailbox.get()
    token, lines = token_in(mail), text_of(mail).splitlines()
    if web:
        assert f"https://pamps.example/api/reset-password#token={token}" in lines
    else:
        assert "https://pamps.example/api/docs#/auth/reset_password" in lines
        assert f'POST /password/reset/ {{"token": "{token}"}}' in lines
        operation = api_client.get("/openapi.json").json()["paths"]["/password/reset/"]["post"]
        assert (operation["tags"], operation["operationId"]) == (["auth"], "reset_password")


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_refused_for_now(api_client, api_client_user1, mailbox, command, warnings):
    """The same mail goes out later, with the same token."""
    mailbox.replies[command] = "451 user1@pamps.com: try later"
    forget(api_client)
    line = warnings.next(LATER)
    assert line["reason"].endswith(" 451")
    del mailbox.replies[command]
    send_due(api_client)
    wait_for(SENT, 1)
    mails = [mailbox.get() for _ in range(mailbox.mails.qsize())]
    assert len(mails) == (2 if command == "DATA" else 1)
    assert len({(mail["Message-ID"], token_in(mail)) for mail in mails}) == 1


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
def test_refused_for_good(api_client, api_client_user1, mailbox, command, warnings):
    mailbox.replies[command] = "550 user1@pamps.com: no such user"
    forget(api_client)
    assert warnings.next(GIVEN_UP)["reason"].endswith(" 550")
    assert query(MAILS) == [(0,)]


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("way", [Mailbox.HANG, Mailbox.DROP])
def test_a_server_that_hangs_or_hangs_up(
    api_client, api_client_user1, mailbox, command, way, warnings
):
    """Whether the mail has arrived is unclear after DATA: then it is sent again."""
    mailbox.replies[command] = way
    forget(api_client)
    warnings.next(LATER)
    del mailbox.replies[command]
    send_due(api_client)
    wait_for(SENT, 1)
    ids = [mailbox.get()["Message-ID"] for _ in range(mailbox.mails.qsize())]
    assert len(ids) == (2 if command == "DATA" else 1)
    assert len(set(ids)) == 1


def test_a_farewell_that_hangs(api_client, api_client_user1, mailbox, monkeypatch):
    """The mail was accepted before, so it is not sent again."""

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("aiosmtpd.smtp.SMTP.smtp_QUIT", hang)
    forget(api_client)
    wait_for(SENT, 1)
    send_due(api_client)
    mailbox.get()
    assert mailbox.mails.empty()


def test_no_server(api_client, api_client_user1, mailbox, monkeypatch, warnings):
    mailbox.use(monkeypatch, port=free_port())
    for _ in range(3):
        forget(api_client)
        assert warnings.next(LATER)["reason"].startswith("SMTPConnectError: ")
    # The others wait for the next look, as the server is not there for them either.
    send_due(api_client)
    warnings.next(LATER)
    mailbox.use(monkeypatch)
    send_due(api_client)
    wait_for(SENT, 3)
    assert query("SELECT sum(attempts) FROM mail") == [(7,)]


def test_pauses_grow_until_it_is_given_up(api_client, api_client_user1, mailbox, warnings):
    mailbox.replies["DATA"] = "451 try later"
    forget(api_client)
    pauses = []
    for attempt in range(1, 9):
        assert warnings.next(LATER)["attempt"] == attempt
        ((pause,),) = query("SELECT extract(epoch FROM next_attempt - now()) FROM mail")
        pauses.append(float(pause))
        send_due(api_client)
    expected = [30, 60, 120, 240, 300, 300, 300, 300]
    for pause, middle in zip(pauses, expected, strict=True):
        assert middle * 0.7 < pause < middle * 1.3
    warnings.next(LATER)
    execute(here(), "UPDATE mail SET attempts = 1000")
    send_due(api_client)
    warnings.next(LATER)
    execute(here(), "UPDATE mail SET date = now() - interval '1 day'")
    send_due(api_client)
    assert warnings.next(GIVEN_UP)["attempt"] == 1002
    assert query(MAILS) == [(0,)]


def test_a_sender_that_is_refused(api_client, api_client_user1, mailbox, warnings):
    """As all mails have the same, this one may go out once the operator has corrected it."""
    mailbox.replies["MAIL"] = "550 not you"
    forget(api_client)
    assert warnings.next(LATER)["reason"] == "SMTPSenderRefused 550"
    del mailbox.replies["MAIL"]
    send_due(api_client)
    wait_for(SENT, 1)


def test_a_database_that_is_away_once_a_mail_was_accepted(
    api_client, api_client_user1, mailbox, monkeypatch
):
    """The mail is not sent again, even if that lasts longer than an attempt may."""
    monkeypatch.setattr("pamps.mail.sender.ATTEMPT_SECONDS", 0.3)
    monkeypatch.setattr("pamps.mail.sender.RETRY_SECONDS", 0.05)
    mailbox.replies["DATA"] = Mailbox.HANG
    forget(api_client)
    mailbox.get()
    database = here().render_as_string(hide_password=False)
    with locked(database, "SELECT id FROM mail FOR UPDATE"):
        mailbox.resume()
        until = time.monotonic() + 1
        while time.monotonic() < until:
            execute(here(), END_WAITING)
    wait_for(SENT, 1)
    send_due(api_client)
    assert mailbox.mails.empty()


def test_a_process_that_stops_finishes_what_it_sends(api_client_user1, mailbox, monkeypatch):
    """But it does not wait long for a server that hangs."""
    from pamps.app import app

    for stop_seconds, sent in ((0.1, 0), (10, 1)):
        execute(here(), "DELETE FROM mail")
        mailbox.replies["DATA"] = Mailbox.HANG
        monkeypatch.setattr("pamps.mail.sender.STOP_SECONDS", stop_seconds)
        with TestClient(app) as other:
            other.post("/password/forgot/", json={"email": "user1@pamps.com"})
            mailbox.get()
            if sent:
                Timer(0.1, mailbox.resume).start()
        assert query(SENT) == [(sent,)]
        assert query("SELECT attempts FROM mail") == [(1,)]


def test_a_claim_of_a_process_that_died(api_client, api_client_user1, mailbox):
    mailbox.replies["DATA"] = Mailbox.HANG
    forget(api_client)
    mailbox.get()
    ((seconds,),) = query("SELECT extract(epoch FROM next_attempt - now()) FROM mail")
    assert 120 < seconds <= 180


def test_an_address_that_needs_more_than_ascii(api_client, sign_up, mailbox):
    sign_up("user1", email="ana@exämple.com")
    response = api_client.post("/password/forgot/", json={"email": "ana@exämple.com"})
    assert response.status_code == 202
    assert mailbox.get()["To"] == "ana@xn--exmple-cua.com"


def certificate(folder, name: str) -> tuple[ssl.SSLContext, str]:
    """A server's context with a certificate of its own, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, str(file)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("tls", ["tls", "starttls"])
@pytest.mark.parametrize("trusted", [True, False])
def test_encryption(api_client, api_client_user1, monkeypatch, tmp_path, tls, trusted, warnings):
    """With a certificate that is verified, and a user name and a password."""
    context, file = certificate(tmp_path, "127.0.0.1")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", file)

    def authenticate(server, session, envelope, mechanism, data) -> AuthResult:
        right = (data.login, data.password) == (b"pamps", SECRET.encode())
        return AuthResult(success=right)

    options = {"ssl_context": context} if tls == "tls" else {"tls_context": context}
    with Mailbox(
        **options,
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=tls == "starttls",
    ) as mailbox:
        mailbox.use(monkeypatch, tls=tls, username="pamps", password=SECRET)
        forget(api_client)
        if trusted:
            assert mailbox.get()["To"] == "user1@pamps.com"
            wait_for(SENT, 1)
        else:
            assert "certificate" in warnings.next(LATER)["reason"]
            assert mailbox.mails.empty()


def test_a_server_without_encryption(api_client, api_client_user1, mailbox, monkeypatch, warnings):
    mailbox.use(monkeypatch, tls="starttls")
    forget(api_client)
    assert "STARTTLS" in warnings.next(LATER)["reason"]
    assert mailbox.mails.empty()


def test_a_wrong_password_of_the_server(
    api_client, api_client_user1, monkeypatch, tmp_path, warnings
):
    """It is retried: once the operator has corrected it, the mail goes out."""
    context, file = certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", file)
    refuse = {
        "authenticator": lambda *_: AuthResult(success=False, handled=False),
        "auth_required": True,
    }
    with Mailbox(tls_context=context, **refuse) as mailbox:
        mailbox.use(monkeypatch, tls="starttls", username="pamps", password=SECRET)
        forget(api_client)
        line = warnings.next(LATER)
    assert line["reason"] == "SMTPAuthenticationError 535"
