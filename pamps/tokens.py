"""Tokens: JWTs that sign a user in (RFC 7519). The only module that imports python-jose.

- `sub` is the user's id: a name that was deleted and taken again does not revive an old token.
- `sid` is the session, which ends all its tokens when it ends.
- `scope` says where the token may be used.
- `exp` is checked in SQL (`auth.CURRENT_USER`), because the database's clock issued the token.
"""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal

from fastapi import HTTPException
from jose import JWTError, jwt
from jose.utils import base64url_decode, base64url_encode
from pydantic import BaseModel, Field, StringConstraints

from pamps.config import settings
from pamps.folder import secret_key

Scope = Literal["access_token", "refresh_token"]
MAX_TOKEN_LENGTH = 4096


class Claims(BaseModel):
    """What a token says. 18 digits are fewer than PostgreSQL's bigint has."""

    sub: Annotated[str, StringConstraints(pattern="^[0-9]{1,18}$")]
    sid: Annotated[int, Field(ge=0, lt=2**63)]
    scope: Scope
    # Seconds since 1970, within what PostgreSQL's dates can be.
    exp: Annotated[float, Field(gt=0, lt=2**40, allow_inf_nan=False)]
    fresh: bool = False
    jti: str = Field("", repr=False)

    @property
    def user_id(self) -> int:
        return int(self.sub)


def unauthorized(detail: str = "Could not validate credentials") -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


def create_token(
    scope: Scope, user_id: int, session_id: int, expires: datetime, **more: bool | str
) -> str:
    """Return a signed token. `more` are the claims that only tokens of its scope have."""
    claims = {"sub": str(user_id), "sid": session_id, "scope": scope, "exp": expires}
    return jwt.encode(claims | more, secret_key(), settings.security.ALGORITHM)


def _is_canonical(part: str) -> bool:
    """Tell whether text is strict base64url; jose ignores strange characters and surplus bits."""
    return base64url_encode(base64url_decode(part.encode())).decode() == part


@lru_cache(maxsize=1024)
def _decode(token: str) -> Claims:
    """Return the claims of a token that we have signed. Raises any exception for a bad token.

    The signature stays valid, so the latest tokens are not verified again.
    """
    security = settings.security
    if len(token) > MAX_TOKEN_LENGTH or not all(map(_is_canonical, token.split("."))):
        raise JWTError
    # We never sign a header with a key id, extensions or anything else.
    if jwt.get_unverified_header(token) != {"alg": security.ALGORITHM, "typ": "JWT"}:
        raise JWTError
    options = {"verify_exp": False}
    claims = jwt.decode(token, secret_key(), [security.ALGORITHM], options=options)
    return Claims.model_validate(claims, strict=True)


def read_token(token: str, scope: Scope) -> Claims | None:
    """Return the claims of a token, expired or not; None if it is no valid token of that scope."""
    try:
        claims = _decode(token)
    except Exception:  # jose raises errors of many kinds; all of them mean a bad token
        return None
    return claims if claims.scope == scope else None
