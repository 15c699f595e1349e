"""How Alembic reaches the database and the models: the `alembic` command and `pamps migrate`."""

import time
from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection, func, select

from pamps.db import database_url, engine
from pamps.maintenance.schema import TIMEOUTS, check_direct, set_timeouts
from pamps.models import SQLModel

# Any number that nobody else takes: it is the name of the lock that migrations share.
MIGRATION_LOCK = 0x70616D7073

OPTIONS = {
    "target_metadata": SQLModel.metadata,
    "compare_server_default": True,
    "transaction_per_migration": False,
}


def run_offline() -> None:
    context.configure(url=database_url(), literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


def run_online(connection: Connection) -> None:
    check_direct(connection)
    # A migration takes as long as it takes.
    for parameter in TIMEOUTS:
        connection.exec_driver_sql(f"SET {parameter} = 0")
    connection.commit()
    # Of two that start at once, the second waits here and then finds nothing left to do. It does
    # not wait in a transaction, as an index that is made concurrently would wait for that.
    while not connection.scalar(select(func.pg_try_advisory_lock(MIGRATION_LOCK))):
        connection.rollback()
        time.sleep(0.1)
    connection.commit()
    context.configure(connection=connection, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()
        set_timeouts(connection)


if context.config.config_file_name:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
if context.is_offline_mode():
    run_offline()
else:
    with engine.connect() as connection:
        try:
            run_online(connection)
        finally:
            connection.invalidate()  # closes it, which releases the lock
