"""Sessions: a sign-in, and the tokens that come of it until it ends."""

import hashlib
import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field as Limit
from sqlmodel import Session, col, delete

from pamps.config import settings
from pamps.models.auth import UserSession, is_live
from pamps.models.user import User
from pamps.tokens import read_token, sign_token, unauthorized

logger = logging.getLogger(__name__)


class Token(BaseModel):
    """The answer to a sign-in; `expires_in` is the access token's life in seconds."""

    access_token: str = Limit(repr=False)
    refresh_token: str = Limit(repr=False)
    token_type: Literal["bearer"]
    expires_in: int


def _hash(token_id: str) -> bytes:
    return hashlib.sha256(token_id.encode()).digest()


def _renew(sign_in: UserSession) -> str:
    """Makes every older refresh token of a session a spent one, and gives the id of the next."""
    security = settings.security
    now, token_id = datetime.now(UTC), secrets.token_urlsafe(16)
    last_day = sign_in.started + timedelta(days=security.SESSION_EXPIRE_DAYS)
    refresh = timedelta(minutes=security.REFRESH_TOKEN_EXPIRE_MINUTES)
    sign_in.token_hash, sign_in.last_used = _hash(token_id), now
    sign_in.expires = min(now + refresh, last_day)
    return token_id


def _tokens(sign_in: UserSession, token_id: str, *, fresh: bool) -> Token:
    """`fresh` if the caller has just shown a password. No token outlives its session."""
    lasts = timedelta(minutes=settings.security.ACCESS_TOKEN_EXPIRE_MINUTES)
    access_expires = min(sign_in.last_used + lasts, sign_in.expires)

    whose = sign_in.user_id, sign_in.id
    return Token(
        access_token=sign_token("access_token", *whose, access_expires, fresh=fresh),
        refresh_token=sign_token("refresh_token", *whose, sign_in.expires, jti=token_id),
        # What kind of token it is, and not one.
        token_type="bearer",  # nosec B106
        expires_in=int((access_expires - sign_in.last_used).total_seconds()),
    )


def open_session(session: Session, user: User, user_agent: str) -> Token:
    """The first tokens of a user who has shown a password."""
    old = delete(UserSession).where(col(UserSession.user_id) == user.id, ~is_live())
    session.exec(old)
    now = datetime.now(UTC)
    sign_in = UserSession(
        user_id=user.id, user_agent=user_agent, started=now, token_hash=b"", expires=now
    )
    token_id = _renew(sign_in)
    session.add(sign_in)
    session.flush()
    return _tokens(sign_in, token_id, fresh=True)


def refresh_session(session: Session, refresh_token: str) -> Token | None:
    """The next tokens; None if the refresh token is spent, which ends its session.

    Somebody has a copy of it, and nobody can say who (RFC 9700, section 4.14).
    Raises HTTPException 401 where the token was never good or the session has ended.
    """
    claims = read_token(refresh_token, "refresh_token")
    sign_in = session.get(UserSession, claims.sid, with_for_update=True)
    if sign_in is None or sign_in.user_id != claims.user_id or sign_in.expires < datetime.now(UTC):
        raise unauthorized()
    if sign_in.token_hash != _hash(claims.jti):
        session.delete(sign_in)
        logger.warning("refresh token reused", extra={"user_id": claims.user_id})
        return None
    return _tokens(sign_in, _renew(sign_in), fresh=False)


def end_sessions(session: Session, user_id: int, session_id: int | None = None) -> bool:
    """Ends one session of a user or all of them, and says whether there was any."""
    ended = delete(UserSession).where(col(UserSession.user_id) == user_id)
    if session_id is not None:
        ended = ended.where(col(UserSession.id) == session_id)
    return session.exec(ended).rowcount > 0
