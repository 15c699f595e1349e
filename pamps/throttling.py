"""Throttling: limits of sign-ins, sign-ups, exports and mails."""

import ipaddress
import logging
from collections.abc import Sequence
from functools import lru_cache

from fastapi import HTTPException
from limits import parse
from sqlalchemy import func
from sqlmodel import delete, select

from pamps import db
from pamps.config import settings
from pamps.db import Query, Transaction
from pamps.models.attempt import SAME_ADDRESS, SAME_SUBJECT, Attempt, insert_attempt
from pamps.models.columns import id_parameter
from pamps.models.types import fold_case
from pamps.observability.metrics import record_sign_in
from pamps.security import hmac_hash

logger = logging.getLogger(__name__)

LOCK = Query(select(func.pg_advisory_xact_lock(id_parameter("key")).label("locked")))
SIGN_IN = Query(insert_attempt(SAME_SUBJECT & SAME_ADDRESS, SAME_SUBJECT, SAME_ADDRESS))
# For what has one limit.
ATTEMPT = Query(insert_attempt(SAME_SUBJECT))
MAIL = Query(insert_attempt(SAME_SUBJECT, SAME_ADDRESS))
CLEAR_ATTEMPTS = Query(delete(Attempt).where(SAME_SUBJECT, SAME_ADDRESS))
# Lets an account sign in from everywhere again; `subject` is `account_key` of its name.
CLEAR_ACCOUNT_ATTEMPTS = Query(delete(Attempt).where(SAME_SUBJECT))


@lru_cache(maxsize=1024)
def client_network(address: str) -> str:
    """Return what one client owns: an IPv4 address, or a network of 64 bits of IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address  # of a unix socket, say
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip), 64), strict=False))


def account_key(username: str) -> bytes:
    """Return the `subject` of attempts to sign in to an account."""
    return hmac_hash("sign-in account", fold_case(username.strip()))


def _address_key(address: str) -> bytes:
    return hmac_hash("sign-in address", client_network(address))


async def count_sign_in_attempt(
    username: str, address: str, transaction: Transaction | None = None
) -> None:
    """Store an attempt to sign in as failed; a successful sign-in deletes it.

    Names count whether there is such a user or not. The attempt is committed at once, unless there
    is a `transaction` around it. Raises HTTPException 429.
    """
    limits = settings.rate_limit
    texts = limits.sign_ins, limits.sign_ins_per_account, limits.sign_ins_per_address
    keys = account_key(username), _address_key(address)
    try:
        await _attempt(transaction, SIGN_IN, keys, texts, address)
    except HTTPException:
        record_sign_in("throttled")
        raise


async def count_sign_up_attempt(address: str) -> None:
    """Count an attempt to sign up, and commit that at once. Raises HTTPException 429."""
    key = hmac_hash("sign-up address", client_network(address))
    await _attempt(None, ATTEMPT, (key, key), [settings.rate_limit.sign_ups], address)


async def count_export(user_id: int, address: str) -> None:
    """Count an export of an account, and commit that at once. Raises HTTPException 429."""
    key = hmac_hash("export", str(user_id))
    await _attempt(None, ATTEMPT, (key, key), [settings.rate_limit.exports], address)


async def count_mail(recipient: str, address: str) -> None:
    """Count a mail that somebody asks for, and commit that at once. Raises HTTPException 429."""
    subject = hmac_hash("mail recipient", fold_case(recipient))
    address_key = hmac_hash("mail address", client_network(address))
    limits = settings.rate_limit
    texts = limits.mails, limits.mails_per_address
    await _attempt(None, MAIL, (subject, address_key), texts, address)


async def count_token_attempt(address: str) -> None:
    """Count the use of a token from a mail, and commit that at once. Raises HTTPException 429."""
    key = hmac_hash("token address", client_network(address))
    limits = [settings.rate_limit.sign_ins_per_address]
    await _attempt(None, ATTEMPT, (key, key), limits, address)


async def _attempt(
    transaction: Transaction | None,
    query: Query,
    keys: tuple[bytes, bytes],
    texts: Sequence[str],
    address: str,
) -> None:
    """Store an attempt, or raise HTTPException 429 if it is one too many."""
    if not settings.rate_limit.enabled:
        return
    subject, address_key = keys
    parameters: dict[str, float] = {}
    for n, limit in enumerate(map(parse, texts)):
        parameters |= {f"amount_{n}": limit.amount, f"window_{n}": limit.get_expiry()}
    async with db.transaction(transaction) as transaction:
        # One after the other, as attempts at the same time would not see each other. Attempts on
        # different accounts run in parallel; at most `pool_size` can exceed the address limit.
        await LOCK.execute(transaction, key=int.from_bytes(subject[:8], signed=True))
        row = await query.first(transaction, subject=subject, address=address_key, **parameters)
    if row and (seconds := int(row["seconds"])):
        # The account cannot be read from its key, but lines about one account can be found.
        extra = {"address": address, "subject": subject.hex()[:8]}
        logger.warning("attempt limit exceeded", extra=extra)
        detail = f"Too many attempts, try again in {seconds} seconds"
        raise HTTPException(429, detail, {"Retry-After": str(seconds)})


async def clear_attempts(transaction: Transaction, username: str, address: str) -> None:
    """Delete the attempts of an account from an address, as the password was right."""
    if settings.rate_limit.enabled:
        key = account_key(username)
        await CLEAR_ATTEMPTS.execute(transaction, subject=key, address=_address_key(address))
