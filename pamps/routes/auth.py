"""Signing in and out, and tokens."""

import logging
import time
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict
from sqlmodel import Text as TextType, bindparam, col, select, update

from pamps import db, hashing
from pamps.auth import OPTIONAL_SIGN_IN, Address, read_claims
from pamps.config import settings
from pamps.cookie import clearing_header, read_cookie, require_own_origin, set_cookie
from pamps.db import Query, Row, Transaction
from pamps.errors import OAuthError, error_responses
from pamps.models import User
from pamps.models.columns import id_parameter
from pamps.models.password import EXAMPLE_PASSWORD
from pamps.models.types import SafeText, examples, fold_case
from pamps.models.user import IS_NAMED, NOT_DELETED
from pamps.observability.metrics import record_sign_in
from pamps.security import needs_rehash
from pamps.sessions import (
    END_SESSION,
    AccessToken,
    IssuedTokens,
    Token,
    refresh_session,
    start_session,
)
from pamps.state import ActiveTransaction, request_state
from pamps.throttling import clear_attempts, count_sign_in_attempt
from pamps.tokens import read_token, unauthorized

logger = logging.getLogger(__name__)

router = APIRouter(tags=["auth"])

CREDENTIALS = Query(
    select(col(User.id), col(User.email), col(User.password), col(User.disabled)).where(IS_NAMED)
)
OLD_HASH = bindparam("old_hash", type_=TextType)
SET_PASSWORD = Query(
    update(User)
    .where(col(User.id) == id_parameter("user_id"), col(User.password) == OLD_HASH)
    .where(NOT_DELETED)
    .values(password=bindparam("new_hash", type_=TextType))
)


class RefreshToken(BaseModel):
    """A refresh token that has not been used yet."""

    model_config = examples(refresh_token="what `POST /token` gives")  # nosec B106

    refresh_token: SafeText = Field(repr=False)


def _requiring(*names: str) -> JsonDict:
    """Return a JSON Schema that requires fields."""
    return {"properties": {name: {} for name in names}, "required": [*names]}


# In the JSON Schema of `TokenRequest`: the fields that each grant type requires.
GRANTS: JsonDict = {
    "if": _requiring("grant_type") | {"properties": {"grant_type": {"const": "refresh_token"}}},
    "then": _requiring("refresh_token"),
    "else": _requiring("username", "password"),
}
EXAMPLE: JsonDict = {"username": "ana", "password": EXAMPLE_PASSWORD, "cookie": "false"}


class TokenRequest(BaseModel):
    """A password or a refresh token, as in OAuth 2.0 (RFC 6749, sections 4.3 and 6)."""

    model_config = ConfigDict(json_schema_extra=GRANTS | {"examples": [EXAMPLE]})

    grant_type: Literal["password", "refresh_token", ""] = "password"
    username: Annotated[SafeText, StringConstraints(strip_whitespace=True)] = ""
    password: SafeText = Field("", repr=False)
    refresh_token: SafeText = Field("", repr=False)
    cookie: Literal["false", "true", ""] = Field(
        "false", description="Set the cookie instead of sending a refresh token."
    )

    def require(self, *names: str) -> None:
        """Raise RequestValidationError for those of the fields that are missing."""
        missing = {"type": "missing", "msg": "Field required"}
        items = [missing | {"loc": ("body", name)} for name in names if not getattr(self, name)]
        if items:
            raise RequestValidationError(items)


# Shortened to what a list of sessions needs, and without NUL, which PostgreSQL cannot store.
UserAgent = Annotated[
    str, Header(include_in_schema=False), AfterValidator(lambda text: text.replace("\0", "")[:255])
]


@router.post("/token", responses=error_responses(401, 403, 413, 429, 503, model=OAuthError))
async def login_for_access_token(
    form: Annotated[TokenRequest, Form()],
    address: Address,
    transaction: ActiveTransaction,
    request: Request,
    response: Response,
    user_agent: UserAgent = "",
) -> Token | AccessToken:
    """Sign in with a name and a password, or renew the tokens with a refresh token.

    For a page of Pamps itself, `cookie` puts the refresh token into a cookie that only
    `POST /refresh_token` gets and that no script can read.
    """
    if form.cookie == "true":
        require_own_origin(request)
    if form.grant_type == "refresh_token":
        form.require("refresh_token")
        tokens = await refresh_session(form.refresh_token, transaction)
    else:
        form.require("username", "password")
        tokens = await _sign_in(form, address, user_agent, transaction, request)
    request_state(request.scope).session_user_id = tokens.user_id
    return set_cookie(request, response, tokens) if form.cookie == "true" else tokens.token


