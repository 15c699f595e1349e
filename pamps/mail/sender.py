"""Send the mails of the outbox in the background, one after the other."""

import asyncio
import logging
import random
from contextlib import suppress
from datetime import timedelta
from email.message import EmailMessage

import psycopg

from pamps import server
from pamps.config import settings
from pamps.db import Query, Row
from pamps.mail import smtp
from pamps.mail.message import Link, Recipient, write_message
from pamps.mail.outbox import hash_token, make_token, new_mail
from pamps.models.mail import (
    claim_mail,
    count_waiting_mails,
    delete_mail,
    make_reset_link,
    make_verification_link,
    mark_sent,
    postpone_mail,
    recipient_of_notice,
)
from pamps.observability.metrics import record_mail, record_waiting_mails
from pamps.paths import ROOT_PATH

logger = logging.getLogger(__name__)

# How often a process looks for mails that are due again, or were left by others, in seconds.
INTERVAL_SECONDS = 30
# After how many seconds without success an attempt ends, which is before CLAIM_TIME.
ATTEMPT_SECONDS = 120
# How long a process that stops lets its attempt go on, in seconds.
STOP_SECONDS = 10
# How soon the database is told again that a mail was sent, in seconds.
RETRY_SECONDS = 1
# The pauses after attempts, which are varied by chance; the last one is that of all further ones.
PAUSES = [timedelta(seconds=seconds) for seconds in (30, 60, 120, 240, 300)]
GIVE_UP_AFTER = timedelta(days=1)

CLAIM_MAIL = Query(claim_mail())
MARK_SENT = Query(mark_sent())
POSTPONE_MAIL = Query(postpone_mail())
DELETE_MAIL = Query(delete_mail())
COUNT_WAITING = Query(count_waiting_mails())
RECIPIENT_OF_NOTICE = Query(recipient_of_notice())
MAKE_LINK = {
    "reset_password": Query(make_reset_link()),
    "verify_email": Query(make_verification_link()),
}
# For each mail with a link: the page of the web client, the route, and its operation id.
TARGETS = {
    "reset_password": ("reset-password", "POST /password/reset/", "reset_password"),
    "verify_email": ("verify-email", "POST /email/verify/", "verify_email"),
}


def _link(kind: str, token: str, *, has_pages: bool) -> Link:
    """Return the link of a mail: to a page of the web client, or to the API's documentation."""
    address = server.url(settings.server.host, settings.server.port)
    base = settings.server.public_url or address + ROOT_PATH
    page, route, operation = TARGETS[kind]
    if has_pages:
        # In the fragment, which no server sees and no log has.
        return Link(f"{base}/{page}#token={token}", "", "")
    return Link(f"{base}/docs#/auth/{operation}", route, f'{{"token": "{token}"}}')


async def _write(mail: Row, *, has_pages: bool) -> EmailMessage | None:
    """Return the message of a mail, or None if there is nobody to send it to."""
    link = None
    if mail["kind"] in TARGETS:
        token = make_token(mail["key"])
        link = _link(mail["kind"], token, has_pages=has_pages)
        values = {"mail_id": mail["id"], "token_hash": hash_token(token)}
        row = await MAKE_LINK[mail["kind"]].first(**values)
    else:
        row = await RECIPIENT_OF_NOTICE.first(mail_id=mail["id"])
    if row is None:
        return None
    return write_message(
        mail["kind"], mail["language"], Recipient(**row), link, mail["key"], mail["date"]
    )


async def _mark_sent(mail: Row) -> None:
    """Store that a mail was sent, as soon as the database can: else it would be sent again."""
    while True:
        try:
            await MARK_SENT.execute(mail_id=mail["id"])
        except psycopg.Error:
            await asyncio.sleep(RETRY_SECONDS)
        else:
            record_mail("sent")
            logger.info("mail sent", extra=_extra(mail))
            return


async def _deliver(mail: Row, deadline: asyncio.Timeout, *, has_pages: bool) -> None:
    """Send a mail, or print it. Raises aiosmtplib.SMTPException, OSError, and others."""
    message = await _write(mail, has_pages=has_pages)
    if message is None:
        await DELETE_MAIL.execute(mail_id=mail["id"])
    elif settings.mail.host:
        async with smtp.open_connection() as connection:
            await connection.send_message(message)
            deadline.reschedule(None)  # it was accepted
            await _mark_sent(mail)
    else:
        text = message.get_body(("plain",))
        headers = "\n".join(f"{name}: {message[name]}" for name in ("From", "To", "Subject"))
        content = text.get_content() if text else ""
        logger.info("mail.host is empty, so this mail is not sent:\n%s\n\n%s", headers, content)
        await _mark_sent(mail)


def _extra(mail: Row) -> dict[str, object]:
    """Return what the log says of a mail, which is not to whom it goes."""
    return {"mail_id": mail["id"], "kind": mail["kind"], "attempt": mail["attempts"]}


async def _attempt(mail: Row, *, has_pages: bool) -> bool:
    """Try to send a mail; tell whether it makes sense to try the next one at once."""
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS) as deadline:
            await _deliver(mail, deadline, has_pages=has_pages)
    except (Exception, asyncio.CancelledError) as error:
        reason = {"reason": smtp.describe(error), **_extra(mail)}
        if smtp.is_permanent(error) or mail["age"] >= GIVE_UP_AFTER:
            await DELETE_MAIL.execute(mail_id=mail["id"])
            record_mail("given_up")
            logger.error("mail given up", extra=reason)
        else:
            pause = PAUSES[min(mail["attempts"], len(PAUSES)) - 1]
            pause *= random.uniform(0.75, 1.25)  # nosec B311
            values = {"mail_id": mail["id"], "attempts": mail["attempts"], "pause": pause}
            await POSTPONE_MAIL.execute(**values)
            record_mail("postponed")
            logger.warning("mail cannot be sent yet", extra=reason)
        return isinstance(error, smtp.ERRORS_OF_MAIL)
    return True


async def _send_next(*, has_pages: bool) -> bool:
    """Send the next mail that is due; tell whether to go on with another."""
    mail = await CLAIM_MAIL.first()
    if mail is None:
        return False
    attempt = asyncio.create_task(_attempt(mail, has_pages=has_pages))
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        # Else it would not be known whether the server has accepted the mail.
        await asyncio.wait([attempt], timeout=STOP_SECONDS)
        attempt.cancel()
        await asyncio.wait([attempt])
        raise


async def send_in_background(*, has_pages: bool) -> None:
    """Send mails until cancelled; `has_pages` tells whether links can lead to the web client."""
    event = new_mail.get()
    while True:
        event.clear()
        try:
            while await _send_next(has_pages=has_pages):
                pass
            if settings.metrics.port:
                (row,) = await COUNT_WAITING.all()
                record_waiting_mails(row["count"])
        except Exception as error:
            logger.warning("mails cannot be sent now: %s", error)
        with suppress(TimeoutError):
            async with asyncio.timeout(INTERVAL_SECONDS * random.uniform(0.75, 1.25)):  # nosec B311
                await event.wait()
