"""The audit trail: table and query."""

from datetime import datetime

from sqlalchemy import BigInteger, Insert, Text, bindparam, insert, select
from sqlmodel import Field, SQLModel

from pamps.models.columns import Column, created, id_parameter, identity, text_column


class Audit(SQLModel, table=True):
    """What an administrator did. There are no foreign keys: it outlives the users whom it names."""

    id: int = identity(primary_key=True)
    date: datetime = created()
    actor_id: int | None = Field(None, sa_type=BigInteger)
    actor: str = text_column()
    action: str = text_column()
    target_id: int = Field(sa_type=BigInteger)
    target: str = text_column()
    address: str = text_column()


def insert_audit() -> Insert:
    """Insert a row; the parameters are its columns."""
    ids, texts = ("actor_id", "target_id"), ("actor", "action", "target", "address")
    values: list[Column] = [
        *map(id_parameter, ids),
        *(bindparam(name, type_=Text) for name in texts),
    ]
    return insert(Audit).from_select([*ids, *texts], select(*values))
