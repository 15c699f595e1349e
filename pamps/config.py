"""Settings: loaded from the files and variables that default.toml describes, and checked."""

import os
import re
import tomllib
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from psycopg2.extensions import make_dsn

from pamps import sources
from pamps.postgres import address
from pamps.sources import stop

HERE = Path(__file__).parent
# The checkout; a Pamps that was installed as a wheel belongs to the folder that it is run from.
ROOT: Path = HERE.parent if (HERE.parent / "alembic.ini").is_file() else Path.cwd()

ENVIRONMENTS = ("development", "testing", "production")
ENVIRONMENT = os.environ.get("PAMPS_ENV", ENVIRONMENTS[0])
# What everybody can read: the key in .secrets.toml, and the one of the workshop.
PUBLIC_SECRETS = ("development-only", "troque_por_favor")
TYPES = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    dict: "a table",
    list: 'a list of texts, like ["one", "two"]',
}
# RFC 7518, section 3.2: a key is at least as long as the hash, in bytes.
KEY_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
# The largest number for a setting: its own, or that of all others.
LARGEST = {
    "server.port": 65535,
    "metrics.port": 65535,
    "security.PASSWORD_MIN_LENGTH": 128,
    "security.SESSION_EXPIRE_DAYS": 36500,
    "db.connect_timeout": 3600,
    "db.statement_timeout": 3600,
    "db.lock_timeout": 3600,
    "db.idle_in_transaction_timeout": 3600,
    "server.receive_timeout": 3600,
    "server.keep_alive": 3600,
    "server.request_timeout": 3600,
    "": 10_000_000,
}
# What 0 makes fit the machine: see _fit.
FITTED = ("server.workers", "db.pool_size")
# What may be 0: those, and what it turns off.
MAY_BE_0 = (*FITTED, "metrics.port", "security.REFRESH_TOKEN_REPLAY_SECONDS")
# How browsers write an origin (RFC 6454, section 6.2), but for the port that its scheme implies.
ORIGIN = r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?"
DEFAULT_PORTS = {"http": 80, "https": 443}
# A path that needs no escapes and has no slash at its end, and an address with one.
PATH = "(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*"
URL = rf"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?{PATH}"
# Which settings are limits, and how the `limits` package writes one.
LIMITS = ("requests", "sign_ins", "sign_ins_per_account", "sign_ins_per_address", "sign_ups")
LIMIT = "[1-9][0-9]{0,8}/([1-9][0-9]{0,5} )?(second|minute|hour|day)s?"


def _check(name: str, value: Any, default: Any) -> None:
    """A value has the type of its default. Errors do not quote it: it may be a secret."""
    if type(value) is not type(default):
        stop(name, f"must be {TYPES[type(default)]}")
    if isinstance(default, dict) and default:
        for key in value:
            full_name = f"{name}.{key}".lstrip(".")
            if key not in default:
                stop(full_name, f"no such setting; there are {', '.join(default)}")
            _check(full_name, value[key], default[key])
    elif isinstance(default, list) and not all(isinstance(item, str) for item in value):
        stop(name, f"must be {TYPES[list]}")
    elif type(default) is int:
        smallest, largest = 0 if name in MAY_BE_0 else 1, LARGEST.get(name, LARGEST[""])
        if not smallest <= value <= largest:
            stop(name, f"must be from {smallest} to {largest}")


def _is_network(address: str) -> bool:
    try:
        return bool(ip_network(address))
    except ValueError:
        return False


def _is_address(uri: str, *schemes: str) -> bool:
    try:
        # Reading the port checks it.
        return urlsplit(uri).scheme in schemes and urlsplit(uri).port != 0
    except ValueError:
        return False


def _is_origin(origin: str) -> bool:
    """Whether a browser could send that as `Origin`."""
    try:
        parts = urlsplit(origin)
        port = parts.port  # which checks it
    except ValueError:
        return False
    return bool(re.fullmatch(ORIGIN, origin)) and port != DEFAULT_PORTS.get(parts.scheme, 0)


def _check_limits(rate_limit: dict[str, Any]) -> None:
    for name in LIMITS:
        if not re.fullmatch(LIMIT, rate_limit[name]):
            stop(f"rate_limit.{name}", "must be like 300/5 minutes")
    storage = rate_limit["storage_uri"]
    if storage and not find_spec("redis"):
        stop("rate_limit.storage_uri", "needs the package redis: pip install 'pamps[redis]'")
    if storage and not _is_address(storage, "redis", "rediss"):
        stop("rate_limit.storage_uri", "must be empty or like redis://host:6379")


