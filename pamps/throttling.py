"""Throttling: limits of how often an address may try to sign in and to sign up."""

import ipaddress
import logging
from collections.abc import Sequence
from functools import lru_cache

import limits
from fastapi import HTTPException
from sqlalchemy import func
from sqlmodel import delete, select

from pamps.config import settings
from pamps.db import Query, Transaction, transaction
from pamps.models.attempt import SAME_ADDRESS, SAME_SUBJECT, Attempt, insert_attempt
from pamps.models.columns import id_parameter
from pamps.models.types import folded
from pamps.observability.metrics import count_sign_in
from pamps.security import keyed_hash

logger = logging.getLogger(__name__)

LOCK = Query(select(func.pg_advisory_xact_lock(id_parameter("key")).label("locked")))
SIGN_IN = Query(insert_attempt(SAME_SUBJECT & SAME_ADDRESS, SAME_SUBJECT, SAME_ADDRESS))
SIGN_UP = Query(insert_attempt(SAME_SUBJECT))
FORGIVE = Query(delete(Attempt).where(SAME_SUBJECT, SAME_ADDRESS))
# Lets an account sign in from everywhere again; `subject` is `account_key` of its name.
PARDON = Query(delete(Attempt).where(SAME_SUBJECT))


@lru_cache(maxsize=1024)
def network(address: str) -> str:
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
    return keyed_hash("sign-in account", folded(username.strip()))


def _address_key(address: str) -> bytes:
    return keyed_hash("sign-in address", network(address))


async def attempt_sign_in(username: str, address: str, outer: Transaction | None = None) -> None:
    """Count an attempt to sign in, which is a failure until `forgive` deletes it.

    Names count whether there is such a user or not. The attempt is committed at once, unless there
    is an `outer` transaction. Raises HTTPException 429.
    """
    if not settings.rate_limit.enabled:
        return
    throttles = settings.rate_limit
    texts = throttles.sign_ins, throttles.sign_ins_per_account, throttles.sign_ins_per_address
    keys = account_key(username), _address_key(address)
    if seconds := await _attempt(SIGN_IN, *keys, texts, outer):
        count_sign_in("throttled")
        raise _too_many_attempts(seconds, keys[0], address)


async def attempt_sign_up(address: str) -> None:
    """Count an attempt to sign up, and commit that at once. Raises HTTPException 429."""
    if not settings.rate_limit.enabled:
        return
    key = keyed_hash("sign-up address", network(address))
    if seconds := await _attempt(SIGN_UP, key, key, [settings.rate_limit.sign_ups]):
        raise _too_many_attempts(seconds, key, address)


async def _attempt(
    query: Query,
    subject: bytes,
    address: bytes,
    texts: Sequence[str],
    outer: Transaction | None = None,
) -> int:
    """Store an attempt; if it is one too many, return the seconds until it would be allowed."""
    parameters: dict[str, float] = {}
    for n, limit in enumerate(map(limits.parse, texts)):
        parameters |= {f"amount_{n}": limit.amount, f"window_{n}": limit.get_expiry()}
    async with transaction(outer) as own:
        # One after the other, as attempts at the same time would not see each other. Those from one
        # address to several accounts do not wait for each other: there are no more of them at once
        # than connections, too few to be a way round a limit.
        await LOCK.run(own, key=int.from_bytes(subject[:8], signed=True))
        row = await query.one(own, subject=subject, address=address, **parameters)
    return int(row["seconds"]) if row else 0


def _too_many_attempts(seconds: int, subject: bytes, address: str) -> HTTPException:
    # The account cannot be read from its key, but lines about the same account can be found.
    logger.warning("throttled", extra={"address": address, "subject": subject.hex()[:8]})
    detail = f"Too many attempts, try again in {seconds} seconds"
    return HTTPException(429, detail, {"Retry-After": str(seconds)})


async def forgive(transaction: Transaction, username: str, address: str) -> None:
    """Delete the attempts of an account from an address, as the password was right."""
    if settings.rate_limit.enabled:
        key = account_key(username)
        await FORGIVE.run(transaction, subject=key, address=_address_key(address))
