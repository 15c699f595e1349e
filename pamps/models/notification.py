"""Notifications: tables, queries, requests, responses."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from pamps.models.columns import counter, created_at, foreign_key, identity, text_column

KINDS = ["follow", "like", "reply", "mention", "repost"]


class Notification(SQLModel, table=True):
    """`user_id` is told that `from_id` did something, most often with the post `post_id`.

    The ids of a user's notifications are in the order in which they were stored.
    """

    __table_args__ = (
        sa.Index("ix_notification_kind", "user_id", "kind", "id"),
        sa.Index("ix_notification_from", "from_id", "user_id", "post_id"),
        sa.Index("ix_notification_post", "post_id"),
        sa.Index("ix_notification_date", "date"),
        sa.CheckConstraint(f"kind IN ({', '.join(map(repr, KINDS))})", name="kind"),
    )

    user_id: int = foreign_key("user.id", primary_key=True)
    id: int = identity(primary_key=True)
    kind: str = text_column()
    from_id: int = foreign_key("user.id", caller=True)
    post_id: int | None = foreign_key("post.id", default=None)
    date: datetime = created_at()


class Inbox(SQLModel, table=True):
    """How many notifications a user has not read: those with an id above `read_id`."""

    __table_args__ = (sa.CheckConstraint("unread_count >= 0", name="counts"),)

    user_id: int = foreign_key("user.id", primary_key=True)
    unread_count: int = counter()
    read_id: int = Field(0, sa_type=sa.BigInteger, sa_column_kwargs={"server_default": "0"})
