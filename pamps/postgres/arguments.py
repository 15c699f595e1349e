"""The parameters of libpq to connect with, for both drivers and pg_dump."""

from pamps.config import settings
from pamps.postgres import address, cluster

Arguments = dict[str, str | int]
# The parameters that may have a value for each of several hosts.
MULTI_HOST_PARAMETERS = "host", "hostaddr", "port"


def location() -> dict[str, str]:
    """Return where the configured database is, or else the embedded one."""
    if settings.db.uri:
        return address.parse(settings.db.uri)
    return {"host": str(cluster.SOCKET), "user": "postgres", "dbname": "pamps"}


def connect_arguments() -> Arguments:
    """Return all parameters of a connection."""
    return {
        **location(),
        "connect_timeout": settings.db.connect_timeout,
        "application_name": "pamps",
        # A server that is gone without a word is noticed in about ten seconds.
        "keepalives_idle": 4,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        **settings.db.connect_args,
        # Whatever PGCLIENTENCODING, the role or the database says: no other encoding has all text.
        "client_encoding": "UTF8",
    }


def prefer_host(arguments: Arguments, host: str, port: int) -> Arguments:
    """Move one of several addresses to the front, so that it is tried first."""
    lists = {
        name: str(arguments[name]).split(",")
        for name in MULTI_HOST_PARAMETERS
        if arguments.get(name)
    }
    count = max(map(len, lists.values()), default=0)
    # One port, or none, is meant for all hosts.
    lists = {name: values * (count if len(values) == 1 else 1) for name, values in lists.items()}
    hosts = lists.get("host") or lists.get("hostaddr") or []
    ports = lists.get("port") or [""] * count
    addresses = list(zip(hosts, ports, strict=True))
    for index, (each, its_port) in enumerate(addresses):
        if index and each == host and its_port in ("", str(port)):
            moved = {n: ",".join([v[index], *v[:index], *v[index + 1 :]]) for n, v in lists.items()}
            return arguments | moved
    return arguments
