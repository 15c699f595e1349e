import logging
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field as Limit, ValidationError
from sqlmodel import Session, col, update

from pamps.answers import written
from pamps.auth import ActiveClaims, Address, AuthenticatedUser, SignInFailed, stored_user
from pamps.db import ActiveSession
from pamps.errors import OAuthError, errors
from pamps.metrics import count_sign_in
from pamps.models import User, UserSession
from pamps.models.auth import SessionResponse, sessions
from pamps.models.base import Id, Text
from pamps.models.user import NewPassword, PasswordChange, folded, user_named
from pamps.pagination import ActivePage, List
from pamps.ratelimit import attempt_sign_in, forgive
from pamps.security import get_password_hash, needs_rehash, verify_password
from pamps.sessions import Token, end_sessions, open_session, refresh_session
from pamps.tokens import unauthorized

logger = logging.getLogger(__name__)

router = APIRouter(tags=["auth"], responses=errors(429, 503))

SESSIONS = List(sessions(), UserSession.id)


class RefreshToken(BaseModel):
    """A refresh token that has not been used yet."""

    refresh_token: Text = Limit(repr=False)


# What JSON Schema says of `TokenRequest` where OpenAPI alone cannot.
GRANTS: dict[str, Any] = {
    "if": {
        "properties": {"grant_type": {"const": "refresh_token"}},
        "required": ["grant_type"],
    },
    "then": {"required": ["refresh_token"]},
    "else": {"required": ["username", "password"]},
}


class TokenRequest(BaseModel):
    """A password or a refresh token, as in OAuth 2.0 (RFC 6749, sections 4.3 and 6)."""

    model_config = ConfigDict(json_schema_extra=GRANTS)

    grant_type: Literal["password", "refresh_token", ""] = "password"
    username: Text = ""
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
def login_for_access_token(
    form: Annotated[TokenRequest, Form()],
    session: ActiveSession,
    address: Address,
    user_agent: UserAgent = "",
) -> Any:
    """Sign in with a name and a password, or with a refresh token stay so."""
    if form.grant_type == "refresh_token":
        form.require("refresh_token")
        return _refresh(session, form.refresh_token)
    form.require("username", "password")
    started = time.perf_counter()
    attempt = attempt_sign_in(session, form.username, address)
    user = session.exec(user_named(folded(form.username))).first()
    # Counted before the password is looked at, and no connection is held meanwhile.
    session.commit()
    stored = user.password if user else None
    valid, new_hash = verify_password(form.password, stored), None
    if stored and valid and needs_rehash(stored):
        new_hash = get_password_hash(form.password)
    who = {"user_id": user and user.id, "address": address}
    if user is not None and valid:
        # Until the session is there nobody changes the password, or disables the account.
        user = session.get(
            User, user.id, with_for_update={"key_share": True}, populate_existing=True
        )
        if user is not None and user.password != stored:
            valid, new_hash = verify_password(form.password, user.password), None
    if user is None or not valid:
        logger.warning("sign-in failed", extra=who)
        count_sign_in("failed")
        raise SignInFailed(started)
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
    return _sent(token)


@router.post("/refresh_token", response_model=Token, responses=errors(401, 413))
def refresh_token(body: RefreshToken, session: ActiveSession) -> Any:
    """Trade a refresh token for a new pair of tokens, the access token no longer fresh."""
    return _refresh(session, body.refresh_token)


def _refresh(session: Session, refresh_token: str) -> Response:
    token = refresh_session(session, refresh_token)
    session.commit()
    if token is None:
        raise unauthorized()
    return _sent(token)


def _sent(token: Token) -> Response:
    return written(token.model_dump(), 200)


@router.post("/logout", status_code=204, responses=errors(401))
def logout(user: AuthenticatedUser, claims: ActiveClaims, session: ActiveSession) -> None:
    """Sign out: the session and all its tokens end."""
    end_sessions(session, user.id, claims.sid)
    session.commit()


@router.put("/user/me/password/", status_code=204, responses=errors(401, 403, 413))
def change_password(
    change: PasswordChange, caller: AuthenticatedUser, session: ActiveSession, address: Address
) -> None:
    """Change your password. It ends all your sessions; sign in again with the new one."""
    user = stored_user(session, caller)
    try:
        new = NewPassword(email=user.email, username=user.username, password=change.new_password)
    except ValidationError as error:
        told = [item | {"loc": ("body", "new_password")} for item in error.errors()]
        raise RequestValidationError(told) from None
    attempt = attempt_sign_in(session, user.username, address)
    session.commit()  # as in a sign-in: counted first, and no connection is held meanwhile
    if not verify_password(change.current_password, user.password):
        logger.warning("password change failed", extra={"user_id": user.id, "address": address})
        raise HTTPException(403, "The current password is incorrect")
    # Only that password is changed which was verified.
    replaced = update(User).where(col(User.id) == user.id, col(User.password) == user.password)
    if not session.exec(replaced.values(password=new.hash())).rowcount:
        raise unauthorized()
    forgive(session, attempt)
    end_sessions(session, user.id)
    session.commit()
    logger.info("password changed", extra={"user_id": user.id, "address": address})


@router.get("/user/me/sessions/", response_model=list[SessionResponse], responses=errors(401))
async def list_sessions(claims: ActiveClaims, request: Request, page: ActivePage) -> Any:
    """List where you are signed in, the latest sign-in first."""
    return await page.answer(request, SESSIONS, claims)


@router.delete("/user/me/sessions/{session_id}/", status_code=204, responses=errors(401, 404))
def end_session(session_id: Id, user: AuthenticatedUser, session: ActiveSession) -> None:
    """End one of your sessions: its tokens are no good any more."""
    if not end_sessions(session, user.id, session_id):
        raise HTTPException(404, "Session not found")
    session.commit()
