"""The audit trail: table."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from pamps.models.columns import bigint_id, created_at, identity, text_column


class Audit(SQLModel, table=True):
    """What an administrator did. It outlives the users whom it names."""

    id: int = identity(primary_key=True)
    date: datetime = created_at()
    actor_id: int | None = bigint_id()
    actor: str = text_column()
    action: str = text_column()
    target_id: int = Field(sa_type=sa.BigInteger)
    target: str = text_column()
    address: str = text_column()
