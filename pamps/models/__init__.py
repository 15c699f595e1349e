from sqlmodel import SQLModel as SQLModel

from .attempt import Attempt as Attempt
from .audit import Audit as Audit
from .block import Block as Block
from .bookmark import Bookmark as Bookmark
from .event import Event as Event
from .follow import Social as Social
from .idempotency import IdempotencyKey as IdempotencyKey
from .like import Like as Like
from .mail import Mail as Mail
from .mute import Mute as Mute
from .notification import Inbox as Inbox, Notification as Notification
from .post import Post as Post
from .repost import Repost as Repost
from .session import UserSession as UserSession
from .tag import Tag as Tag
from .ticket import Ticket as Ticket
from .timeline import Entry as Entry
from .user import User as User
from .write_position import PrimaryEpoch as PrimaryEpoch, WritePosition as WritePosition
