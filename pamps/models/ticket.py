"""Tickets, which open a stream of events in place of an access token: table, statements."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from pydantic import BaseModel, Field as ResponseField
from sqlmodel import Field, SQLModel, col

from pamps.models.columns import AnySelect, foreign_key
from pamps.models.session import SESSION_ID, THIS_SESSION, UserSession, user_of_session

VALID_FOR = timedelta(seconds=30)

TICKET_HASH = sa.bindparam("ticket_hash", type_=sa.LargeBinary)


class Ticket(SQLModel, table=True):
    """A ticket for the session `sid`, which can be used once. `hash` is an HMAC of it."""

    __table_args__ = (
        sa.Index("ix_ticket_session", "sid"),
        sa.Index("ix_ticket_expires", "expires"),
    )

    hash: bytes = Field(sa_type=sa.LargeBinary, primary_key=True)
    sid: int = foreign_key("session.sid")
    expires: datetime


NOT_EXPIRED = col(Ticket.expires) > sa.func.now()


def insert_ticket() -> sa.Insert:
    """Insert a ticket for the session `session_id` of `user_id`, if that has not ended."""
    values = sa.select(TICKET_HASH, SESSION_ID, sa.func.now() + VALID_FOR)
    session = values.select_from(UserSession).where(THIS_SESSION)
    locked = session.with_for_update(read=True, key_share=True)
    return sa.insert(Ticket).from_select(["hash", "sid", "expires"], locked)


def use_ticket() -> AnySelect:
    """Delete a ticket; return the user of its session, if neither of them has ended."""
    used = sa.delete(Ticket).where(col(Ticket.hash) == TICKET_HASH)
    ticket = used.returning(col(Ticket.sid), NOT_EXPIRED.label("is_valid")).cte("used")
    user = user_of_session(col(UserSession.sid) == ticket.c.sid)
    return user.add_columns(ticket.c.sid.label("session_id")).where(ticket.c.is_valid)


def expired_tickets(limit: int) -> sa.Delete:
    """Delete up to `limit` tickets that have expired, the oldest first."""
    expired = sa.select(col(Ticket.hash)).where(~NOT_EXPIRED).order_by(col(Ticket.expires))
    # A CTE runs once; a subquery may run for each row, and skip what is deleted already.
    batch = expired.limit(limit).with_for_update(skip_locked=True).cte("batch")
    return sa.delete(Ticket).where(col(Ticket.hash) == batch.c.hash)


class TicketResponse(BaseModel):
    """A ticket for `/live/?ticket=`, good once within `expires_in` seconds."""

    ticket: str = ResponseField(repr=False)
    expires_in: int
