"""Sessions, limited attempts and the audit trail: tables, queries, responses."""

import logging
import os
import pwd
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel
from sqlalchemy import BigInteger, Index, LargeBinary, bindparam, func
from sqlmodel import Field, SQLModel, col, select

from pamps.models.base import VIEWER, Query, created, identity, reference, text_column
from pamps.models.user import User

logger = logging.getLogger(__name__)


class Caller(NamedTuple):
    """Who is signed in."""

    id: int
    username: str
    superuser: bool


class UserSession(SQLModel, table=True):
    """A sign-in and all the tokens that came of it. Without its row none of them is any good.

    `token_hash` is the SHA-256 of the id of its one refresh token that is not spent yet.
    """

    __tablename__ = "session"
    __table_args__ = (Index("ix_session_user", "user_id", "id"),)

    id: int = identity(primary_key=True)
    user_id: int = reference("user.id")
    token_hash: bytes = Field(sa_type=LargeBinary, repr=False)
    user_agent: str = text_column()
    started: datetime = created()
    last_used: datetime = created()
    expires: datetime


class Attempt(SQLModel, table=True):
    """One of the few times that something may be tried: what, and from where, as SHA-256."""

    __table_args__ = (Index("ix_attempt_subject", "subject", "id"),)

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
    action: str, target: User, actor: Caller | None = None, address: str = "terminal"
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


def is_live() -> Any:
    """What holds for sessions that have not expired."""
    return col(UserSession.expires) > func.now()


SESSION_ID: Any = bindparam("session_id", type_=BigInteger)


def callers() -> Query:
    """Whose session `session_id` is."""
    columns: Any = (User.id, User.username, User.superuser)
    return of_session(select(*columns))


def of_session(query: Query) -> Query:
    """Of users the one whose session `session_id` is, if `viewer_id` may still use it."""
    query = query.join(UserSession, col(UserSession.user_id) == User.id)
    query = query.where(UserSession.id == SESSION_ID, User.id == VIEWER, is_live())
    return query.where(col(User.disabled).is_(False))


def sessions() -> Query:
    """The sessions of `viewer_id`; `session_id` is the one that asks."""
    columns: Any = (
        UserSession.id,
        UserSession.started,
        UserSession.last_used,
        UserSession.user_agent,
        (col(UserSession.id) == SESSION_ID).label("current"),
    )
    query: Query = select(*columns)
    return query.where(UserSession.user_id == VIEWER, is_live())


class SessionResponse(BaseModel):
    """One of the caller's sign-ins. It is used whenever its tokens are refreshed."""

    id: int
    started: datetime
    last_used: datetime
    user_agent: str
    current: bool
