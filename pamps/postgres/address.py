"""The address of a database, read by libpq's own parser, which will use it."""

import re

import psycopg2
from psycopg2.extensions import parse_dsn

SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg2://")
EXAMPLE = "must be empty or like postgresql://user:password@host:5432/name"
ENCODE = "percent-encode the user and the password: @ as %40, / as %2F, % as %25"


def parse(uri: str) -> dict[str, str]:
    """What libpq makes of an address. Raises ValueError, whose text quotes no secret."""
    scheme = next((scheme for scheme in SCHEMES if uri.startswith(scheme)), None)
    if scheme is None:
        raise ValueError(EXAMPLE)
    rest = uri.removeprefix(scheme)
    try:
        parts: dict[str, str] = parse_dsn(f"postgresql://{rest}")
    except psycopg2.ProgrammingError as error:
        reason = str(error)
        # Behind a ? that is in a password, what looks like a parameter may be more of it.
        if "invalid URI query parameter" in reason and "@" not in rest.partition("?")[2]:
            parameter = reason.split('"')[1]
            raise ValueError(f"PostgreSQL has no parameter {parameter}: leave it out") from None
        raise ValueError(ENCODE if "@" in rest else EXAMPLE) from None
    if any("@" in parts.get(key, "") for key in ("host", "dbname")):
        raise ValueError(ENCODE)
    # One for each host; libpq has a default for one that is empty.
    for port in parts.get("port", "").split(","):
        if port and not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
            raise ValueError(EXAMPLE)
    return parts
