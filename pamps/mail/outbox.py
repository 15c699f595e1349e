"""The outbox: mails that wait in the database, and the tokens in their links."""

import asyncio
import base64
import secrets

from pamps import db
from pamps.db import Query, Transaction
from pamps.loops import PerLoop
from pamps.models.mail import MailKind, insert_mail
from pamps.security import hmac_hash

KEY_BYTES = 16

INSERT_MAIL = Query(insert_mail())

# Set when this process has stored a mail.
new_mail = PerLoop(asyncio.Event)


def make_token(key: bytes) -> str:
    """Return the token in the link of the mail with this key. It takes SECRET_KEY to compute it."""
    return base64.urlsafe_b64encode(hmac_hash("mailed token", key)).decode().rstrip("=")


def hash_token(token: str) -> bytes:
    """Return what is stored of a token."""
    return hmac_hash("mailed token hash", token)


async def queue_mail(
    transaction: Transaction | None,
    kind: MailKind,
    recipient: str,
    language: str,
    user_id: int | None = None,
) -> None:
    """Store a mail, which is sent in the background once the transaction is committed."""
    async with db.transaction(transaction) as transaction:
        await INSERT_MAIL.execute(
            transaction,
            kind=kind,
            recipient=recipient,
            language=language,
            user_id=user_id,
            key=secrets.token_bytes(KEY_BYTES),
        )
        transaction.after_commit.append(new_mail.get().set)
