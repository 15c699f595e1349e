"""What was answered to requests with an Idempotency-Key: table, queries."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, LargeBinary, bindparam, func
from sqlmodel import Field, SQLModel, col, delete, select

from pamps.models.columns import Statement, created, reference

KEPT = timedelta(hours=24)


class Outcome(SQLModel, table=True):
    """The answer to a request, which nobody can read without having that request.

    `key` is a keyed hash of its caller and key, `request` one of all that it asks for.
    """

    __tablename__ = "idempotency"
    __table_args__ = (
        Index("ix_idempotency_date", "date"),
        Index("ix_idempotency_user", "user_id"),
    )

    key: bytes = Field(sa_type=LargeBinary, primary_key=True)
    user_id: int | None = reference("user.id", default=None)
    request: bytes = Field(sa_type=LargeBinary)
    status: int
    answer: bytes = Field(sa_type=LargeBinary, repr=False)
    date: datetime = created()


def outcomes() -> Statement:
    """What is kept of `key`, and how many seconds ago it was stored."""
    age = func.extract("epoch", func.clock_timestamp() - Outcome.date).label("age")
    columns: Any = Outcome.request, Outcome.status, Outcome.answer, age
    query: Statement = select(*columns)
    return query.where(col(Outcome.key) == bindparam("key"), col(Outcome.date) > func.now() - KEPT)


def expired_outcomes(most: int) -> Any:
    """A statement that deletes up to `most` answers which are no longer kept."""
    oldest = select(Outcome.key).where(col(Outcome.date) < func.now() - KEPT)
    oldest = oldest.order_by(col(Outcome.date)).limit(most).with_for_update(skip_locked=True)
    return delete(Outcome).where(col(Outcome.key).in_(oldest))
