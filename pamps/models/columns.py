"""What tables and requests share: names of constraints, kinds of columns and of values."""

import re
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field as Limit,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, core_schema
from sqlalchemy import (
    CTE,
    BigInteger,
    BindParameter,
    Boolean,
    Identity,
    Select,
    Text as TextType,
    bindparam,
    false,
    func,
    inspect,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

Query = Select[*tuple[Any, ...]]


# Parameters of many statements. The user who is calling, null without one:
VIEWER: Any = bindparam("viewer_id", type_=BigInteger)
# The id next to which a page begins, which always has a value: PostgreSQL plans a statement for all
# values, and could not use an index for `cursor IS NULL OR id < cursor`.
CURSOR: BindParameter[int] = bindparam("cursor", type_=BigInteger)
# The number of rows that a page reads.
LIMIT: BindParameter[int] = bindparam("limit", type_=BigInteger)


def insert_or_get(table: Any, key: tuple[Any, ...], may: Query) -> CTE:
    """Stores a row unless its primary key is there; gives what is stored, and whether it is new.

    One statement, so that of two requests at the same time exactly one is told that it is new.
    Nothing is stored or given if `may` has no row. What it locks is locked before.
    """
    columns = list(inspect(table).primary_key)
    statement = insert(table).from_select(columns, select(*key).select_from(may.cte("may")))
    # Assigns what is there anyway: a conflict that does nothing would return nothing either.
    same = {column: statement.excluded[column.name] for column in columns}
    statement = statement.on_conflict_do_update(index_elements=columns, set_=same)
    # No transaction has ended or locked the version of a row that was inserted just now.
    is_new = literal_column("xmax = 0", Boolean).label("created")
    return statement.returning(*columns, table.date, is_new).cte("added")


def examples(**fields: Any) -> ConfigDict:
    """The configuration of a request's model: what the documentation sends to try it out."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


def identity(**options: Any) -> Any:
    """An id that the database hands out in growing order."""
    return Field(None, sa_type=BigInteger, sa_column_args=[Identity()], **options)


def reference(to: str, **options: Any) -> Any:
    """The id of a row that takes this one with it when it is deleted."""
    return Field(sa_type=BigInteger, foreign_key=to, ondelete="CASCADE", **options)


def text_column(**options: Any) -> Any:
    """Text whose length the requests limit; the database need not know by how much."""
    return Field(sa_type=TextType, **options)


def counter() -> Any:
    return Field(0, sa_column_kwargs={"server_default": "0"})


def flag() -> Any:
    return Field(False, sa_column_kwargs={"server_default": false()})


def created() -> Any:
    """When the row was stored, by the database's clock."""
    return Field(None, sa_column_kwargs={"server_default": func.now()})


class _Storable:
    """Text that PostgreSQL can hold: no NUL, and no half of a surrogate pair."""

    @staticmethod
    def check(value: Any) -> Any:
        if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
            raise PydanticCustomError("string_unicode", "String should be Unicode without NUL")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        return {"pattern": "^[^\\x00]*$"} | handler(schema)


def _digits(value: Any) -> Any:
    """Of numbers in addresses, only those that are written as numbers are."""
    if isinstance(value, str) and not re.fullmatch("-?[0-9]+", value):
        raise PydanticCustomError("int_parsing", "Input should be a valid integer")
    return value


digits = BeforeValidator(_digits)


def _whole(value: Any) -> Any:
    """1.0 is a whole number in JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Documented by format, as JSON Schema's bounds go through a float, which 64 bits do not fit.
BIGINT = {"type": "integer", "format": "int64"}
Id = Annotated[int, Limit(ge=-(2**63), le=2**63 - 1), digits, WithJsonSchema(BIGINT)]
# In JSON, where neither "1" nor true is a number.
JsonId = Annotated[Id, Limit(strict=True), BeforeValidator(_whole)]
PositiveId = Annotated[Id, Limit(ge=1), WithJsonSchema(BIGINT | {"minimum": 1})]
# Stands last among the limits of a text, and so is asked first.
storable = _Storable()
Text = Annotated[str, storable]
