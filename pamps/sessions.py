"""Sessions: a sign-in, and the tokens that come of it until it ends."""

import base64
import hashlib
import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field as Limit
from sqlmodel import Session, func, select

from pamps.config import settings
from pamps.models.session import UserSession, end, rotate, rotated
from pamps.models.user import User
from pamps.security import keyed_hash
from pamps.statements import Statement
from pamps.tokens import Claims, read_token, sign_token, unauthorized

logger = logging.getLogger(__name__)

TOKEN_ID_BYTES = 16
ROTATE = Statement(rotate())
ROTATED = Statement(rotated())
END = Statement(end())


class Token(BaseModel):
    """The answer to a sign-in; `expires_in` is the access token's life in seconds."""

    access_token: str = Limit(repr=False)
    refresh_token: str = Limit(repr=False)
    token_type: Literal["bearer"]
    expires_in: int


def _hash(token_id: str) -> bytes:
    return hashlib.sha256(token_id.encode()).digest()


def _next_id(claims: Claims) -> str:
    """The id of the refresh token that replaces this one.

    It can be computed again, so that the same answer can be given again without storing it, but
    only with SECRET_KEY.
    """
    digest = keyed_hash("refresh token", str(claims.sid), claims.jti)
    return base64.urlsafe_b64encode(digest[:TOKEN_ID_BYTES]).decode().rstrip("=")


def _lasts() -> dict[str, timedelta]:
    """How long a refresh token lasts, and a session however often it is refreshed."""
    security = settings.security
    return {
        "token_lasts": timedelta(minutes=security.REFRESH_TOKEN_EXPIRE_MINUTES),
        "session_lasts": timedelta(days=security.SESSION_EXPIRE_DAYS),
    }


def _tokens(
    sid: int, user_id: int, token_id: str, last_used: datetime, expires: datetime, *, fresh: bool
) -> Token:
    """The tokens of a session at a time; `fresh` if the caller has just shown a password.

    No token outlives its session. The same arguments give the same tokens.
    """
    lasts = timedelta(minutes=settings.security.ACCESS_TOKEN_EXPIRE_MINUTES)
    access_expires = min(last_used + lasts, expires)
    return Token(
        access_token=sign_token("access_token", user_id, sid, access_expires, fresh=fresh),
        refresh_token=sign_token("refresh_token", user_id, sid, expires, jti=token_id),
        # What kind of token it is, and not one.
        token_type="bearer",  # nosec B106
        expires_in=int((access_expires - last_used).total_seconds()),
    )


def open_session(session: Session, user: User, user_agent: str) -> Token:
    """The first tokens of a user who has shown a password."""
    now = session.exec(select(func.now())).one()
    token_id = secrets.token_urlsafe(TOKEN_ID_BYTES)
    sign_in = UserSession(
        user_id=user.id,
        user_agent=user_agent,
        started=now,
        last_used=now,
        token_hash=_hash(token_id),
        previous_hash=None,
        expires=now + min(_lasts().values()),
    )
    session.add(sign_in)
    session.flush()
    return _tokens(sign_in.sid, user.id, token_id, now, sign_in.expires, fresh=True)


async def refresh_session(refresh_token: str) -> Token:
    """The next tokens of a session, or the same again for a token that was replaced just now.

    A token that was replaced before ends the session: somebody has a copy of it, and nobody can say
    who (RFC 9700, section 4.14). Raises HTTPException 401 for that one, and for one that was never
    good or whose session has ended.
    """
    claims = read_token(refresh_token, "refresh_token")
    token_id = _next_id(claims)
    shown: dict[str, Any] = claims.session_key | {"shown": _hash(claims.jti)}
    found = await ROTATE.fetch(**shown, **_lasts(), next=_hash(token_id))
    if not found and (seconds := settings.security.REFRESH_TOKEN_REPLAY_SECONDS):
        found = await ROTATED.fetch(**shown, replay=timedelta(seconds=seconds))
    if not found:
        if await END.fetch(**claims.session_key):
            logger.warning("refresh token reused", extra={"user_id": claims.user_id})
        raise unauthorized()
    times = {name: time.replace(tzinfo=UTC) for name, time in found[0].items()}
    return _tokens(claims.sid, claims.user_id, token_id, **times, fresh=False)


async def end_session(claims: Claims) -> None:
    """End the session of a token, if it is still there."""
    await END.fetch(**claims.session_key)
