"""The parameters of libpq for a connection, for both drivers and pg_dump."""

from pamps.config import settings
from pamps.postgres import address, cluster

Arguments = dict[str, str | int]
# The parameters that may have a value for each of several hosts.
MULTI_HOST_PARAMETERS = "host", "hostaddr", "port"


def location() -> dict[str, str]:
    """Return the parameters that say where the configured or the embedded database is."""
    if settings.db.uri:
        return address.parse(settings.db.uri)
    return {"host": str(cluster.SOCKET), "user": "postgres", "dbname": "pamps"}


def connect_arguments() -> Arguments:
    """Return all parameters of a connection."""
    return {
        **location(),
        "connect_timeout": settings.db.connect_timeout,
        "application_name": "pamps",
        # Notice within about ten seconds that the server or the network is gone.
        "keepalives_idle": 4,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        **settings.db.connect_args,
        # Always UTF-8, whatever PGCLIENTENCODING, the role or the database say.
        "client_encoding": "UTF8",
    }


def prefer_host(arguments: Arguments, host: str, port: int) -> Arguments:
    """Move one of several addresses to the front, so that it is tried first."""
    names = [name for name in MULTI_HOST_PARAMETERS if arguments.get(name)]
    lists = {name: str(arguments[name]).split(",") for name in names}
    count = max(map(len, lists.values()), default=0)
    # A single port, or none, is for all hosts.
    lists = {name: values * (count if len(values) == 1 else 1) for name, values in lists.items()}
    hosts = lists.get("host") or lists.get("hostaddr") or []
    ports = lists.get("port") or [""] * count
    addresses = list(zip(hosts, ports, strict=True))
    for index, candidate in enumerate(addresses):
        if index and candidate in ((host, ""), (host, str(port))):
            moved = {n: ",".join([v[index], *v[:index], *v[index + 1 :]]) for n, v in lists.items()}
            return arguments | moved
    return arguments
