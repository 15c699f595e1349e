from sqlmodel import SQLModel

from .auth import Attempt, Audit, UserSession
from .post import Like, Post
from .user import Social, User

__all__ = ["Attempt", "Audit", "Like", "Post", "SQLModel", "Social", "User", "UserSession"]
