"""What errors of the database mean: for the API, which answers, and for commands, which print."""

import re
from typing import Any

import psycopg2
import psycopg2.errors
from pydantic import ValidationError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pamps.folder import EmbeddedError
from pamps.maintenance import schema

# The database decides what collides and what is gone. This is what its constraints tell a client.
CONSTRAINTS = {
    "uq_user_email": (409, "Email already taken"),
    "uq_user_username": (409, "Username already taken"),
    "fk_like_post_id": (404, "Post not found"),
    "fk_social_to_id": (404, "User not found"),
    # The caller's account was deleted while the request was on its way.
    "fk_post_user_id": (401, "Could not validate credentials"),
    "fk_like_user_id": (401, "Could not validate credentials"),
    "fk_social_from_id": (401, "Could not validate credentials"),
}


# The schema is not that of this code.
CHANGED = psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn


def _cause(error: BaseException) -> BaseException:
    """psycopg2's own error, where SQLAlchemy's is around it."""
    return getattr(error, "orig", None) or error


def collision(error: BaseException) -> tuple[int, str] | None:
    """The status and the words for a constraint that clients can run into."""
    diag = getattr(_cause(error), "diag", None)
    return CONSTRAINTS.get(getattr(diag, "constraint_name", ""))


def is_conflict(error: BaseException) -> bool:
    """Whether PostgreSQL undid a transaction for the sake of another's."""
    conflicts = psycopg2.errors.DeadlockDetected, psycopg2.errors.SerializationFailure
    return isinstance(_cause(error), conflicts)


def is_away(error: BaseException) -> bool:
    """Whether the database cannot serve now what it could at another time.

    That it is read-only, as a standby is, counts; that a migration has changed its tables; and
    that libpq got half an answer, for which psycopg2 has no class of its own.
    """
    cause = _cause(error)
    away = psycopg2.OperationalError, psycopg2.InterfaceError, PoolTimeout, EmbeddedError
    return (
        isinstance(cause, (*away, psycopg2.errors.ReadOnlySqlTransaction, *CHANGED))
        or type(cause) is psycopg2.DatabaseError
    )


# What a user of the database needs for each kind of object.
GRANTS = {
    "schema": "USAGE, CREATE",
    "table": "SELECT, INSERT, UPDATE, DELETE",
    "sequence": "USAGE, SELECT",
    "database": "CONNECT, CREATE",
}
SCHEMA_DENIED = "permission denied for schema public"
# What libpq says first: the server's address.
ADDRESS = re.compile(r"connection to server (at|on) .*?failed: ")
QUOTED = re.compile(r"""\s*("[^"]*"|«[^»]*»|„[^“]*“|“[^”]*”)""")


def explanation(error: BaseException) -> str | None:
    """What a command says of an error that can be expected, without the database's address."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
    if told := collision(error):
        return told[1]
    if isinstance(error, (EmbeddedError, schema.SchemaError)):
        return ADDRESS.sub("", str(error))
    if isinstance(error, PoolTimeout):
        return "the database does not answer: there is no free connection"
    cause = _cause(error)
    if not isinstance(cause, psycopg2.Error):
        return None
    said = cause.diag.message_primary
    if isinstance(cause, CHANGED):
        return schema.problem() or f"the database is not as its migrations made it: {said}"
    if isinstance(cause, psycopg2.errors.InsufficientPrivilege):
        return f"the user of db.uri may not do this: {said}{_grant(str(said))}"
    if isinstance(cause, psycopg2.errors.InvalidSchemaName):  # none that it may so much as use
        return f"the user of db.uri may not do this: {said}{_grant(SCHEMA_DENIED)}"
    if isinstance(cause, psycopg2.errors.ReadOnlySqlTransaction):
        return f"the database is read-only, as a standby is: {said}"
    if said:
        return f"the database refused: {said}"
    return f"the database does not answer: {_without_address(cause)}"


def _grant(said: str) -> str:
    found = re.match("permission denied for (\\w+) (.+)", said)
    if not found or found[1] not in GRANTS:
        return ""
    name = re.sub("^(?![a-z_][a-z0-9_]*$)(.*)|^(user)$", r'"\1\2"', found[2])
    return f"; its owner can GRANT {GRANTS[found[1]]} ON {found[1].upper()} {name} to that user"


def _without_address(error: Any) -> str:
    """Why there is no connection. libpq names hosts and users, and quotes what is wrong."""
    lines = (QUOTED.sub("", ADDRESS.sub("", line)).strip() for line in str(error).splitlines())
    reasons = [re.sub("^(FATAL|ERROR): *", "", line) for line in lines if line]
    return "; ".join(dict.fromkeys(reasons))
