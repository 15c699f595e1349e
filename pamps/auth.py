"""Tokens, the sessions that they belong to, and who is calling. Only this module knows python-jose.

Tokens are JWT (RFC 7519). The subject is the user's id, so that a name that was deleted and taken
again does not revive an old one; `sid` is the session, which ends all its tokens when it ends;
`scope` says what a token is for; elsewhere it is refused.
"""

import hashlib
import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, HTTPException
from fastapi.security import OAuth2PasswordBearer
from jose import jwt
from jose.utils import base64url_decode, base64url_encode
from pydantic import BaseModel, Field as Limit, StringConstraints
from sqlmodel import Session, col, delete
from starlette.requests import HTTPConnection

from pamps.config import settings
from pamps.db import ActiveSession
from pamps.models.auth import UserSession, is_live, session_user
from pamps.models.user import User

logger = logging.getLogger(__name__)

Scope = Literal["access_token", "refresh_token"]
LONGEST_TOKEN = 4096


class Token(BaseModel):
    """The answer to a sign-in; `expires_in` is the access token's life in seconds."""

    access_token: str = Limit(repr=False)
    refresh_token: str = Limit(repr=False)
    token_type: Literal["bearer"]
    expires_in: int


class Claims(BaseModel):
    """What a token says. 18 digits are fewer than PostgreSQL's bigint has."""

    sub: Annotated[str, StringConstraints(pattern="^[0-9]{1,18}$")]
    sid: Annotated[int, Limit(ge=1, lt=10**18)]
    scope: Scope
    # Seconds since 1970. jose would take a number that no date can be.
    exp: Annotated[float, Limit(gt=0, lt=2**40, allow_inf_nan=False)]
    fresh: bool = False
    jti: str = Limit("", repr=False)

    @property
    def user_id(self) -> int:
        return int(self.sub)


def unauthorized(detail: str = "Could not validate credentials") -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


class SignInFailed(HTTPException):
    """A wrong name or password. The answer waits, so that its time does not tell which.

    `started` is when the sign-in began, by time.perf_counter().
    """

    def __init__(self, started: float) -> None:
        super().__init__(401, "Incorrect username or password", {"WWW-Authenticate": "Bearer"})
        self.started = started


def client_address(request: HTTPConnection) -> str:
    """Where the caller is, as far as the connection and the trusted proxies tell."""
    return request.client.host if request.client else ""


Address = Annotated[str, Depends(client_address)]


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
    security = settings.security
    lasts = timedelta(minutes=security.ACCESS_TOKEN_EXPIRE_MINUTES)
    access_expires = min(sign_in.last_used + lasts, sign_in.expires)

    def sign(scope: Scope, expires: datetime, **claims: Any) -> str:
        claims |= {"sub": str(sign_in.user_id), "sid": sign_in.id, "scope": scope, "exp": expires}
        return jwt.encode(claims, security.SECRET_KEY, security.ALGORITHM)

    return Token(
        access_token=sign("access_token", access_expires, fresh=fresh),
        refresh_token=sign("refresh_token", sign_in.expires, jti=token_id),
        token_type="bearer",  # nosec B106: what kind of token, not a token
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


def _is_canonical(part: str) -> bool:
    """Whether it is written as base64url is, where jose overlooks strange characters and bits."""
    return base64url_encode(base64url_decode(part.encode())).decode() == part


def read_token(token: str, scope: Scope) -> Claims:
    """The claims of a valid token of that scope. Raises HTTPException 401."""
    security = settings.security
    required = {"require_exp": True, "require_sub": True}
    try:
        if len(token) > LONGEST_TOKEN or not all(map(_is_canonical, token.split("."))):
            raise unauthorized()
        # A header that names a key, or what else there is to understand, is none of ours.
        if jwt.get_unverified_header(token) != {"alg": security.ALGORITHM, "typ": "JWT"}:
            raise unauthorized()
        found = jwt.decode(token, security.SECRET_KEY, [security.ALGORITHM], options=required)
        claims = Claims.model_validate(found, strict=True)
        if claims.scope != scope:
            raise unauthorized()
    except Exception:  # jose lets errors of many kinds through; all of them mean a bad token.
        raise unauthorized() from None
    return claims


def caller(request: HTTPConnection) -> Claims | None:
    """What the caller's access token says, or None without one. Read once a request.

    Raises HTTPException 401 where there is anything else than one Bearer token (RFC 6750).
    """
    if not hasattr(request.state, "claims"):
        sent = request.headers.getlist("Authorization")
        scheme, _, token = sent[0].partition(" ") if sent else ("", "", "")
        if len(sent) > 1 or (sent and scheme.lower() != "bearer"):
            raise unauthorized()
        request.state.claims = read_token(token.strip(), "access_token") if sent else None
    claims: Claims | None = request.state.claims
    return claims


class BearerToken(OAuth2PasswordBearer):
    """Documents how to sign in, and gives what the token says."""

    async def __call__(self, request: HTTPConnection) -> Any:
        return caller(request)


bearer_token = BearerToken(tokenUrl="token", refreshUrl="token")


def get_viewer(
    session: ActiveSession, claims: Annotated[Claims | None, Depends(bearer_token)]
) -> User | None:
    """The caller, or None for an anonymous one. A token that is no good is a 401 even here."""
    if claims is None:
        return None
    user = session.exec(session_user(claims.sid, claims.user_id)).first()
    if user is None:
        raise unauthorized()
    return user


Viewer = Annotated[User | None, Depends(get_viewer)]


def get_current_user(viewer: Viewer) -> User:
    if viewer is None:
        raise unauthorized("Not authenticated")
    return viewer


AuthenticatedUser = Annotated[User, Depends(get_current_user)]


def get_claims(_: AuthenticatedUser, claims: Annotated[Claims, Depends(bearer_token)]) -> Claims:
    """What the token of an authenticated caller says."""
    return claims


ActiveClaims = Annotated[Claims, Depends(get_claims)]


def get_fresh_user(user: AuthenticatedUser, claims: ActiveClaims) -> User:
    """The caller, who must have shown a password and not just a refresh token."""
    if not claims.fresh:
        raise unauthorized("A fresh sign-in is required")
    return user


FreshUser = Annotated[User, Depends(get_fresh_user)]


def get_superuser(user: FreshUser) -> User:
    if not user.superuser:
        raise HTTPException(403, "Only superusers may do this")
    return user


Superuser = Annotated[User, Depends(get_superuser)]
