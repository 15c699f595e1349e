"""The document with everything that is a user's: response.

What is left out, and why, is in docs/decisions/0026-export.md.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from pamps.models.notification import Kind


class ExportedItem(BaseModel):
    """What an export has of a row."""

    model_config = ConfigDict(extra="forbid")


class ExportedProfile(ExportedItem):
    """The user's profile."""

    id: int
    username: str
    email: str
    email_verified: bool
    avatar: str | None
    bio: str | None
    superuser: bool
    disabled: bool
    post_count: int
    follower_count: int
    following_count: int


class ExportedPost(ExportedItem):
    """A post of the user, or a reply to the post `parent_id`; `mention_ids` are ids of users."""

    id: int
    text: str
    date: datetime
    parent_id: int | None
    edited_at: datetime | None
    like_count: int
    reply_count: int
    repost_count: int
    mention_ids: list[int]
    tags: list[str]


class ExportedInteraction(ExportedItem):
    """The user has liked, reposted or bookmarked the post `post_id`."""

    post_id: int
    date: datetime


class ExportedPair(ExportedItem):
    """Another user who follows the user, or whom the user follows, blocks or mutes."""

    user_id: int
    username: str
    date: datetime


class ExportedNotification(ExportedItem):
    """What another user has done to the user, most often with the post `post_id`."""

    id: int
    kind: Kind
    date: datetime
    read: bool
    user_id: int
    username: str
    post_id: int | None


class ExportedSession(ExportedItem):
    """A sign-in of the user, without its tokens."""

    id: int
    started: datetime
    last_used: datetime
    expires: datetime
    user_agent: str


class ExportedAct(ExportedItem):
    """What an administrator did to the user `target`.

    It is an `own` act if that administrator was the user; only then is there an `address`.
    """

    id: int
    date: datetime
    action: str
    target: str
    own: bool
    address: str | None


class Export(BaseModel):
    """Everything that is a user's, as it was when the export began; each list by its first id."""

    model_config = ConfigDict(extra="forbid")

    exported_at: datetime
    profile: ExportedProfile
    posts: list[ExportedPost]
    likes: list[ExportedInteraction]
    reposts: list[ExportedInteraction]
    bookmarks: list[ExportedInteraction]
    following: list[ExportedPair]
    followers: list[ExportedPair]
    blocks: list[ExportedPair]
    mutes: list[ExportedPair]
    notifications: list[ExportedNotification]
    sessions: list[ExportedSession]
    audit: list[ExportedAct]
