"""Dependencies that tell who is calling, and from which address."""

from collections import OrderedDict
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, HTTPException, Request
from fastapi.security import OAuth2PasswordBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from pamps.db import Query, Transaction
from pamps.models.session import TOKEN_NOT_EXPIRED, user_of_session
from pamps.models.write_position import with_needed_position
from pamps.paths import BASE_URL
from pamps.replica_reader import ReplicaReader
from pamps.state import request_state
from pamps.tokens import Claims, read_token, unauthorized

MAX_ADDRESS_LENGTH = 64
# How many tokens that have ended are remembered, so that they cost no query.
MAX_ENDED_TOKENS = 1024


class CurrentUser(NamedTuple):
    """The user who is calling.

    `session_id` is the `sid` of the tokens. The user is `fresh` if the token comes from a sign-in
    with a password, and not from a refresh.
    """

    id: int
    username: str
    superuser: bool
    session_id: int
    fresh: bool


def client_address(request: HTTPConnection) -> str:
    """Return the address of the client, as the connection and the trusted proxies tell it."""
    host = request.client.host if request.client else ""
    return host if host.isprintable() and len(host) <= MAX_ADDRESS_LENGTH else "unknown"


async def get_address(request: Request) -> str:
    return client_address(request)


Address = Annotated[str, Depends(get_address)]

CURRENT_USER = Query(user_of_session().where(TOKEN_NOT_EXPIRED))
CURRENT_USER_AND_POSITION = Query(with_needed_position(user_of_session().where(TOKEN_NOT_EXPIRED)))
SESSION_USER = Query(user_of_session())

# The sessions and expiry times of tokens that were recently found to have ended. They
# become valid again only if somebody changes the database by hand; this process does not see that.
_ended_tokens: OrderedDict[tuple[int, float], None] = OrderedDict()


def read_claims(request: HTTPConnection) -> Claims | None:
    """Return what the access token of a request says; None unless there is one valid Bearer token.

    Does not check expiry or the session; `find_user` does. RFC 6750.
    """
    headers = request.headers.getlist("Authorization")
    if len(headers) != 1:
        return None
    scheme, _, token = headers[0].partition(" ")
    return read_token(token.strip(), "access_token") if scheme.lower() == "bearer" else None


async def session_user(claims: Claims, reads: ReplicaReader | None = None) -> CurrentUser | None:
    """Return the user of a token, or None if it has expired or its session has ended.

    The `reads` of a request are those of this user from now on.
    """
    token = claims.sid, claims.exp
    if token in _ended_tokens:
        return None
    values = {"user_id": claims.user_id, "session_id": claims.sid, "token_expires": claims.exp}
    if reads:
        user = await reads.find_user(CURRENT_USER_AND_POSITION, CURRENT_USER, **values)
    else:
        user = await CURRENT_USER.first(**values)
    if user:
        return CurrentUser(**user, session_id=claims.sid, fresh=claims.fresh)
    _ended_tokens[token] = None
    if len(_ended_tokens) > MAX_ENDED_TOKENS:
        _ended_tokens.popitem(last=False)
    return None


async def find_user(request: HTTPConnection) -> CurrentUser | None:
    """Return the user who is calling, or None without a valid token.

    The user is looked up once a request.
    """
    state = request_state(request.scope)
    if not state.user_checked:
        claims = read_claims(request)
        state.user = await session_user(claims, state.reads) if claims else None
        state.user_checked = True
    return state.user


async def get_optional_user(request: Request) -> CurrentUser | None:
    """Return the current user, and None without a token. Raises HTTPException 401 for a bad one."""
    user = await find_user(request)
    if user is None and "Authorization" in request.headers:
        raise unauthorized()
    return user


OptionalUser = Annotated[CurrentUser | None, Depends(get_optional_user)]

# Relative to the OpenAPI `servers` URL.
TOKEN_URL = f"{BASE_URL}/token" if BASE_URL else "token"
# For the routes that take an OptionalUser: the documentation says that a token may be left out.
OPTIONAL_SIGN_IN: Any = {"openapi_extra": {"security": [{}, {"BearerToken": []}]}}


class BearerToken(SecurityBase):
    """A dependency that returns the current user, and that documents how to sign in.

    Raises HTTPException 401 without a valid token.
    """

    scheme_name = "BearerToken"
    model = OAuth2PasswordBearer(TOKEN_URL, refreshUrl=TOKEN_URL).model

    async def __call__(self, request: Request) -> CurrentUser:
        if user := await find_user(request):
            return user
        has_token = "Authorization" in request.headers
        raise unauthorized() if has_token else unauthorized("Not authenticated")


get_current_user = BearerToken()
AuthenticatedUser = Annotated[CurrentUser, Depends(get_current_user)]


async def check_session(user: CurrentUser, transaction: Transaction | None = None) -> None:
    """Raise HTTPException 401 if the session has ended since the request began."""
    if not await SESSION_USER.first(transaction, user_id=user.id, session_id=user.session_id):
        raise unauthorized()


def require_fresh(user: CurrentUser) -> None:
    """Raise HTTPException 401 unless the token comes from a sign-in with a password."""
    if not user.fresh:
        raise unauthorized("A fresh sign-in is required")


async def get_fresh_user(user: AuthenticatedUser) -> CurrentUser:
    """Return the current user. Raises HTTPException 401 if the token comes from a refresh."""
    require_fresh(user)
    return user


FreshUser = Annotated[CurrentUser, Depends(get_fresh_user)]


async def get_superuser(user: FreshUser) -> CurrentUser:
    """Return the current user. Raises HTTPException 403 unless they are a superuser."""
    if not user.superuser:
        raise HTTPException(403, "Only superusers may do this")
    return user


Superuser = Annotated[CurrentUser, Depends(get_superuser)]
