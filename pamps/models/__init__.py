from sqlmodel import SQLModel

from .post import Like, Post
from .user import Social, User

__all__ = ["Like", "Post", "SQLModel", "Social", "User"]
