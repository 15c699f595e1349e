from sqlmodel import SQLModel

from .auth import Attempt, Audit, UserSession
from .idempotency import Outcome
from .post import Like, Post
from .user import Social, User

__all__ = [
    "Attempt",
    "Audit",
    "Like",
    "Outcome",
    "Post",
    "SQLModel",
    "Social",
    "User",
    "UserSession",
]
