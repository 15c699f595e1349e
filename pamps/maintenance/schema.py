"""The database's schema: whether it is the one that this code needs, and its migrations."""

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from psycopg2.errors import DependentObjectsStillExist
from sqlalchemy import Connection, column, inspect, literal_column, select, table
from sqlalchemy.exc import DBAPIError

from pamps.config import PACKAGE, ROOT, settings
from pamps.db import Query, Reader, Row, engine, psycopg2_connection
from pamps.maintenance import MaintenanceError

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

logger = logging.getLogger(__name__)

# The timeouts that are stored in the database, in seconds, by PostgreSQL's names for them.
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
ENCODING = (
    "the database's encoding is {}, which does not hold all text: make one with"
    " CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
)
POOLED = (
    "this takes a connection to PostgreSQL itself, and there is a pooler such as PgBouncer in"
    " between: name the server of the database in db.uri for this command"
)
# Problems of databases in which nothing may be changed.
NOT_OURS = (WORKSHOP, FOREIGN)
# Columns of the table "user" in a database of the workshop, and those that only Pamps has.
WORKSHOP_COLUMNS = {"id", "email", "username", "avatar", "bio", "password"}
OUR_COLUMNS = {"post_count", "follower_count", "following_count"}

COLUMNS = "ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass('{}'))"
TABLES = Query(
    select(
        literal_column("current_setting('server_encoding')").label("encoding"),
        literal_column(COLUMNS.format("alembic_version")).label("version_columns"),
        literal_column(COLUMNS.format('"user"')).label("user_columns"),
    )
)
REVISIONS = Query(select(column("version_num")).select_from(table("alembic_version")))


class SchemaError(MaintenanceError):
    """The schema is not one that this code can use or bring up to date."""


class State(NamedTuple):
    """The state of a database's schema."""

    encoding: str
    version_columns: list[str]
    user_columns: list[str]
    revisions: set[str]


def _has_revisions(tables: Row) -> bool:
    return "version_num" in tables["version_columns"]


def read_state(connection: Connection) -> State:
    """Read the state of the schema. Raises DBAPIError."""
    tables = dict(connection.execute(TABLES.statement).mappings().one())
    rows = connection.execute(REVISIONS.statement).all() if _has_revisions(tables) else []
    return State(**tables, revisions={row.version_num for row in rows})


async def read_state_from_pool(reader: Reader | None) -> State:
    """Read the state of the schema as the API does. Raises psycopg.Error and FolderError."""
    tables = await TABLES.first(reader) or {}
    rows = await REVISIONS.all(reader) if _has_revisions(tables) else []
    return State(**tables, revisions={row["version_num"] for row in rows})


def find_problem(state: State) -> str | None:
    """Return what is wrong with the schema, or None if it is the one that this code needs."""
    if state.encoding != "UTF8":
        return ENCODING.format(state.encoding)
    if state.version_columns and "version_num" not in state.version_columns:
        return FOREIGN
    if not state.revisions:
        return MISSING
    if not state.revisions <= _known():
        read_migrations.cache_clear()  # a migration may have been added since this process started
    if len(heads := read_migrations().get_heads()) > 1:
        return f"there are several last migrations, {', '.join(heads)}: run alembic merge heads"
    if state.revisions == set(heads):
        return None
    if state.revisions <= _known():
        return OLDER
    if OUR_COLUMNS.issubset(state.user_columns):
        return NEWER
    return WORKSHOP if WORKSHOP_COLUMNS.issubset(state.user_columns) else FOREIGN


def problem() -> str | None:
    """Return what is wrong with the schema of the configured database. Raises DBAPIError."""
    with engine.connect() as connection:
        state = read_state(connection)
    return find_problem(state)


def check(connection: Connection) -> None:
    """Raise SchemaError unless there are tables that a command can work on.

    Importing Alembic is slow, so the revision is compared with the names of files first.
    """
    state = read_state(connection)
    names = [path.name for path in (_folder() / "versions").iterdir()]
    is_named = all(any(f"_{revision}_" in name for name in names) for revision in state.revisions)
    if state.encoding == "UTF8" and state.revisions and is_named:
        return
    if found := find_problem(state):
        raise SchemaError(found)


def _known() -> set[str]:
    return {script.revision for script in read_migrations().walk_revisions()}


@cache
def read_migrations() -> "ScriptDirectory":
    """Read the migrations, once, as it takes long."""
    from alembic.script import ScriptDirectory  # here, as it takes long to import

    return ScriptDirectory.from_config(_config())


def _folder() -> Path:
    return next(home / "migrations" for home in (ROOT, PACKAGE) if (home / "migrations").is_dir())


def _config() -> "Config":
    """Return Alembic's configuration for the migrations of the checkout or of the wheel."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    return config


def migrate() -> None:
    """Bring the schema up to date. Raises SchemaError if migrations cannot do that."""
    from alembic import command

    if (found := problem()) not in (None, MISSING, OLDER):
        raise SchemaError(found)
    command.upgrade(_config(), "head")


def tables() -> list[str]:
    """Return the names of Pamps' own tables that exist."""
    from pamps.models import SQLModel

    existing = set(inspect(engine).get_table_names())
    return sorted(existing & {*SQLModel.metadata.tables, "alembic_version"})


def drop(names: list[str]) -> None:
    """Drop these tables, or none of them if something else depends on one. Raises SchemaError."""
    try:
        with engine.begin() as connection:
            quote = engine.dialect.identifier_preparer.quote
            connection.exec_driver_sql(f"DROP TABLE {', '.join(map(quote, names))}")
    except DBAPIError as error:
        if not isinstance(error.orig, DependentObjectsStillExist):
            raise
        reasons = "; ".join(str(error.orig.diag.message_detail).splitlines())
        raise SchemaError(f"nothing was dropped: {reasons}") from None


def check_direct(connection: Connection) -> None:
    """Raise SchemaError if there is a pooler before PostgreSQL, which may change the session."""
    connected = psycopg2_connection(connection.connection).get_backend_pid()
    if connected != connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one():
        raise SchemaError(POOLED)


def set_timeouts(connection: Connection) -> None:
    """Store the timeouts in the database: a PgBouncer would lose those of a connection."""
    query = "SELECT quote_ident(datname), pg_has_role(datdba, 'USAGE') FROM pg_database"
    found = connection.exec_driver_sql(f"{query} WHERE datname = current_database()")
    database, is_owner = found.one()
    if not is_owner:
        logger.warning("the timeouts of %s are left to its owner: see docs/operations.md", database)
        return
    for parameter, seconds in TIMEOUTS.items():
        connection.exec_driver_sql(f"ALTER DATABASE {database} SET {parameter} = '{seconds}s'")
