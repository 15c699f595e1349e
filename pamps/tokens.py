"""Tokens: what they say, and which to believe. The only module that knows python-jose.

They are JWT (RFC 7519). The subject is the user's id, so that a name that was deleted and taken
again does not revive an old one; `sid` is the session, which ends all its tokens when it ends;
`scope` says what a token is for, and elsewhere it is refused. Whether one has expired is for the
database to say, whose clock made it: see `of_session`.
"""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

from fastapi import HTTPException
from jose import jwt
from jose.utils import base64url_decode, base64url_encode
from pydantic import BaseModel, Field as Limit, StringConstraints

from pamps.config import settings
from pamps.folder import secret_key

Scope = Literal["access_token", "refresh_token"]
LONGEST = 4096


class Claims(BaseModel):
    """What a token says. 18 digits are fewer than PostgreSQL's bigint has."""

    sub: Annotated[str, StringConstraints(pattern="^[0-9]{1,18}$")]
    sid: Annotated[int, Limit(ge=0, lt=2**63)]
    scope: Scope
    # Seconds since 1970, within what PostgreSQL's dates can be.
    exp: Annotated[float, Limit(gt=0, lt=2**40, allow_inf_nan=False)]
    fresh: bool = False
    jti: str = Limit("", repr=False)

    @property
    def user_id(self) -> int:
        return int(self.sub)

    @property
    def session_key(self) -> dict[str, int]:
        """What statements about a session ask for."""
        return {"sid": self.sid, "viewer_id": self.user_id}


def unauthorized(detail: str = "Could not validate credentials") -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


def sign_token(scope: Scope, user_id: int, sid: int, expires: datetime, **more: Any) -> str:
    claims = {"sub": str(user_id), "sid": sid, "scope": scope, "exp": expires} | more
    return jwt.encode(claims, secret_key(), settings.security.ALGORITHM)


def _is_canonical(part: str) -> bool:
    """Whether it is written as base64url is, where jose overlooks strange characters and bits."""
    return base64url_encode(base64url_decode(part.encode())).decode() == part


@lru_cache(maxsize=1024)
def _verified(token: str) -> Claims:
    """What a token says that we have signed. Raises errors of many kinds for any other.

    It stays signed, so those that were seen of late are not verified again.
    """
    security = settings.security
    if len(token) > LONGEST or not all(map(_is_canonical, token.split("."))):
        raise unauthorized()
    # A header that names a key, or what else there is to understand, is none of ours.
    if jwt.get_unverified_header(token) != {"alg": security.ALGORITHM, "typ": "JWT"}:
        raise unauthorized()
    options = {"verify_exp": False}
    found = jwt.decode(token, secret_key(), [security.ALGORITHM], options=options)
    return Claims.model_validate(found, strict=True)


def read_token(token: str, scope: Scope) -> Claims:
    """The claims of a token of that scope, expired or not. Raises HTTPException 401."""
    try:
        claims = _verified(token)
    except Exception:  # jose lets errors of many kinds through; all of them mean a bad token.
        raise unauthorized() from None
    if claims.scope != scope:
        raise unauthorized()
    return claims
