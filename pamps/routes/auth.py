import logging
import time
from contextlib import suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field as Limit,
    StringConstraints,
    ValidationError,
)
from sqlmodel import Session, col, update

from pamps import hashing
from pamps.auth import (
    Address,
    AuthenticatedUser,
    CurrentUser,
    SignInFailed,
    may_sign_in,
    read_claims,
    stored_user,
)
from pamps.errors import OAuthError, errors
from pamps.legacy import ActiveSession, in_session
from pamps.middleware.rate_limit import attempt_sign_in, forgive
from pamps.models import Attempt, User, UserSession
from pamps.models.session import SessionResponse, end_sessions, sessions
from pamps.models.types import Id, Text, examples
from pamps.models.user import (
    EXAMPLE_PASSWORD,
    NewPassword,
    PasswordChange,
    folded,
    lock_user,
    user_named,
)
from pamps.observability.metrics import count_sign_in
from pamps.pagination import ActivePage, PaginatedQuery
from pamps.responses import json_response
from pamps.security import needs_rehash
from pamps.sessions import Token, end_session, open_session, refresh_session
from pamps.tokens import read_token, unauthorized

logger = logging.getLogger(__name__)

router = APIRouter(tags=["auth"], responses=errors(429, 503))

SESSIONS = PaginatedQuery(sessions(), col(UserSession.id))


class RefreshToken(BaseModel):
    """A refresh token that has not been used yet."""

    model_config = examples(refresh_token="what `POST /token` gives")  # nosec B106

    refresh_token: Text = Limit(repr=False)


# What JSON Schema says of `TokenRequest` where OpenAPI alone cannot.
GRANTS: dict[str, Any] = {
    "if": {
        "properties": {"grant_type": {"const": "refresh_token"}},
        "required": ["grant_type"],
    },
    "then": {"properties": {"refresh_token": {}}, "required": ["refresh_token"]},
    "else": {
        "properties": {"username": {}, "password": {}},
        "required": ["username", "password"],
    },
}


class TokenRequest(BaseModel):
    """A password or a refresh token, as in OAuth 2.0 (RFC 6749, sections 4.3 and 6)."""

    model_config = ConfigDict(
        json_schema_extra=GRANTS | {"examples": [{"username": "ana", "password": EXAMPLE_PASSWORD}]}
    )

    grant_type: Literal["password", "refresh_token", ""] = "password"
    username: Annotated[Text, StringConstraints(strip_whitespace=True)] = ""
    password: Text = Limit("", repr=False)
    refresh_token: Text = Limit("", repr=False)

    def require(self, *names: str) -> None:
        """Raises RequestValidationError for those that are missing."""
        missing = {"type": "missing", "msg": "Field required"}
        told = [missing | {"loc": ("body", name)} for name in names if not getattr(self, name)]
        if told:
            raise RequestValidationError(told)


# As much of it as a list of sessions needs. NUL is a character that PostgreSQL does not hold.
UserAgent = Annotated[
    str, Header(include_in_schema=False), AfterValidator(lambda text: text.replace("\0", "")[:255])
]


@router.post(
    "/token", response_model=Token, responses=errors(401, 403, 413, 429, 503, model=OAuthError)
)
async def login_for_access_token(
    form: Annotated[TokenRequest, Form()], address: Address, user_agent: UserAgent = ""
) -> Any:
    """Sign in with a name and a password, or with a refresh token stay so."""
    if form.grant_type == "refresh_token":
        form.require("refresh_token")
        return _sent(await refresh_session(form.refresh_token))
    form.require("username", "password")
    started = time.perf_counter()
    with hashing.place():
        user, attempt = await in_session(_begin_sign_in, form.username, address)
        # A user who does not exist takes as long.
        while await hashing.check_password(form.password, user.password if user else None) and user:
            new_hash = None
            if needs_rehash(user.password):
                new_hash = await hashing.hash_password(form.password)
            found = await in_session(_sign_in, user, new_hash, attempt, user_agent, address)
            if isinstance(found, Token):
                return _sent(found)
            user = found  # whose password was changed meanwhile
    logger.warning("sign-in failed", extra={"user_id": user and user.id, "address": address})
    count_sign_in("failed")
    raise SignInFailed(started)


def _begin_sign_in(
    session: Session, username: str, address: str
) -> tuple[User | None, Attempt | None]:
    """Who is to sign in, if there is such a user; counted before the password is looked at."""
    attempt = attempt_sign_in(session, username, address)
    user = session.exec(user_named(folded(username))).first()
    session.commit()
    return user, attempt


