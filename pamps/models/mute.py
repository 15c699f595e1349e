"""Mutes: table, queries, response."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import SQLModel

from pamps.models.columns import created_at, foreign_key, identity


class Mute(SQLModel, table=True):
    """`from_id` mutes `to_id`, who never learns of it. Later mutes have larger ids."""

    __table_args__ = (
        sa.Index("ix_mute_from", "from_id", "id"),
        sa.Index("ix_mute_to", "to_id"),
        sa.CheckConstraint("from_id <> to_id", name="not_self"),
    )

    from_id: int = foreign_key("user.id", caller=True, primary_key=True)
    to_id: int = foreign_key("user.id", primary_key=True)
    id: int = identity()
    date: datetime = created_at()
