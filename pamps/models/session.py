"""Sessions: table, queries, response."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Mapped
from sqlmodel import Field, SQLModel, col

from pamps.models.columns import (
    AnySelect,
    Column,
    Condition,
    created_at,
    foreign_key,
    id_parameter,
    identity,
    text_column,
)
from pamps.models.user import NOT_DELETED, USER_ID, User


class UserSession(SQLModel, table=True):
    """A sign-in and its tokens, all of which end when the row is deleted.

    Tokens contain `sid`. After a restore, the ids of rows are reused; a random `sid` keeps old
    tokens from matching new sessions. `token_hash` is the SHA-256 of the id of the current refresh
    token, `previous_hash` that of the one before.
    """

    __tablename__ = "session"
    __table_args__ = (
        sa.Index("ix_session_user", "user_id", "id"),
        sa.Index("ix_session_expires", "expires"),
    )

    sid: int = Field(
        sa_type=sa.BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    id: int = identity()
    user_id: int = foreign_key("user.id", caller=True)
    token_hash: bytes = Field(sa_type=sa.LargeBinary, repr=False)
    previous_hash: bytes | None = Field(None, sa_type=sa.LargeBinary, repr=False)
    user_agent: str = text_column()
    started: datetime = created_at()
    last_used: datetime = created_at()
    expires: datetime


# The `sid` of a session.
SESSION_ID = id_parameter("session_id")
SESSION_IDS = sa.bindparam("session_ids", type_=sa.ARRAY(sa.BigInteger))
PRESENTED_HASH = sa.bindparam("presented_hash", type_=sa.LargeBinary)

NOT_EXPIRED = col(UserSession.expires) > sa.func.now()
OF_USER = col(UserSession.user_id) == USER_ID
THIS_SESSION = (col(UserSession.sid) == SESSION_ID) & OF_USER
# Tokens are made by the database's clock, so no other clock may judge them.
TOKEN_EXPIRES = sa.bindparam("token_expires", type_=sa.Float)
TOKEN_NOT_EXPIRED = sa.func.to_timestamp(TOKEN_EXPIRES) > sa.func.now()
TIMES = col(UserSession.last_used), col(UserSession.expires)


def user_of_session(is_session: Condition = THIS_SESSION) -> AnySelect:
    """Select the user of a session that has not ended."""
    statement = sa.select(col(User.id), col(User.username), col(User.superuser))
    statement = statement.join(UserSession, col(UserSession.user_id) == User.id)
    return statement.where(is_session, NOT_EXPIRED, col(User.disabled).is_(False), NOT_DELETED)


def ended_sessions() -> AnySelect:
    """Select those of `session_ids` that have ended."""
    ids = sa.func.unnest(SESSION_IDS).column_valued("session_id")
    alive = user_of_session(col(UserSession.sid) == ids).correlate_except(User, UserSession)
    return sa.select(ids.label("session_id")).where(~alive.exists())


def sessions() -> AnySelect:
    """Select the sessions of a user; the one that is `current` is `session_id`."""
    names = "id", "started", "last_used", "user_agent"
    current = (col(UserSession.sid) == SESSION_ID).label("current")
    columns = [getattr(UserSession, name) for name in names]
    return sa.select(*columns, current).where(OF_USER, NOT_EXPIRED)


def insert_session() -> sa.Insert:
    """Insert a session and return its times, if the user may sign in with a password hash.

    The user is locked until the transaction ends, so that no other transaction changes the password
    or disables the account before the session is there.
    """
    verified = col(User.password) == sa.bindparam("password_hash", type_=sa.Text)
    values: dict[str, Column | Mapped[int]] = {
        "sid": SESSION_ID,
        "user_id": col(User.id),
        "user_agent": sa.bindparam("user_agent", type_=sa.Text),
        "token_hash": sa.bindparam("token_hash", type_=sa.LargeBinary),
        "expires": sa.func.now() + sa.bindparam("lifetime", type_=sa.Interval),
    }
    user = sa.select(*values.values()).where(col(User.id) == USER_ID, verified, NOT_DELETED)
    user = user.where(col(User.disabled).is_(False)).with_for_update(key_share=True)
    return sa.insert(UserSession).from_select(list(values), user).returning(*TIMES)


def rotate_token() -> sa.Update:
    """Replace the presented refresh token, if it is the current one; return the new times."""
    now = sa.func.clock_timestamp()  # The statement may have waited for another refresh.
    token_expires = now + sa.bindparam("token_lifetime", type_=sa.Interval)
    session_expires = col(UserSession.started) + sa.bindparam("session_lifetime", type_=sa.Interval)
    return (
        sa.update(UserSession)
        .where(THIS_SESSION, col(UserSession.token_hash) == PRESENTED_HASH, NOT_EXPIRED)
        .values(
            token_hash=sa.bindparam("next_hash", type_=sa.LargeBinary),
            previous_hash=UserSession.token_hash,
            last_used=now,
            expires=sa.func.least(token_expires, session_expires),
        )
        .returning(*TIMES)
    )


def replayed_token() -> AnySelect:
    """Select a session's times if the presented token was replaced within `reuse_window`."""
    recent = sa.func.clock_timestamp() - sa.bindparam("reuse_window", type_=sa.Interval)
    is_previous = col(UserSession.previous_hash) == PRESENTED_HASH
    is_recent = col(UserSession.last_used) > recent
    return sa.select(*TIMES).where(THIS_SESSION, is_previous, is_recent, NOT_EXPIRED)


def expired_sessions(limit: int) -> sa.Delete:
    """Delete up to `limit` sessions that have expired, the oldest first."""
    expired = sa.select(col(UserSession.sid)).where(~NOT_EXPIRED).order_by(col(UserSession.expires))
    # A CTE runs once; a subquery may run for each row, and skip what is deleted already.
    batch = expired.limit(limit).with_for_update(skip_locked=True).cte("batch")
    return sa.delete(UserSession).where(col(UserSession.sid) == batch.c.sid)


class SessionResponse(BaseModel):
    """A sign-in of the caller; `last_used` is when its tokens were last refreshed."""

    id: int
    started: datetime
    last_used: datetime
    user_agent: str
    current: bool
