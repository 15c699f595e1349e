"""What the tables share: kinds of columns, parameters of their queries, names of constraints."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

Column = sa.ColumnElement[Any]
Condition = sa.ColumnElement[bool]
AnySelect = sa.Select[*tuple[Any, ...]]
IdColumn = Column | Mapped[int]

# Options of indexes by what is in a value. With `fastupdate`, each look into one of them would read
# a list of new rows from end to end.
GIN: dict[str, Any] = {"postgresql_using": "gin", "postgresql_with": {"fastupdate": "off"}}


def id_parameter(name: str) -> sa.BindParameter[int]:
    """Return a parameter of a query that is an id, or null."""
    return sa.bindparam(name, type_=sa.BigInteger)


# The user who is calling; null without one.
VIEWER_ID = id_parameter("viewer_id")
# The page begins next to this id. It is never null: PostgreSQL could then not use the index.
CURSOR = id_parameter("cursor")
# The number of rows that a page reads. `PaginatedQuery` puts a literal in its place.
LIMIT = id_parameter("limit")


def page_of(
    statement: AnySelect,
    key: IdColumn,
    *,
    newest_first: bool = True,
    limit: sa.ColumnElement[int] = LIMIT,
) -> AnySelect:
    """Select one page of a list in the order of `key`: the items older, or newer, than `cursor`."""
    statement = statement.where(key < CURSOR if newest_first else key > CURSOR)
    return statement.order_by(key.desc() if newest_first else key).limit(limit)


def has_row(table: str, **key: IdColumn) -> Condition:
    """Return the condition that a table such as "like" has the row with a key."""
    # The table is found by its name, as in a foreign key: its module may import the caller's.
    rows = SQLModel.metadata.tables[table].alias(f"{table}_row")
    is_row = [rows.c[name] == value for name, value in key.items()]
    # No EXISTS: for a viewer whom it does not know, PostgreSQL would read all of their rows first.
    found = sa.select(sa.true()).where(*is_row).correlate_except(rows)
    return sa.func.coalesce(found.scalar_subquery(), sa.false())


def unless_anonymous(value: Column, viewer_id: Column = VIEWER_ID) -> Column:
    """Return a value, or null without a viewer."""
    return sa.case((viewer_id.is_(None), None), else_=value)


def insert_or_get(table: type[SQLModel], key: Sequence[Column], allowed: AnySelect) -> sa.CTE:
    """Insert a row unless its primary key exists; return it, and as `created` whether it is new.

    It is one statement, so that of two concurrent requests exactly one gets `created = true`.
    Nothing is inserted or returned if `allowed` has no row. The rows that `allowed` locks are
    locked first.
    """
    columns, all_columns = sa.inspect(table).primary_key, sa.inspect(table).columns
    values = sa.select(*key).select_from(allowed.cte("allowed"))
    statement = insert(table).from_select(list(columns), values)
    # A no-op update, so that RETURNING also returns an existing row.
    same = {column: statement.excluded[column.name] for column in columns}
    statement = statement.on_conflict_do_update(index_elements=columns, set_=same)
    # `xmax` is 0 only for a row that this statement inserted.
    is_new = sa.literal_column("xmax = 0", sa.Boolean).label("created")
    return statement.returning(*all_columns, is_new).cte("added")


def identity(*, primary_key: bool = False) -> int:
    """An id that the database assigns in growing order."""
    column: int = Field(
        None, sa_type=sa.BigInteger, sa_column_args=[sa.Identity()], primary_key=primary_key
    )
    return column


def foreign_key(to: str, *, caller: bool = False, **options: Any) -> Any:
    """The id of another row; this row is deleted together with it.

    `caller` marks the user whose request stores this row.
    """
    info = {"info": {"caller": caller}}
    return Field(
        sa_type=sa.BigInteger, sa_column_kwargs=info, foreign_key=to, ondelete="CASCADE", **options
    )


def bigint_id() -> int | None:
    """The id of another row that may be deleted: there is no foreign key."""
    column: int | None = Field(None, sa_type=sa.BigInteger)
    return column


def text_column(**options: Any) -> Any:
    """Text of any length: the length is validated in requests, not by the database."""
    return Field(sa_type=sa.Text, **options)


def array_column(item: type[sa.types.TypeEngine[Any]]) -> Any:
    """A list of values, or null if there is none."""
    return Field(None, sa_type=sa.ARRAY(item))


def counter() -> int:
    """A number of other rows, which changes in the same transaction as those."""
    column: int = Field(0, sa_column_kwargs={"server_default": "0"})
    return column


def flag() -> bool:
    """True or false; false unless it is set."""
    column: bool = Field(False, sa_column_kwargs={"server_default": sa.false()})
    return column


def created_at() -> datetime:
    """When the row was inserted, by the database's clock."""
    column: datetime = Field(None, sa_column_kwargs={"server_default": sa.func.now()})
    return column


class Interaction(SQLModel):
    """The columns of likes, reposts and bookmarks. Rows that are stored later have larger ids."""

    user_id: int = foreign_key("user.id", caller=True, primary_key=True)
    post_id: int = foreign_key("post.id", primary_key=True)
    id: int = identity()
    date: datetime = created_at()


class Pair(SQLModel):
    """The columns of follows, blocks and mutes. Rows that are stored later have larger ids."""

    from_id: int = foreign_key("user.id", caller=True, primary_key=True)
    to_id: int = foreign_key("user.id", primary_key=True)
    id: int = identity()
    date: datetime = created_at()