async def _sign_in(
    form: TokenRequest,
    address: str,
    user_agent: str,
    transaction: Transaction | None,
    request: Request,
) -> IssuedTokens:
    """Return the first tokens of a user. Raises HTTPException 401, 403, 429, 503."""
    started = time.perf_counter()
    with hashing.queue_place():
        await count_sign_in_attempt(form.username, address)
        user = await authenticate_user(form.username, form.password, address)
        while user:
            if user["disabled"]:
                log_extra = {"user_id": user["id"], "address": address}
                logger.warning("sign-in to a disabled account", extra=log_extra)
                record_sign_in("disabled")
                raise HTTPException(403, "This account is disabled")
            if tokens := await _start_session(user, form, address, user_agent, transaction):
                return tokens
            # The password was just changed. Only here does a request with an Idempotency-Key hold
            # its connection while it hashes: releasing that would end the transaction. It is rare.
            user = await authenticate_user(form.username, form.password, address, transaction)
    # A wrong name and a wrong password take a multiple of this time, so that they look alike.
    step = settings.security.SIGN_IN_FAILURE_MILLISECONDS / 1000
    request_state(request.scope).delay = step - (time.perf_counter() - started) % step
    raise unauthorized("Incorrect username or password")


async def authenticate_user(
    username: str, password: str, address: str, transaction: Transaction | None = None
) -> Row | None:
    """Return the credentials of the user, or None for a wrong name or a wrong password."""
    user = await CREDENTIALS.first(transaction, username=fold_case(username))
    if await hashing.check_password(password, user["password"] if user else None) and user:
        return user
    logger.warning("sign-in failed", extra={"user_id": user and user["id"], "address": address})
    record_sign_in("failed")
    return None


async def _start_session(
    user: Row, form: TokenRequest, address: str, user_agent: str, transaction: Transaction | None
) -> IssuedTokens | None:
    """Return the first tokens of a user whose password was verified, or None if it has changed."""
    old_hash = new_hash = user["password"]
    if needs_rehash(old_hash):
        new_hash = await hashing.hash_password(form.password)
    async with db.transaction(transaction) as transaction:
        if new_hash != old_hash:
            hashes = {"old_hash": old_hash, "new_hash": new_hash}
            await SET_PASSWORD.execute(transaction, user_id=user["id"], **hashes)
        tokens = await start_session(transaction, user["id"], new_hash, user_agent)
        if tokens is None:
            return None
        await clear_attempts(transaction, form.username, address)
    logger.info("sign-in", extra={"user_id": user["id"], "address": address})
    record_sign_in("succeeded")
    return tokens


@router.post("/refresh_token", responses=error_responses(401, 403))
async def refresh_token(
    request: Request,
    response: Response,
    transaction: ActiveTransaction,
    body: RefreshToken | None = None,
) -> Token | AccessToken:
    """Trade a refresh token for a new pair of tokens; the access token is not fresh.

    Without a body, the refresh token is that of the cookie, which gets the new one. Only a page of
    Pamps itself may do that.
    """
    state = request_state(request.scope)
    if body:
        tokens = await refresh_session(body.refresh_token, transaction)
        state.session_user_id = tokens.user_id
        return tokens.token
    require_own_origin(request)
    cookie = read_cookie(request)
    try:
        tokens = await refresh_session(cookie, transaction)
        state.session_user_id = tokens.user_id
        return set_cookie(request, response, tokens)
    except HTTPException as error:
        if cookie and error.status_code == 401:
            error.headers = {**(error.headers or {}), **clearing_header(request)}
        raise


class SignOut(BaseModel):
    """A refresh token of the session to end, in case that there is no access token."""

    model_config = examples()

    refresh_token: SafeText | None = Field(None, repr=False)


@router.post("/logout", status_code=204, **OPTIONAL_SIGN_IN)
async def logout(request: Request, response: Response, body: SignOut | None = None) -> None:
    """Sign out: the session and all its tokens end, and the cookie is deleted.

    Takes an access token or a refresh token, even if it has expired or was used before.
    """
    presented = body and body.refresh_token
    tokens = read_claims(request), read_token(presented or "", "refresh_token")
    if not any(tokens):
        raise unauthorized()
    for claims in filter(None, tokens):
        await END_SESSION.execute(user_id=claims.user_id, session_id=claims.sid)
        request_state(request.scope).session_user_id = claims.user_id
    # Not with a 401: then the pages of others could sign somebody out.
    response.headers.update(clearing_header(request))
