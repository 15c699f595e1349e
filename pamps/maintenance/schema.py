"""The database's schema: which one this code needs, and how to get there."""

import logging
from functools import cache
from pathlib import Path
from typing import Any

from psycopg2.errors import DependentObjectsStillExist, UndefinedColumn, UndefinedTable
from psycopg2.extensions import cursor as Cursor
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from pamps.config import HERE, ROOT, settings
from pamps.db import engine

logger = logging.getLogger(__name__)

# Timeouts that are stored in the database, in seconds, by their names in PostgreSQL.
TIMEOUTS = {
    "statement_timeout": settings.db.statement_timeout,
    "lock_timeout": settings.db.lock_timeout,
    "idle_in_transaction_session_timeout": settings.db.idle_in_transaction_timeout,
}
MISSING = "the database has no tables yet: run pamps migrate"
OLDER = "the database's schema is older than this Pamps: run pamps migrate"
NEWER = "the database's schema is newer than this Pamps: install the Pamps that made it"
WORKSHOP = (
    "this is a database of the FastAPI workshop, whose tables Pamps cannot bring up to date:"
    " name an empty database in db.uri, and run pamps migrate"
)
FOREIGN = "this is not a database of Pamps: name another one in db.uri"
# Databases in which nothing is changed.
NOT_OURS = (WORKSHOP, FOREIGN)
# What the table "user" has in a database of the workshop, and what it has besides in one of Pamps.
WORKSHOP_COLUMNS = {"id", "email", "username", "avatar", "bio", "password"}
OUR_COLUMNS = {"post_count", "follower_count", "following_count"}


ENCODING = (
    "the database's encoding is {}, which does not hold all text: make one with"
    " CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
)


class SchemaError(Exception):
    """The schema is not one that this code can bring up to date; the message says what to do."""


def problem() -> str | None:
    """What is wrong with the schema, if it is not the one that is needed.

    Raises DBAPIError and psycopg2.Error.
    """
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        return problem_of(driver.cursor())


def problem_of(cursor: Cursor) -> str | None:
    """The same, as a transaction sees it."""
    if problem := _encoding_problem(cursor):
        return problem
    try:
        found = _revisions(cursor)
    except UndefinedTable:
        return MISSING
    except UndefinedColumn:
        return FOREIGN
    if not found:
        return MISSING
    if not found <= _known():
        read_migrations.cache_clear()  # a migration may have been added since this process started
    if len(heads := read_migrations().get_heads()) > 1:
        return f"there are several last migrations, {', '.join(heads)}: run alembic merge heads"
    if found == set(heads):
        return None
    return OLDER if found <= _known() else _unknown(cursor)


def check(connection: Connection) -> None:
    """Raises SchemaError unless there are tables that a command can work on.

    Alembic takes long to import, and is asked only of a migration that no file is named after.
    """
    driver: Any = connection.connection.driver_connection
    cursor = driver.cursor()
    if problem := _encoding_problem(cursor):
        raise SchemaError(problem)
    cursor.execute("SELECT to_regclass('alembic_version')")
    if cursor.fetchone() != (None,):
        names = [path.name for path in (_folder() / "versions").iterdir()]
        found = _revisions(cursor)
        if found and all(any(f"_{revision}_" in name for name in names) for revision in found):
            return
    if problem := problem_of(cursor):
        raise SchemaError(problem)


def _encoding_problem(cursor: Cursor) -> str | None:
    """What is wrong with a database that stores text in another encoding."""
    encoding = cursor.connection.info.parameter_status("server_encoding")
    return None if encoding == "UTF8" else ENCODING.format(encoding)


def _revisions(cursor: Cursor) -> set[str]:
    cursor.execute("SELECT version_num FROM alembic_version")
    return {revision for (revision,) in cursor.fetchall()}


def _unknown(cursor: Cursor) -> str:
    """Whose database it is, where its migrations are none of ours."""
    columns = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('\"user\"')"
    cursor.execute(columns)
    found = {column for (column,) in cursor.fetchall()}
    if found >= OUR_COLUMNS:
        return NEWER
    return WORKSHOP if found >= WORKSHOP_COLUMNS else FOREIGN


def _known() -> set[str]:
    return {script.revision for script in read_migrations().walk_revisions()}


@cache
def read_migrations() -> Any:
    """Read the migrations, which takes long, so only once. Return Alembic's ScriptDirectory."""
    from alembic.script import ScriptDirectory  # here, as it takes long to import

    return ScriptDirectory.from_config(_config())


def _folder() -> Path:
    return next(home / "migrations" for home in (ROOT, HERE) if (home / "migrations").is_dir())


def _config() -> Any:
    """Alembic's, for the migrations of the checkout or the wheel."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    return config


def migrate() -> None:
    """Brings the schema up to date. Raises SchemaError if migrations cannot do that."""
    from alembic import command

    if (found := problem()) not in (None, MISSING, OLDER):
        raise SchemaError(found)
    command.upgrade(_config(), "head")


def tables() -> list[str]:
    """The names of Pamps' own tables, as far as they are there."""
    from pamps.models import SQLModel

    there = set(inspect(engine).get_table_names())
    return sorted(there & {*SQLModel.metadata.tables, "alembic_version"})


def drop(names: list[str]) -> None:
    """Drops these tables, or none of them if something else depends on one. Raises SchemaError."""
    try:
        with engine.begin() as connection:
            quote = engine.dialect.identifier_preparer.quote
            connection.exec_driver_sql(f"DROP TABLE {', '.join(map(quote, names))}")
    except DBAPIError as error:
        if not isinstance(error.orig, DependentObjectsStillExist):
            raise
        reasons = "; ".join(str(error.orig.diag.message_detail).splitlines())
        raise SchemaError(f"nothing was dropped: {reasons}") from None


def set_timeouts(cursor: Cursor) -> None:
    """Stores the timeouts in the database: a PgBouncer would lose those of a connection."""
    query = "SELECT quote_ident(datname), pg_has_role(datdba, 'USAGE') FROM pg_database"
    cursor.execute(f"{query} WHERE datname = current_database()")
    ((database, is_owner),) = cursor.fetchall()
    if not is_owner:
        logger.warning("the timeouts of %s are left to its owner: see docs/operations.md", database)
        return
    for parameter, seconds in TIMEOUTS.items():
        cursor.execute(f"ALTER DATABASE {database} SET {parameter} = '{seconds}s'")