def _check_base(server: dict[str, Any]) -> None:
    if not re.fullmatch(PATH, server["root_path"]):
        stop("server.root_path", "must be empty or like /api, without a slash at the end")
    public_url = server["public_url"]
    is_address = _is_address(public_url, "http", "https") and re.fullmatch(URL, public_url)
    if public_url and not is_address:
        rules = "without a slash at the end, a query or a user"
        stop("server.public_url", f"must be empty or like https://example.com/api, {rules}")


def _check_telemetry(endpoint: str) -> None:
    if endpoint and not find_spec("opentelemetry.exporter"):
        stop("telemetry.endpoint", "needs its packages: pip install 'pamps[telemetry]'")
    if endpoint and not (_is_address(endpoint, "http", "https") and urlsplit(endpoint).hostname):
        stop("telemetry.endpoint", "must be empty or like http://localhost:4318")


def _check_production(values: dict[str, Any]) -> None:
    """What is good enough for development only."""
    security, cors = values["security"], values["cors"]
    secret, shortest = security["SECRET_KEY"], KEY_BYTES[security["ALGORITHM"]]
    if secret.startswith(PUBLIC_SECRETS) or len(secret.encode()) < shortest:
        words = f"must be a secret of your own, of {shortest} bytes or more"
        stop("security.SECRET_KEY", words)
    if values["db"]["echo"]:
        stop("db.echo", "must be false in production: statements do not belong in its log")
    if cors["allow_credentials"] and "*" in cors["allow_origins"]:
        stop("cors.allow_origins", "must name the origins where allow_credentials is true")


def _fit(loaded: Any) -> None:
    """Puts what fits the machine in the place of 0."""
    # The cores that this process may use, where the system tells; a container's quota it does not.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    loaded.server.workers = loaded.server.workers or min(cores or 1, 8)
    if not loaded.db.pool_size:
        loaded.db.pool_size = max(1, min(8, 50 // loaded.server.workers))


def _load() -> Any:
    """Stops the process with one line that names the key, where a value is wrong."""
    if ENVIRONMENT not in ENVIRONMENTS:
        stop("PAMPS_ENV", f"must be one of {', '.join(ENVIRONMENTS)}")
    defaults = tomllib.loads((HERE / "default.toml").read_text("utf-8"))["default"]
    loaded = sources.read(HERE / "default.toml", ROOT, ENVIRONMENT, ENVIRONMENTS, defaults)
    values = {key.lower(): value for key, value in loaded.as_dict().items()}
    del values["filter_strategy"]  # an argument of ours, which dynaconf takes for a setting
    _check("", values, defaults)
    uri, security = values["db"]["uri"], values["security"]
    if not uri and not values["db"]["embedded"]:
        stop("db.uri", "is missing; db.embedded = true serves the PostgreSQL that comes along")
    secret = security["SECRET_KEY"]
    try:
        if uri:
            address.parse(uri)
    except ValueError as error:
        stop("db.uri", str(error))
    try:
        make_dsn("", **values["db"]["connect_args"])
    except psycopg2.ProgrammingError as error:
        stop("db.connect_args", str(error).strip())
    if security["ARGON2_MEMORY_COST"] < 8 * security["ARGON2_PARALLELISM"]:
        stop("security.ARGON2_MEMORY_COST", "must be 8 times ARGON2_PARALLELISM or more")
    if security["ALGORITHM"] not in KEY_BYTES:
        stop("security.ALGORITHM", f"must be one of {', '.join(KEY_BYTES)}")
    if not secret:
        stop("security.SECRET_KEY", "is missing")
    _check_limits(values["rate_limit"])
    _check_base(values["server"])
    _check_telemetry(values["telemetry"]["endpoint"])
    for proxy in values["server"]["trusted_proxies"]:
        if not _is_network(proxy):
            stop("server.trusted_proxies", "must be addresses or networks like 10.0.0.0/8")
    for origin in values["cors"]["allow_origins"]:
        if origin != "*" and not _is_origin(origin):
            rules = "lower case, no slash at the end, no default port"
            stop("cors.allow_origins", f"must be * or like https://example.com: {rules}")
    if ENVIRONMENT == "production":
        _check_production(values)
    _fit(loaded)
    return loaded


settings: Any = _load()
