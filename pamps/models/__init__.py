from sqlmodel import SQLModel

from .idempotency import Outcome
from .post import Like, Post
from .session import Attempt, Audit, UserSession
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
