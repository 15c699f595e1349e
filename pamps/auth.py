"""Who is calling, and from where."""

from collections import OrderedDict
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from fastapi.security import OAuth2PasswordBearer
from sqlmodel import Session
from starlette.requests import HTTPConnection

from pamps.models.session import Caller, callers
from pamps.models.user import User, get_user
from pamps.paths import BASE_URL
from pamps.statements import Statement
from pamps.tokens import Claims, read_token, unauthorized

LONGEST_ADDRESS = 64
# How many tokens that are no longer good are remembered, so that they cost no look at the database.
ENDED_TOKENS = 1024


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


async def get_address(request: Request) -> str:
    return client_address(request)


Address = Annotated[str, Depends(get_address)]


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
    """Documents how to sign in, and gives what the token says, which there must be."""

    async def __call__(self, request: HTTPConnection) -> Any:
        claims = caller(request)
        if claims is None:
            raise unauthorized("Not authenticated")
        return claims


# Clients resolve it against the server of the documentation, whose path has no slash at its end.
TOKEN_URL = f"{BASE_URL}/token" if BASE_URL else "token"
ActiveClaims = Annotated[Claims, Depends(BearerToken(tokenUrl=TOKEN_URL, refreshUrl=TOKEN_URL))]
# Some routes show more to a caller who has signed in, but do not ask for it.
may_sign_in: Any = {"openapi_extra": {"security": [{}, {"BearerToken": []}]}}
CALLER = Statement(callers())


# Tokens that have expired or whose session has ended, the latest of them, by what they say of that.
# None is ever good again.
_ended: OrderedDict[tuple[int, float], None] = OrderedDict()


async def session_user(claims: Claims) -> Caller | None:
    """Return whose session it is, or None if it has ended or the token has expired."""
    token = claims.sid, claims.exp
    if token in _ended:
        return None
    if found := await CALLER.fetch(**claims.session):
        return Caller(**found[0])
    _ended[token] = None
    if len(_ended) > ENDED_TOKENS:
        _ended.popitem(last=False)
    return None


async def signed_in(request: HTTPConnection) -> Caller | None:
    """Return who is calling, or None without a good token. Looked up once a request."""
    if not hasattr(request.state, "caller"):
        try:
            claims = caller(request)
        except HTTPException:
            claims = None
        request.state.caller = claims and await session_user(claims)
    found: Caller | None = request.state.caller
    return found


async def get_current_user(request: HTTPConnection, _: ActiveClaims) -> Caller:
    """Return who is calling. Raises HTTPException 401 if the session has ended."""
    found = await signed_in(request)
    if found is None:
        raise unauthorized()
    return found


async def check_session(claims: Claims) -> None:
    """Raise HTTPException 401 if the session has ended since the request began."""
    if await session_user(claims) is None:
        raise unauthorized()


AuthenticatedUser = Annotated[Caller, Depends(get_current_user)]


def stored_user(session: Session, caller: Caller) -> User:
    """The caller's row, to be changed. Raises HTTPException 401 if it was deleted just now."""
    user = get_user(session, caller.id)
    if user is None:
        raise unauthorized()
    return user


def require_fresh(claims: Claims) -> None:
    """Raise HTTPException 401 unless the token comes from a sign-in with a password."""
    if not claims.fresh:
        raise unauthorized("A fresh sign-in is required")


async def get_fresh_user(user: AuthenticatedUser, claims: ActiveClaims) -> Caller:
    """Return the caller, whose token must come from a sign-in and not from a refresh."""
    require_fresh(claims)
    return user


FreshUser = Annotated[Caller, Depends(get_fresh_user)]


async def get_superuser(user: FreshUser) -> Caller:
    if not user.superuser:
        raise HTTPException(403, "Only superusers may do this")
    return user


Superuser = Annotated[Caller, Depends(get_superuser)]
