from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel

from pamps.auth import Token, create_tokens, token_user, unauthorized
from pamps.db import ActiveSession
from pamps.errors import errors
from pamps.models.base import Text
from pamps.models.user import user_named
from pamps.security import verify_password

router = APIRouter(tags=["auth"], responses=errors(401, 413))


class SignIn(BaseModel):
    """The password grant of OAuth 2.0 (RFC 6749, section 4.3)."""

    username: Text
    password: Text


class RefreshToken(BaseModel):
    refresh_token: Text


@router.post("/token")
def login_for_access_token(form: Annotated[SignIn, Form()], session: ActiveSession) -> Token:
    """Sign in with a name and a password."""
    user = session.exec(user_named(form.username)).first()
    valid, new_hash = verify_password(form.password, user.password if user else None)
    if user is None or not valid:
        raise unauthorized("Incorrect username or password")
    if new_hash:
        user.password = new_hash
        session.commit()
    return create_tokens(user.id, fresh=True)


@router.post("/refresh_token")
def refresh_token(body: RefreshToken, session: ActiveSession) -> Token:
    """Trade a refresh token for a new pair of tokens, the access token no longer fresh."""
    user = token_user(session, body.refresh_token, "refresh_token")
    return create_tokens(user.id, fresh=False)
