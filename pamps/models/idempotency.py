"""Stored responses to requests with an Idempotency-Key: table, queries."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlmodel import Field, SQLModel, col, delete, select

from pamps.models.columns import created_at, foreign_key
from pamps.models.user import NOT_DELETED, User

KEPT_FOR = timedelta(hours=24)


class IdempotencyKey(SQLModel, table=True):
    """A key that was used, and the response to its request.

    `key` is an HMAC of the caller and the key, `request` one of path, query and body; `answer`, the
    response, is encrypted with a key derived from the body.
    """

    __tablename__ = "idempotency"
    __table_args__ = (
        sa.Index("ix_idempotency_date", "date"),
        sa.Index("ix_idempotency_user", "user_id"),
    )

    key: bytes = Field(sa_type=sa.LargeBinary, primary_key=True)
    user_id: int | None = foreign_key("user.id", caller=True, default=None)
    request: bytes = Field(sa_type=sa.LargeBinary)
    status: int
    answer: bytes = Field(sa_type=sa.LargeBinary, repr=False)
    date: datetime = created_at()


def stored_response() -> sa.Select[bytes, int, bytes, float]:
    """Select the response stored under `key`, and its `age` in seconds.

    Locking its row makes the commit wait until synchronous standbys have the row: a request that
    was too long in waiting for them has stored it on the primary alone, with which it may be lost.
    """
    age = sa.func.extract("epoch", sa.func.clock_timestamp() - IdempotencyKey.date)
    columns = IdempotencyKey.request, IdempotencyKey.status, IdempotencyKey.answer
    stored = select(*columns, sa.cast(age, sa.Float).label("age"))
    is_kept = col(IdempotencyKey.date) > sa.func.now() - KEPT_FOR
    stored = stored.where(col(IdempotencyKey.key) == sa.bindparam("key"), is_kept)
    return stored.with_for_update()


def store_response() -> Insert:
    """Store the `answer` to a `request` under `key`, in place of one that is no longer kept.

    `user_id` becomes null for an anonymous caller, and if the account has been deleted.
    """
    user = select(User.id).where(col(User.id) == sa.bindparam("caller_id"), NOT_DELETED)
    user = user.with_for_update(read=True, key_share=True)
    stored = insert(IdempotencyKey).values(
        key=sa.bindparam("key"),
        user_id=user.scalar_subquery(),
        request=sa.bindparam("request"),
        status=sa.bindparam("status"),
        answer=sa.bindparam("answer"),
        date=sa.func.now(),
    )
    replaced = {name: stored.excluded[name] for name in IdempotencyKey.model_fields}
    return stored.on_conflict_do_update(index_elements=["key"], set_=replaced)


def expired_keys(limit: int) -> sa.Delete:
    """Delete up to `limit` responses that are no longer kept, the oldest first."""
    oldest = select(IdempotencyKey.key).where(col(IdempotencyKey.date) < sa.func.now() - KEPT_FOR)
    oldest = oldest.order_by(col(IdempotencyKey.date)).limit(limit)
    # A CTE runs once; a subquery may run for each row, and skip what is deleted already.
    batch = oldest.with_for_update(skip_locked=True).cte("batch")
    return delete(IdempotencyKey).where(col(IdempotencyKey.key) == batch.c.key)