def _sign_in(
    session: Session,
    verified: User,
    new_hash: str | None,
    attempt: Attempt | None,
    user_agent: str,
    address: str,
) -> Token | User | None:
    """The first tokens of a user whose password was verified.

    If it is no longer the same, gives the user as they are now instead. Raises HTTPException 403.
    """
    # Until the session is there nobody changes the password, or disables the account.
    user = lock_user(session, verified.id)
    if user is None or user.password != verified.password:
        return user
    who = {"user_id": user.id, "address": address}
    if user.disabled:
        logger.warning("sign-in to a disabled account", extra=who)
        count_sign_in("disabled")
        raise HTTPException(403, "This account is disabled")
    if new_hash:
        user.password = new_hash
    forgive(session, attempt)
    token = open_session(session, user, user_agent)
    session.commit()
    logger.info("sign-in", extra=who)
    count_sign_in("succeeded")
    return token


@router.post("/refresh_token", response_model=Token, responses=errors(401, 413))
async def refresh_token(body: RefreshToken) -> Any:
    """Trade a refresh token for a new pair of tokens, the access token no longer fresh."""
    return _sent(await refresh_session(body.refresh_token))


def _sent(token: Token) -> Response:
    return json_response(token.model_dump(), 200)


class SignOut(BaseModel):
    """A refresh token of the session to end, in case that there is no access token."""

    model_config = examples()

    refresh_token: Text | None = Limit(None, repr=False)


@router.post("/logout", status_code=204, responses=errors(401, 413), **may_sign_in)
async def logout(request: Request, body: SignOut | None = None) -> None:
    """Sign out: the session and all its tokens end.

    Takes an access token or a refresh token, also one that has expired or was used before.
    """
    named = []
    with suppress(HTTPException):
        if claims := read_claims(request):
            named.append(claims)
    with suppress(HTTPException):
        if body and body.refresh_token:
            named.append(read_token(body.refresh_token, "refresh_token"))
    if not named:
        raise unauthorized()
    for claims in named:
        await end_session(claims)


@router.put("/user/me/password/", status_code=204, responses=errors(401, 403, 413))
async def change_password(change: PasswordChange, me: AuthenticatedUser, address: Address) -> None:
    """Change your password. It ends all your sessions; sign in again with the new one."""
    with hashing.place():
        user, attempt = await in_session(_begin_change, me, change.new_password, address)
        who = {"user_id": user.id, "address": address}
        if not await hashing.check_password(change.current_password, user.password):
            logger.warning("password change failed", extra=who)
            raise HTTPException(403, "The current password is incorrect")
        new_hash = await hashing.hash_password(change.new_password)
        await in_session(_change_password, user, new_hash, attempt)
    logger.info("password changed", extra=who)


def _begin_change(
    session: Session, me: CurrentUser, new_password: str, address: str
) -> tuple[User, Attempt | None]:
    """Whose password is to be changed; counted as in a sign-in."""
    user = stored_user(session, me)
    try:
        NewPassword(email=user.email, username=user.username, password=new_password)
    except ValidationError as error:
        told = [item | {"loc": ("body", "new_password")} for item in error.errors()]
        raise RequestValidationError(told) from None
    attempt = attempt_sign_in(session, user.username, address)
    session.commit()
    return user, attempt


def _change_password(
    session: Session, verified: User, new_hash: str, attempt: Attempt | None
) -> None:
    # Only that password is changed which was verified.
    same = col(User.id) == verified.id, col(User.password) == verified.password
    if not session.exec(update(User).where(*same).values(password=new_hash)).rowcount:
        raise unauthorized()
    forgive(session, attempt)
    end_sessions(session, verified.id)
    session.commit()


@router.get("/user/me/sessions/", response_model=list[SessionResponse], responses=errors(401))
async def list_sessions(user: AuthenticatedUser, request: Request, page: ActivePage) -> Any:
    """List where you are signed in, the latest sign-in first."""
    return await page.response(request, SESSIONS, viewer_id=user.id, sid=user.session_id)


@router.delete("/user/me/sessions/{session_id}/", status_code=204, responses=errors(401, 404))
def end_one_session(session_id: Id, user: AuthenticatedUser, session: ActiveSession) -> None:
    """End one of your sessions: its tokens are no good any more."""
    if not end_sessions(session, user.id, session_id):
        raise HTTPException(404, "Session not found")
    session.commit()
