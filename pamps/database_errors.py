"""What errors of the database mean: to clients of the API, and to users of the command line."""

import re

import psycopg
import psycopg2
from pydantic import ValidationError
from sqlalchemy.exc import TimeoutError as EnginePoolTimeout

from pamps.db import database_url, engine
from pamps.folder import FolderError
from pamps.maintenance import MaintenanceError, schema
from pamps.models import SQLModel

# SQLSTATEs: a table, a column or a function that does not exist, as the schema is not that of this
# version; and a server that is a standby.
SCHEMA_CHANGED, READ_ONLY = ("42P01", "42703", "42883"), "25006"


def _constraint_meanings() -> dict[str, tuple[int, str]]:
    """Return the HTTP status and the message for each constraint that a client can violate.

    A violated key marked `caller` means that the account was deleted meanwhile (401). CHECKs are
    left out, because requests are validated first.
    """
    meanings = {}
    for table in SQLModel.metadata.tables.values():
        for index in table.indexes:
            if index.unique:
                column = str(index.name).removeprefix(f"uq_{table.name}_")
                meanings[str(index.name)] = 409, f"{column.capitalize()} already taken"
        for key in table.foreign_key_constraints:
            if any(column.info.get("caller") for column in key.columns):
                meanings[str(key.name)] = 401, "Could not validate credentials"
            else:
                table_name = key.referred_table.name.capitalize()
                meanings[str(key.name)] = 404, f"{table_name} not found"
    return meanings


CONSTRAINT_MEANINGS = _constraint_meanings()


def _driver_error(error: BaseException) -> BaseException:
    """Return the driver's own error, without SQLAlchemy's around it."""
    return getattr(error, "orig", None) or error


def _sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's error code, from either driver; None if PostgreSQL sent none."""
    cause = _driver_error(error)
    if isinstance(cause, psycopg.Error):
        return cause.sqlstate
    return cause.pgcode if isinstance(cause, psycopg2.Error) else None


def violated_constraint(error: BaseException) -> tuple[int, str] | None:
    """Return the HTTP status and the message for a constraint that a client can violate."""
    cause = _driver_error(error)
    if not isinstance(cause, psycopg.Error | psycopg2.Error):
        return None
    return CONSTRAINT_MEANINGS.get(cause.diag.constraint_name or "")


def is_retryable(error: BaseException) -> bool:
    """Tell whether PostgreSQL aborted a transaction because of another one."""
    return _sqlstate(error) in ("40001", "40P01")  # serialization failure, deadlock


def is_unavailable(error: BaseException) -> bool:
    """Tell whether the database cannot do now what it may be able to do later.

    This includes a standby, which is read-only, and a schema that a migration has just changed.
    """
    cause = _driver_error(error)
    drivers = psycopg.OperationalError, psycopg2.OperationalError, psycopg2.InterfaceError
    return (
        isinstance(cause, (*drivers, EnginePoolTimeout, FolderError))
        or _sqlstate(error) in (READ_ONLY, *SCHEMA_CHANGED)
        # The connection broke in the middle of a result, for which the drivers have no class.
        or type(cause) in (psycopg.DatabaseError, psycopg2.DatabaseError)
    )


# The permissions that Pamps needs on each kind of object.
GRANTS = {
    "schema": "USAGE, CREATE",
    "table": "SELECT, INSERT, UPDATE, DELETE",
    "sequence": "USAGE, SELECT",
    "database": "CONNECT, CREATE",
}
# How libpq's messages begin: with the server's address.
ADDRESS = re.compile(r"connection to server (at|on) .*?failed: ")
QUOTED = re.compile(r"""\s*("[^"]*"|«[^»]*»|„[^“]*“|“[^”]*”)""")


def explain(error: BaseException) -> str | None:
    """Return the message of a command for an error that can be expected, else None.

    It does not contain the database's address.
    """
    if isinstance(error, ValidationError):
        return "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
    if violation := violated_constraint(error):
        return violation[1]
    if isinstance(error, (FolderError, MaintenanceError)):
        return ADDRESS.sub("", str(error))
    if isinstance(error, EnginePoolTimeout):
        return "the database does not answer: there is no free connection"
    cause = _driver_error(error)
    if not isinstance(cause, psycopg.Error | psycopg2.Error):
        return None
    message, state = cause.diag.message_primary, _sqlstate(error)
    if state in SCHEMA_CHANGED:
        return schema.problem() or f"the database is not as its migrations made it: {message}"
    if state in ("42501", "3F000"):  # no permission; no schema that the user may use
        denied = str(message) if state == "42501" else "permission denied for schema public"
        return f"the user of db.uri may not do this: {message}{_grant(denied)}"
    if state == READ_ONLY:
        return f"the database is read-only, as a standby is: {message}"
    if message:
        return f"the database refused: {message}"
    return f"the database does not answer: {_without_address(cause)}"


def _grant(message: str) -> str:
    """Return which GRANT would give the permission that is missing."""
    if found := re.match('permission denied to create extension "(.+)"', message):
        name = engine.dialect.identifier_preparer.quote(str(database_url().database))
        return (
            f"; a superuser can CREATE EXTENSION {found[1]},"
            f" or its owner can GRANT CREATE ON DATABASE {name} to that user"
        )
    found = re.match("permission denied for (\\w+) (.+)", message)
    if not found or found[1] not in GRANTS:
        return ""
    name = engine.dialect.identifier_preparer.quote(found[2])
    return f"; its owner can GRANT {GRANTS[found[1]]} ON {found[1].upper()} {name} to that user"


def _without_address(error: Exception) -> str:
    """Return why connecting failed, without the names of hosts and users that libpq quotes."""
    lines = (QUOTED.sub("", ADDRESS.sub("", line)).strip() for line in str(error).splitlines())
    reasons = [re.sub("^(FATAL|ERROR): *", "", line) for line in lines if line]
    return "; ".join(dict.fromkeys(reasons))
