from sqlmodel import SQLModel

from .idempotency import IdempotencyKey
from .like import Like
from .post import Post
from .session import Attempt, Audit, UserSession
from .user import Social, User

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
