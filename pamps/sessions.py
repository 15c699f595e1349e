"""Sessions: a sign-in and its tokens, until it ends."""

import base64
import hashlib
import logging
import secrets
from datetime import timedelta
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field
from sqlmodel import delete

from pamps.config import settings
from pamps.db import Query, Row, Transaction
from pamps.models.session import (
    OF_USER,
    THIS_SESSION,
    UserSession,
    insert_session,
    replayed_token,
    rotate_token,
)
from pamps.security import hmac_hash
from pamps.tokens import Claims, create_token, read_token, unauthorized

logger = logging.getLogger(__name__)

TOKEN_ID_BYTES = 16
INSERT_SESSION = Query(insert_session())
ROTATE_TOKEN = Query(rotate_token())
REPLAYED_TOKEN = Query(replayed_token())
END_SESSION = Query(delete(UserSession).where(THIS_SESSION))
END_ALL_SESSIONS = Query(delete(UserSession).where(OF_USER))


class AccessToken(BaseModel):
    """The response to a sign-in whose refresh token is in the cookie.

    `expires_in` is the lifetime of the access token in seconds.
    """

    access_token: str = Field(repr=False)
    token_type: Literal["bearer"]
    expires_in: int


class Token(AccessToken):
    """The response to a sign-in; `expires_in` is the lifetime of the access token in seconds."""

    refresh_token: str = Field(repr=False)


class IssuedTokens(NamedTuple):
    """The tokens of a user's session, and the lifetime of the refresh token in seconds."""

    user_id: int
    token: Token
    refresh_lifetime: int


def _hash(token_id: str) -> bytes:
    return hashlib.sha256(token_id.encode()).digest()


def _next_token_id(claims: Claims) -> str:
    """Return the id of the refresh token that replaces this one.

    It can be computed again, with SECRET_KEY only, so that the same response can be given again
    without being stored.
    """
    digest = hmac_hash("refresh token", str(claims.sid), claims.jti)
    return base64.urlsafe_b64encode(digest[:TOKEN_ID_BYTES]).decode().rstrip("=")


def _lifetimes() -> dict[str, timedelta]:
    """Return the lifetime of a refresh token, and the maximum lifetime of a session.

    A refresh token itself is valid for as long as its session: `session.expires`.
    """
    security = settings.security
    return {
        "token_lifetime": timedelta(minutes=security.REFRESH_TOKEN_EXPIRE_MINUTES),
        "session_lifetime": timedelta(days=security.SESSION_EXPIRE_DAYS),
    }


def _issue_tokens(
    user_id: int, session_id: int, token_id: str, times: Row, *, fresh: bool
) -> IssuedTokens:
    """Return the tokens of a session. The same arguments give the same tokens.

    No token outlives its session.
    """
    last_used, expires = times["last_used"], times["expires"]
    lifetime = timedelta(minutes=settings.security.ACCESS_TOKEN_EXPIRE_MINUTES)
    access_expires = min(last_used + lifetime, expires)
    token = Token(
        access_token=create_token("access_token", user_id, session_id, access_expires, fresh=fresh),
        refresh_token=create_token("refresh_token", user_id, session_id, expires, jti=token_id),
        token_type="bearer",  # nosec B106: the kind of token
        expires_in=int((access_expires - last_used).total_seconds()),
    )
    return IssuedTokens(user_id, token, int((expires - last_used).total_seconds()))


async def start_session(
    transaction: Transaction, user_id: int, password_hash: str, user_agent: str
) -> IssuedTokens | None:
    """Start a session of a user whose password was verified.

    Returns None if `password_hash` is no longer that of the user, or the user may not sign in.
    """
    token_id, session_id = secrets.token_urlsafe(TOKEN_ID_BYTES), secrets.randbits(63)
    times = await INSERT_SESSION.first(
        transaction,
        user_id=user_id,
        password_hash=password_hash,
        session_id=session_id,
        user_agent=user_agent,
        token_hash=_hash(token_id),
        lifetime=min(_lifetimes().values()),
    )
    if times is None:
        return None
    return _issue_tokens(user_id, session_id, token_id, times, fresh=True)


async def refresh_session(refresh_token: str, transaction: Transaction | None) -> IssuedTokens:
    """Return the next tokens of a session, or the same again if the token was just replaced.

    A token that was replaced earlier ends the session: somebody has a copy of it, and nobody can
    tell who (RFC 9700, section 4.14). Raises HTTPException 401 for that one, for an invalid token,
    and for one whose session has ended.
    """
    claims = read_token(refresh_token, "refresh_token")
    if claims is None:
        raise unauthorized()
    token_id = _next_token_id(claims)
    session = {"user_id": claims.user_id, "session_id": claims.sid}
    presented = session | {"presented_hash": _hash(claims.jti)}
    times = await ROTATE_TOKEN.first(
        transaction, **presented, **_lifetimes(), next_hash=_hash(token_id)
    )
    reuse_window = timedelta(seconds=settings.security.REFRESH_TOKEN_REPLAY_SECONDS)
    if not times and reuse_window:
        times = await REPLAYED_TOKEN.first(transaction, **presented, reuse_window=reuse_window)
    if not times:
        if await END_SESSION.execute(transaction, **session):
            logger.warning("refresh token reused", extra={"user_id": claims.user_id})
        raise unauthorized()
    return _issue_tokens(claims.user_id, claims.sid, token_id, times, fresh=False)
