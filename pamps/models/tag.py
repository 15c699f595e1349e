"""Hashtags: table, queries, response."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from pamps.models.columns import created_at, foreign_key


class Tag(SQLModel, table=True):
    """The post `post_id` of `user_id` has the hashtag `tag`, in the form of `fold_tag`."""

    __table_args__ = (
        sa.Index("ix_tag_post", "post_id"),
        sa.Index("ix_tag_date", "date", postgresql_include=["tag", "user_id"]),
    )

    tag: str = Field(sa_type=sa.Text, primary_key=True)
    post_id: int = foreign_key("post.id", primary_key=True)
    # The author of the post: no foreign key, as the row goes together with the post.
    user_id: int = Field(sa_type=sa.BigInteger)
    date: datetime = created_at()
