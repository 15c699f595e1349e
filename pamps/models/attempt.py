"""Attempts to sign in, to sign up and to export, which are limited: table and queries."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from limits import parse
from sqlmodel import Field, Index, SQLModel, col, delete, insert, not_, select

from pamps.config import settings
from pamps.models.columns import AnySelect, Condition, created_at, identity


class Attempt(SQLModel, table=True):
    """An attempt, until it is forgiven: keyed hashes of what was tried, and from which address."""

    __table_args__ = (
        Index("ix_attempt_subject", "subject", "id"),
        Index("ix_attempt_address", "address", "id"),
    )

    id: int = identity(primary_key=True)
    subject: bytes = Field(sa_type=sa.LargeBinary)
    address: bytes = Field(sa_type=sa.LargeBinary)
    date: datetime = created_at()


SUBJECT = sa.bindparam("subject", type_=sa.LargeBinary)
ADDRESS = sa.bindparam("address", type_=sa.LargeBinary)
SAME_SUBJECT = col(Attempt.subject) == SUBJECT
SAME_ADDRESS = col(Attempt.address) == ADDRESS


def insert_attempt(*limits: Condition) -> AnySelect:
    """Insert an attempt, unless it is one too many.

    Returns how many `seconds` to wait; 0 means allowed and stored. Each limit is on the attempts of
    one condition: limit n allows `amount_<n>` of them in `window_<n>` seconds.
    """
    age = sa.func.extract("epoch", sa.func.clock_timestamp() - Attempt.date)
    waits = [
        # An age below 0 is of an attempt from before the database's clock was set back.
        select(sa.bindparam(f"window_{n}", type_=sa.Float) - age)
        .where(condition, age >= 0)
        .order_by(col(Attempt.id).desc())
        .offset(sa.bindparam(f"amount_{n}", type_=sa.Integer) - 1)
        .limit(1)
        .scalar_subquery()
        for n, condition in enumerate(limits)
    ]
    wait = select(sa.func.ceil(sa.func.greatest(0, *waits)).label("seconds")).cte("wait")
    allowed = select(SUBJECT, ADDRESS).where(wait.c.seconds == 0)
    inserted = insert(Attempt).from_select(["subject", "address"], allowed).cte("inserted")
    return select(wait.c.seconds).add_cte(inserted)


def expired_attempts(limit: int) -> sa.Delete:
    """Delete up to `limit` attempts that count for no limit any more, the oldest first."""
    limits = settings.rate_limit
    sign_ins = limits.sign_ins, limits.sign_ins_per_account, limits.sign_ins_per_address
    texts = *sign_ins, limits.sign_ups, limits.exports, limits.mails, limits.mails_per_address
    longest = max(parse(text).get_expiry() for text in texts)
    counting = col(Attempt.date).between(sa.func.now() - timedelta(seconds=longest), sa.func.now())
    oldest = select(Attempt.id).order_by(col(Attempt.id)).limit(limit)
    # A CTE runs once; a subquery may run for each row, and skip what is deleted already.
    batch = oldest.with_for_update(skip_locked=True).cte("batch")
    return delete(Attempt).where(col(Attempt.id) == batch.c.id, not_(counting))
