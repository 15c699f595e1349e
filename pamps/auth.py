"""Who is calling, and from where."""

from typing import Annotated, Any

from fastapi import Depends, HTTPException
from fastapi.security import OAuth2PasswordBearer
from starlette.requests import HTTPConnection

from pamps.db import ActiveSession
from pamps.models.auth import session_user
from pamps.models.user import User
from pamps.tokens import Claims, read_token, unauthorized

LONGEST_ADDRESS = 64


class SignInFailed(HTTPException):
    """A wrong name or password. The answer waits, so that its time does not tell which.

    `started` is when the sign-in began, by time.perf_counter().
    """

    def __init__(self, started: float) -> None:
        super().__init__(401, "Incorrect username or password", {"WWW-Authenticate": "Bearer"})
        self.started = started


def client_address(request: HTTPConnection) -> str:
    """Where the caller is, as far as the connection and the trusted proxies tell."""
    host = request.client.host if request.client else ""
    return host if host.isprintable() and len(host) <= LONGEST_ADDRESS else "unknown"


Address = Annotated[str, Depends(client_address)]


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
