"""The parameters of libpq for a connection, for both drivers and pg_dump."""

from collections.abc import Mapping

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
    """Return all parameters of a connection.

    Of several addresses, it is to the one that is the primary.
    """
    parameters = location()
    if count_addresses(parameters) > 1:
        parameters = {"target_session_attrs": "read-write"} | parameters
    return _complete(parameters)


def _complete(parameters: Mapping[str, str]) -> Arguments:
    """Return the parameters of a connection with those that all connections have."""
    return {
        **parameters,
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


def count_addresses(parameters: Mapping[str, str | int]) -> int:
    """Return how many addresses are tried in turn."""
    return max(str(parameters.get(name)).count(",") + 1 for name in MULTI_HOST_PARAMETERS)


def _split_addresses(arguments: Arguments) -> list[Arguments]:
    """Return for each of several addresses the parameters that only it has."""
    names = [name for name in MULTI_HOST_PARAMETERS if arguments.get(name)]
    lists = {name: str(arguments[name]).split(",") for name in names}
    count = max(map(len, lists.values()), default=0)
    # A single port, or none, is for all hosts.
    lists = {name: values * (count if len(values) == 1 else 1) for name, values in lists.items()}
    return [{name: values[n] for name, values in lists.items()} for n in range(count)]


def replica_arguments() -> list[Arguments]:
    """Return the parameters of a connection to each of the replicas."""
    parameters = address.parse(settings.db.replica_uri)
    # Without that of `connect_args`, which is for the primary.
    arguments = _complete(parameters) | {"target_session_attrs": "any"}
    return [arguments | own for own in _split_addresses(arguments)]


def prefer_host(arguments: Arguments, host: str, port: int) -> Arguments:
    """Move one of several addresses to the front, so that it is tried first."""
    addresses = _split_addresses(arguments)
    for index, own in enumerate(addresses):
        is_host = host in (own.get("host"), own.get("hostaddr"))
        if index and is_host and own.get("port", "") in ("", str(port)):
            addresses.insert(0, addresses.pop(index))
            moved = {name: ",".join(str(each[name]) for each in addresses) for name in own}
            return arguments | moved
    return arguments
