"""Tokens, and who is calling. The only module that knows python-jose.

Tokens are JWT (RFC 7519) whose subject is the user's id, so that a name that was deleted and taken
again does not revive an old one. `scope` says what a token is for; elsewhere it is refused.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, HTTPException
from fastapi.security import OAuth2PasswordBearer
from jose import jwt
from pydantic import BaseModel, StringConstraints
from sqlmodel import Session

from pamps.config import settings
from pamps.db import ActiveSession
from pamps.models.user import User

Scope = Literal["access_token", "refresh_token"]
LONGEST_TOKEN = 4096


class Token(BaseModel):
    """The answer to a sign-in; `expires_in` is the access token's life in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"]
    expires_in: int


class Claims(BaseModel):
    """What a token says. 18 digits are fewer than PostgreSQL's bigint has."""

    sub: Annotated[str, StringConstraints(pattern="^[0-9]{1,18}$")]
    scope: Scope
    fresh: bool = False


def unauthorized(detail: str = "Could not validate credentials") -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


def create_tokens(user_id: int, *, fresh: bool) -> Token:
    """A pair of tokens; `fresh` if the caller has just shown a password."""
    security = settings.security

    def sign(scope: Scope, minutes: int, **claims: Any) -> str:
        claims |= {"sub": str(user_id), "scope": scope}
        claims["exp"] = datetime.now(UTC) + timedelta(minutes=minutes)
        return jwt.encode(claims, security.SECRET_KEY, security.ALGORITHM)

    minutes: int = security.ACCESS_TOKEN_EXPIRE_MINUTES
    return Token(
        access_token=sign("access_token", minutes, fresh=fresh),
        refresh_token=sign("refresh_token", security.REFRESH_TOKEN_EXPIRE_MINUTES),
        token_type="bearer",  # noqa: S106
        expires_in=minutes * 60,
    )


def read_token(token: str, scope: Scope) -> Claims:
    """The claims of a valid token of that scope. Raises HTTPException 401."""
    security = settings.security
    required = {"require_exp": True, "require_sub": True}
    try:
        if len(token) > LONGEST_TOKEN:
            raise unauthorized()
        found = jwt.decode(token, security.SECRET_KEY, [security.ALGORITHM], options=required)
        claims = Claims.model_validate(found, strict=True)
        if claims.scope != scope:
            raise unauthorized()
    except Exception:  # jose lets errors of many kinds through; all of them mean a bad token.
        raise unauthorized() from None
    return claims


def token_user(session: Session, token: str, scope: Scope) -> User:
    """Whose token it is. Raises HTTPException 401, also where the account is gone."""
    user = session.get(User, int(read_token(token, scope).sub))
    if user is None:
        raise unauthorized()
    return user


oauth2_scheme = OAuth2PasswordBearer(tokenUrl="token", auto_error=False)
BearerToken = Annotated[str | None, Depends(oauth2_scheme)]


def get_viewer(session: ActiveSession, token: BearerToken) -> User | None:
    """The caller, or None for an anonymous one. A token that is no good is a 401 even here."""
    return token_user(session, token, "access_token") if token is not None else None


Viewer = Annotated[User | None, Depends(get_viewer)]


def get_current_user(viewer: Viewer) -> User:
    if viewer is None:
        raise unauthorized("Not authenticated")
    return viewer


AuthenticatedUser = Annotated[User, Depends(get_current_user)]


def get_fresh_user(user: AuthenticatedUser, token: BearerToken) -> User:
    """The caller, who must have shown a password and not just a refresh token."""
    if not read_token(token or "", "access_token").fresh:
        raise unauthorized("A fresh sign-in is required")
    return user


FreshUser = Annotated[User, Depends(get_fresh_user)]
