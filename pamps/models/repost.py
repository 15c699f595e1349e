"""Reposts: table."""

import sqlalchemy as sa
from sqlmodel import Field

from pamps.models.interaction import Interaction

# The cast of text keeps Alembic from taking the sequence for one of this table.
NEXT_POST_ID = sa.text("nextval(('post_id_seq'::text)::regclass)")


class Repost(Interaction, table=True):
    """`user_id` has reposted `post_id`.

    The ids come from the sequence of the posts' ids, so that posts and reposts have one order.
    """

    __table_args__ = (
        sa.Index("ix_repost_user", "user_id", "id"),
        sa.Index("ix_repost_post", "post_id", "id"),
    )

    id: int = Field(None, sa_type=sa.BigInteger, sa_column_kwargs={"server_default": NEXT_POST_ID})
