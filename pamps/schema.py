"""The database's schema: which one this code needs, and how to get there."""

import logging
from functools import cache
from typing import Any

from psycopg2.errors import UndefinedTable
from psycopg2.extensions import cursor as Cursor

from pamps.config import HERE, ROOT, settings
from pamps.db import engine

logger = logging.getLogger(__name__)

# The settings of PostgreSQL that are ours, by the names of ours.
TIMEOUTS = {
    "statement_timeout": "statement_timeout",
    "lock_timeout": "lock_timeout",
    "idle_in_transaction_timeout": "idle_in_transaction_session_timeout",
}
MISSING = "the database has no tables yet: run pamps migrate"
OLDER = "the database's schema is older than this Pamps: run pamps migrate"
NEWER = "the database's schema is newer than this Pamps: install the Pamps that made it"


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
    try:
        cursor.execute("SELECT version_num FROM alembic_version")
    except UndefinedTable:
        return MISSING
    return _problem_with({revision for (revision,) in cursor.fetchall()})


def _problem_with(found: set[str]) -> str | None:
    """What is wrong with a database whose last migrations are these."""
    if not found:
        return MISSING
    if not found <= _known():
        _scripts.cache_clear()  # a migration may have been added since this process started
    if len(heads := _scripts().get_heads()) > 1:
        return f"there are several last migrations, {', '.join(heads)}: run alembic merge heads"
    if found == set(heads):
        return None
    return OLDER if found <= _known() else NEWER


def _known() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


@cache
def _scripts() -> Any:
    """The migrations, read once: to look through their folder takes long."""
    from alembic.script import ScriptDirectory  # here, as it takes long to import

    return ScriptDirectory.from_config(_config())


def _config() -> Any:
    """Alembic's, for the migrations of the checkout or the wheel."""
    from alembic.config import Config

    folder = next(home / "migrations" for home in (ROOT, HERE) if (home / "migrations").is_dir())
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


def migrate() -> None:
    """Brings the schema up to date. Raises SchemaError if migrations cannot do that."""
    from alembic import command

    if (found := problem()) not in (None, MISSING, OLDER):
        raise SchemaError(found)
    command.upgrade(_config(), "head")


def set_timeouts(cursor: Cursor) -> None:
    """Stores the timeouts in the database: a PgBouncer would lose those of a connection."""
    query = "SELECT quote_ident(datname), pg_has_role(datdba, 'USAGE') FROM pg_database"
    cursor.execute(f"{query} WHERE datname = current_database()")
    ((database, is_owner),) = cursor.fetchall()
    if not is_owner:
        logger.warning("the timeouts of %s are left to its owner: see docs/operations.md", database)
        return
    for name, parameter in TIMEOUTS.items():
        cursor.execute(f"ALTER DATABASE {database} SET {parameter} = '{settings.db[name]}s'")
