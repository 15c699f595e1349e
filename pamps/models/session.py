"""Sessions, limited attempts and the audit trail: tables, queries, responses."""

import logging
import os
import pwd
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from sqlalchemy import BigInteger, Float, Index, Interval, LargeBinary, bindparam, func
from sqlmodel import Field, Session, SQLModel, col, delete, select, update

from pamps.models.columns import (
    VIEWER_ID,
    Statement,
    created,
    id_parameter,
    identity,
    reference,
    text_column,
)
from pamps.models.user import NOT_DELETED, User

if TYPE_CHECKING:
    from pamps.auth import CurrentUser

logger = logging.getLogger(__name__)


class UserSession(SQLModel, table=True):
    """A sign-in and all the tokens that came of it. Without its row none of them is any good.

    Tokens name it by `sid`, which is random: a database that is set back hands out the ids of rows
    again, and an old token must not fit somebody else's session. `token_hash` is the SHA-256 of the
    id of its current refresh token, `previous_hash` that of the one before.
    """

    __tablename__ = "session"
    __table_args__ = (
        Index("ix_session_user", "user_id", "id"),
        Index("ix_session_expires", "expires"),
    )

    sid: int = Field(
        default_factory=lambda: secrets.randbits(63),
        sa_type=BigInteger,
        primary_key=True,
        sa_column_kwargs={"autoincrement": False},
    )
    id: int = identity()
    user_id: int = reference("user.id", caller=True)
    token_hash: bytes = Field(sa_type=LargeBinary, repr=False)
    previous_hash: bytes | None = Field(None, sa_type=LargeBinary, repr=False)
    user_agent: str = text_column()
    started: datetime = created()
    last_used: datetime = created()
    expires: datetime


class Attempt(SQLModel, table=True):
    """One of the few times that something may be tried: what, and from where, as keyed hashes."""

    __table_args__ = (
        Index("ix_attempt_subject", "subject", "id"),
        Index("ix_attempt_address", "address", "id"),
    )

    id: int = identity(primary_key=True)
    subject: bytes = Field(sa_type=LargeBinary)
    address: bytes = Field(sa_type=LargeBinary)
    date: datetime = created()


class Audit(SQLModel, table=True):
    """What an administrator did. It outlives whom it names, so there are no foreign keys."""

    id: int = identity(primary_key=True)
    date: datetime = created()
    actor_id: int | None = Field(None, sa_type=BigInteger)
    actor: str = text_column()
    action: str = text_column()
    target_id: int = Field(sa_type=BigInteger)
    target: str = text_column()
    address: str = text_column()


def _terminal_user() -> str:
    """Whose process this is, which no variable can claim."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container whose user has no name
        return f"uid {os.getuid()}"


def record(
    action: str,
    target: "User | CurrentUser",
    actor: "CurrentUser | None" = None,
    address: str = "terminal",
) -> Audit:
    """Logs an administrator's act, and gives the row to store before the act is committed.

    Without an `actor` it is done at a terminal.
    """
    logger.info(action, extra={"user_id": target.id, "actor_id": actor and actor.id})
    return Audit(
        actor_id=actor.id if actor else None,
        actor=actor.username if actor else _terminal_user(),
        action=action,
        target_id=target.id,
        target=target.username,
        address=address,
    )


SID: Any = bindparam("sid", type_=BigInteger)
SHOWN: Any = bindparam("shown", type_=LargeBinary)


def is_live() -> Any:
    """The condition that a session has not expired, by the database's clock."""
    return col(UserSession.expires) > func.now()


# When a token expires. Tokens are made by the database's clock, so no other clock may judge them.
TOKEN_EXPIRES = func.to_timestamp(bindparam("token_expires", type_=Float))


def session_users() -> Statement:
    """Select the user `viewer_id`, if `session_id` is a session of theirs that has not ended."""
    columns: Any = (User.id, User.username, User.superuser)
    query: Statement = select(*columns).join(UserSession, col(UserSession.user_id) == User.id)
    query = query.where(col(UserSession.sid) == id_parameter("session_id"))
    query = query.where(col(User.id) == VIEWER_ID, is_live())
    return query.where(col(User.disabled).is_(False), NOT_DELETED)


def sessions() -> Statement:
    """The sessions of `viewer_id`; `sid` is the one that asks."""
    columns: Any = (
        UserSession.id,
        UserSession.started,
        UserSession.last_used,
        UserSession.user_agent,
        (col(UserSession.sid) == SID).label("current"),
    )
    query: Statement = select(*columns)
    return query.where(col(UserSession.user_id) == VIEWER_ID, is_live())


TIMES: Any = (UserSession.last_used, UserSession.expires)


def rotate() -> Statement:
    """Replace a session's refresh token, if it is the one `shown`; give the times of the next."""
    now: Any = func.clock_timestamp()  # A statement may have waited for another refresh.
    refreshed = now + bindparam("token_lasts", type_=Interval)
    last_day = UserSession.started + bindparam("session_lasts", type_=Interval)
    changed = (
        update(UserSession)
        .where(_named(), col(UserSession.token_hash) == SHOWN, is_live())
        .values(
            token_hash=bindparam("next", type_=LargeBinary),
            previous_hash=UserSession.token_hash,
            last_used=now,
            expires=func.least(refreshed, last_day),
        )
        .returning(*TIMES)
        .cte("changed")
    )
    query: Statement = select(*changed.c)
    return query


def rotated() -> Statement:
    """The times of a session's current refresh token, if the one `shown` was replaced by it within
    `replay`."""
    recent = func.clock_timestamp() - bindparam("replay", type_=Interval)
    query: Statement = select(*TIMES)
    query = query.where(_named(), col(UserSession.previous_hash) == SHOWN, is_live())
    return query.where(col(UserSession.last_used) > recent)


def end() -> Statement:
    """Delete the session `sid` of `viewer_id`."""
    ended = delete(UserSession).where(_named()).returning(col(UserSession.id)).cte("ended")
    return select(ended.c.id)


def _named() -> Any:
    return (col(UserSession.sid) == SID) & (col(UserSession.user_id) == VIEWER_ID)


def expired_sessions(most: int) -> Any:
    """A statement that deletes up to `most` sessions that have expired."""
    expired = select(UserSession.sid).where(~is_live()).order_by(col(UserSession.expires))
    some = expired.limit(most).with_for_update(skip_locked=True)
    return delete(UserSession).where(col(UserSession.sid).in_(some))


def end_sessions(session: Session, user_id: int, session_id: int | None = None) -> bool:
    """Ends one session of a user or all of them, and says whether there was any."""
    ended = delete(UserSession).where(col(UserSession.user_id) == user_id)
    if session_id is not None:
        ended = ended.where(col(UserSession.id) == session_id)
    return session.exec(ended).rowcount > 0


class SessionResponse(BaseModel):
    """One of the caller's sign-ins. It is used whenever its tokens are refreshed."""

    id: int
    started: datetime
    last_used: datetime
    user_agent: str
    current: bool
