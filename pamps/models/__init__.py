from sqlmodel import SQLModel as SQLModel

from .attempt import Attempt as Attempt
from .audit import Audit as Audit
from .bookmark import Bookmark as Bookmark
from .follow import Social as Social
from .idempotency import IdempotencyKey as IdempotencyKey
from .like import Like as Like
from .post import Post as Post
from .session import UserSession as UserSession
from .user import User as User
