"""Tests of deploy/, for machines that have the programs, as Debian packages them."""

import shutil
from pathlib import Path

from tests.proxies import SEARCH_PATH

DEPLOY = Path(__file__).parents[2] / "deploy"
PROGRAMS = "pgbouncer", "haproxy", "redis-server", "setpriv"
DEBIAN = Path("/usr/lib/postgresql")


def missing(*more: str) -> list[str]:
    """What `deploy/try.sh` needs and is not installed."""
    names = [name for name in (*PROGRAMS, *more) if not shutil.which(name, path=SEARCH_PATH)]
    return names if any(DEBIAN.glob("*/bin/postgres")) else [*names, "postgresql"]
