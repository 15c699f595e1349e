"""Likes: table."""

import sqlalchemy as sa

from pamps.models.columns import Interaction


class Like(Interaction, table=True):
    """`user_id` likes `post_id`."""

    __table_args__ = (
        sa.Index("ix_like_user", "user_id", "id"),
        sa.Index("ix_like_post", "post_id", "id"),
    )
