"""Parse and check the database's address with libpq, which will also connect with it."""

import re

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg2://")
EXAMPLE = "must be empty or like postgresql://user:password@host:5432/name"
ENCODE = "percent-encode the user and the password: @ as %40, / as %2F, % as %25"


def parse(uri: str) -> dict[str, str]:
    """Return the parameters of libpq that an address contains.

    Raises ValueError, whose text contains no password.
    """
    scheme = next((scheme for scheme in SCHEMES if uri.startswith(scheme)), None)
    if scheme is None:
        raise ValueError(EXAMPLE)
    rest = uri.removeprefix(scheme)
    try:
        parts: dict[str, str] = parse_dsn(f"postgresql://{rest}")
    except psycopg2.ProgrammingError as error:
        reason = str(error)
        # A password may contain a ?, and then what looks like a parameter may be part of it.
        if "invalid URI query parameter" in reason and "@" not in rest.partition("?")[2]:
            parameter = reason.split('"')[1]
            raise ValueError(f"PostgreSQL has no parameter {parameter}: leave it out") from None
        raise ValueError(ENCODE if "@" in rest else EXAMPLE) from None
    if any("@" in parts.get(key, "") for key in ("host", "dbname")):
        raise ValueError(ENCODE)
    # One port for each host; libpq has a default for an empty one.
    for port in parts.get("port", "").split(","):
        if port and not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
            raise ValueError(EXAMPLE)
    hosts = {parts[key].count(",") + 1 for key in ("host", "hostaddr") if key in parts} or {1}
    if len(hosts) > 1 or parts.get("port", "").count(",") + 1 not in {1, *hosts}:
        raise ValueError("must have one port, or as many as hosts")
    return parts


def check_arguments(arguments: dict[str, str | int]) -> dict[str, str | int]:
    """Return further arguments for libpq unchanged. Raises ValueError if one is unknown."""
    try:
        make_dsn("", **arguments)
    except psycopg2.ProgrammingError as error:
        raise ValueError(str(error).strip()) from None
    return arguments
