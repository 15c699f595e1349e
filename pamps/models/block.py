"""Blocks: table, queries, response."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import SQLModel

from pamps.models.columns import created_at, foreign_key, identity


class Block(SQLModel, table=True):
    """`from_id` blocks `to_id`. Later blocks have larger ids."""

    __table_args__ = (
        sa.Index("ix_block_from", "from_id", "id"),
        sa.Index("ix_block_to", "to_id", "id"),
        sa.CheckConstraint("from_id <> to_id", name="not_self"),
    )

    from_id: int = foreign_key("user.id", caller=True, primary_key=True)
    to_id: int = foreign_key("user.id", primary_key=True)
    id: int = identity()
    date: datetime = created_at()
