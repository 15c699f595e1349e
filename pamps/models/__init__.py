from sqlmodel import SQLModel

from .attempt import Attempt
from .audit import Audit
from .follow import Social
from .idempotency import IdempotencyKey
from .like import Like
from .post import Post
from .session import UserSession
from .user import User

__all__ = [
    "Attempt",
    "Audit",
    "IdempotencyKey",
    "Like",
    "Post",
    "SQLModel",
    "Social",
    "User",
    "UserSession",
]
