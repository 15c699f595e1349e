"""How Alembic reaches the database and the models: the `alembic` command and `pamps migrate`."""

import logging
from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection, func, select, text

from pamps.config import settings
from pamps.db import database_url, engine
from pamps.models import SQLModel

# Any number that nobody else takes: it is the name of the lock that migrations share.
MIGRATION_LOCK = 0x70616D7073

# The settings of PostgreSQL, by the names that Pamps' own have.
TIMEOUTS = {
    "statement_timeout": "statement_timeout",
    "lock_timeout": "lock_timeout",
    "idle_in_transaction_timeout": "idle_in_transaction_session_timeout",
}

logger = logging.getLogger("alembic")

OPTIONS = {
    "target_metadata": SQLModel.metadata,
    "compare_server_default": True,
    "transaction_per_migration": False,
}


def run_offline() -> None:
    context.configure(url=database_url(), literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


def set_timeouts(connection: Connection) -> None:
    """Stores the timeouts in the database: a PgBouncer would lose those of a connection."""
    query = "SELECT quote_ident(datname), pg_has_role(datdba, 'USAGE') FROM pg_database"
    query += " WHERE datname = current_database()"
    ((database, is_owner),) = connection.execute(text(query))
    if not is_owner:
        logger.warning("the timeouts of %s are left to its owner: see docs/operations.md", database)
        return
    for name, parameter in TIMEOUTS.items():
        value = f"'{settings.db[name]}s'"
        connection.execute(text(f"ALTER DATABASE {database} SET {parameter} = {value}"))


def run_online(connection: Connection) -> None:
    context.configure(connection=connection, **OPTIONS)
    with context.begin_transaction():
        # A migration takes as long as it takes.
        for parameter in TIMEOUTS.values():
            connection.execute(text(f"SET LOCAL {parameter} = 0"))
        # Of two that start at once, the second waits here and then finds nothing left to do.
        connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        context.run_migrations()
        set_timeouts(connection)


if context.config.config_file_name:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
if context.is_offline_mode():
    run_offline()
else:
    with engine.connect() as connection:
        run_online(connection)
