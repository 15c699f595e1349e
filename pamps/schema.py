"""The database's schema: which one this code needs, and how to get there."""

import logging
from typing import Any

from psycopg2.errors import UndefinedTable
from psycopg2.extensions import cursor as Cursor

from pamps.config import HERE, ROOT, settings
from pamps.db import engine

logger = logging.getLogger(__name__)

# The last of the migrations, which take too long to look through for each question.
REVISION = "5e0c9a83d1f4"
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
    found = {revision for (revision,) in cursor.fetchall()}
    if found == {REVISION}:
        return None
    if not found:
        return MISSING
    return OLDER if found <= _known() else NEWER


def _known() -> set[str]:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_config())
    return {revision.revision for revision in script.walk_revisions()}


def _config() -> Any:
    """Alembic's, for the migrations of the checkout or the wheel."""
    from alembic.config import Config  # here, as it takes long to import and is seldom needed

    folder = next(home / "migrations" for home in (ROOT, HERE) if (home / "migrations").is_dir())
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


def migrate() -> None:
    """Brings the schema up to date. Raises SchemaError where it is newer than this code."""
    from alembic import command

    if problem() == NEWER:
        raise SchemaError(NEWER)
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
